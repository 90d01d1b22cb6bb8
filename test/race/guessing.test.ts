// Two processes, one database: parallel guesses get no further than guesses one after the other.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startReplicas, tally } from '../helpers/replica.ts'
import { type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'
import { aroundSettling } from '../helpers/settling.ts'
import { until } from '../helpers/until.ts'

t.test('of 200 parallel wrong codes over two replicas five are answered, and a right one after them is not looked at', async t => {
  const service = await useService(t)
  const { race } = await startReplicas(t, service)
  const user = service.user()
  const { secret } = await user.enroll()
  const code = service.clock.wrongCode(secret)
  const answers = await race(user, 200, () => ['POST', '/mfa/verify', { token: user.token(), body: { code } }])
  t.ok((tally(answers)[422] as number) <= 5, JSON.stringify(tally(answers)))
  t.same(Object.keys(tally(answers)), ['422', '429'])
  t.ok(answers.filter(({ status }) => status === 429).every(({ headers }) => Number(headers.get('retry-after')) > 0))
  t.match(await user.throttle('totp'), { failures: 5, tries: 5, locked_at: null })
  t.equal((await user.throttle('totp')).recent.length, 5)
  t.equal((await user.events()).filter(event => event.action === 'totp.refused').length, 5)

  const right = { code: service.clock.code(secret) }
  const late = await race(user, 4, () => ['POST', '/mfa/verify', { token: user.token(), body: right }])
  t.same(Object.keys(tally(late)), ['429'])
  await user.endWait()
  t.equal((await user.call('POST', '/mfa/verify', right)).status, 200, 'it stayed unused')
})

t.test('of 60 parallel wrong recovery codes over two replicas none costs a failure or a slow hash, one event tells of them, ' +
  'and a right one opens', async t => {
  const service = await useService(t)
  const { race, bcryptRuns } = await startReplicas(t, service)
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  const { recoveryCodes: others } = await service.user().enroll()
  const { compares } = await bcryptRuns()
  const answers = await race(user, 60, index => ['POST', '/mfa/recovery', { token: user.token(), body: { code: others?.[index % 10] } }])
  t.same(Object.keys(tally(answers)), ['422'])
  t.equal((await bcryptRuns()).compares, compares)
  t.equal((await user.throttle('totp')).failures, 0)
  t.match((await user.events()).filter(({ action }) => action === 'recovery.refused'), [{ details: { count: 1 } }])
  const [{ unreported }] = await service.db.rows<{ unreported: number }>`SELECT unreported FROM refusals WHERE tenant = ${user.tenant}` as [
    { unreported: number }
  ]
  t.equal(unreported, (tally(answers)[422] as number) - 1)
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 200)
})

t.test('of 60 parallel wrong codes at confirm over two replicas five are answered, and what was started is gone', async t => {
  const service = await useService(t)
  const { race } = await startReplicas(t, service)
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const code = service.clock.wrongCode(secret)
  const answers = await race(user, 60, () => ['POST', '/mfa/enroll/confirm', { token: user.token(), body: { factorId, code } }])
  t.ok((tally(answers)[422] as number) <= 5, JSON.stringify(tally(answers)))
  // Who comes when all is over finds no pending factor.
  t.ok(Object.keys(tally(answers)).every(status => ['404', '422', '429'].includes(status)), JSON.stringify(tally(answers)))
  t.equal((await user.throttle('totp')).failures, 5)
  t.same(await service.db.rows`SELECT factor_id FROM enrollments WHERE tenant = ${user.tenant}`, [])
})

t.test('what a client that hangs up has tried counts, and what was right is spent: the answer is lost and nothing else', async t => {
  const service = await useService(t, { THROTTLE_WAITS: '0' })
  const user = service.user()
  const { secret } = await user.enroll()
  // The code is compared, and nothing is counted yet: this is the moment at which the client goes.
  let hangUp = async (): Promise<void> => {}
  aroundSettling(service.db, async send => {
    await hangUp()
    return await send()
  })
  const tryAndHangUp = async (code: string): Promise<void> => {
    const socket = await send(service.url, user, code)
    const settled = new Promise<void>(resolve => {
      hangUp = async () => {
        socket.destroy()
        await once(socket, 'close')
        await sleep(20)
        resolve()
      }
    })
    await settled
  }

  const wrong = service.clock.wrongCode(secret)
  for (let round = 0; round < 19; round++) await tryAndHangUp(wrong)
  const right = service.clock.code(secret)
  await tryAndHangUp(right)
  hangUp = async () => {}
  await until(async () => (await user.events()).some(event => event.action === 'totp.accepted'))
  t.equal((await user.events()).filter(event => event.action === 'totp.refused').length, 19)
  t.equal((await user.throttle('totp')).recent.length, 19)
  t.equal((await user.call('POST', '/mfa/verify', { code: right })).status, 422, 'spent')
})

t.test('connections reset at any moment burn no more than they tried, and open nothing', async t => {
  const service = await useService(t, { THROTTLE_WAITS: '0' })
  const user = service.user()
  const { secret } = await user.enroll()
  const wrong = service.clock.wrongCode(secret)
  await Promise.all(Array.from({ length: 15 }, async (_, index) => {
    const socket = await send(service.url, user, wrong)
    await sleep(index)
    socket.resetAndDestroy()
  }))
  await user.call('POST', '/mfa/verify', { code: wrong })
  await until(async () => (await user.throttle('totp')).failures > 0)
  const { failures, recent } = await user.throttle('totp')
  t.ok(failures <= 16)
  t.equal(recent.length, failures)
  t.notOk((await user.events()).some(event => event.action === 'totp.accepted'))
})

/** A whole request to verify, sent; what is answered is not read. */
async function send (url: string, user: User, code: string): Promise<Socket> {
  const { hostname, port, host } = new URL(url)
  const body = JSON.stringify({ code })
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  await new Promise(resolve =>
    socket.write(
      `POST /mfa/verify HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${user.token()}\r\nContent-Type: ` +
      `application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      resolve
    )
  )
  return socket
}
