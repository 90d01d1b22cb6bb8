// What a process has seen of secrets, and what of it is left in its heap when there are no more requests.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startReplicas } from './helpers/replica.ts'
import { callTo, fromBase32, startService } from './helpers/service.ts'

t.test('secrets, codes and recovery codes live for their call, and no longer', async t => {
  const control = 'a name that stays in memory'
  const service = await startService(t, { TOTP_ISSUER_NAME: control })
  const { clock } = service
  const replicas = await startReplicas(t, service)
  const call = callTo(replicas.urls[1] as string)
  const user = service.user()
  const token = user.token()
  const { body: { factorId, secret } } = await call('POST', '/mfa/enroll', { token })
  const { body: { recoveryCodes } } = await call('POST', '/mfa/enroll/confirm', { token, body: { factorId, code: clock.code(secret) } })
  clock.advance(30)
  await replicas.syncClocks()
  const code = clock.code(secret)
  t.equal((await call('POST', '/mfa/verify', { token, body: { code } })).status, 200)
  t.equal((await call('POST', '/mfa/recovery', { token, body: { code: recoveryCodes[0] } })).status, 200)
  // Other users' calls push it out of the buffers that are used again.
  for (let i = 0; i < 20; i++) await call('GET', '/mfa/status', { token: service.user().token() })
  await sleep(300)
  const path = `${t.testdir()}/heap`
  await replicas.writeHeap(path)
  const heap = readFileSync(path, 'latin1')
  t.ok(heap.includes(control), 'what is kept is found')
  const bytes = fromBase32(secret)
  for (
    const canary of [
      secret,
      bytes.toString('hex'),
      bytes.toString('base64'),
      ...recoveryCodes,
      ...recoveryCodes.map((each: string) => each.replaceAll('-', ''))
    ]
  ) t.notOk(heap.includes(canary), 'nothing of what was secret')
  t.notOk(heap.includes(`"${code}"`))
})
