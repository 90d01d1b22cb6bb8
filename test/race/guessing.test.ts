// Two processes, one database: parallel guesses get no further than guesses one after the other.
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startReplicas, tally } from '../helpers/replica.ts'
import { type Person, startService } from '../helpers/service.ts'

t.test('of 200 parallel wrong codes over two replicas five are answered, and a right one after them is not looked at', async t => {
  const service = await startService(t)
  const { race } = await startReplicas(t, service)
  const person = service.person()
  const { secret } = await person.enroll()
  const code = service.clock.wrongCode(secret)
  const answers = await race(200, () => ['POST', '/mfa/verify', { token: person.token(), body: { code } }])
  t.same(tally(answers), { 422: 5, 429: 195 })
  t.ok(answers.filter(({ status }) => status === 429).every(({ headers }) => Number(headers.get('retry-after')) > 0))
  t.match(await person.throttle('totp'), { failures: 5, tries: 5, locked_at: null })
  t.equal((await person.throttle('totp')).recent.length, 5)
  t.equal((await person.events()).filter(event => event.action === 'totp.refused').length, 5)

  const right = { code: service.clock.code(secret) }
  const late = await race(4, () => ['POST', '/mfa/verify', { token: person.token(), body: right }])
  t.same(tally(late), { 429: 4 })
  await person.endWait()
  t.equal((await person.call('POST', '/mfa/verify', right)).status, 200, 'it stayed unused')
})

t.test('of 60 parallel wrong recovery codes over two replicas five are answered, and no TOTP failure is counted', async t => {
  const service = await startService(t)
  const { race } = await startReplicas(t, service)
  const person = service.person()
  await person.enroll()
  const { recoveryCodes: others } = await service.person().enroll()
  const answers = await race(60, index => ['POST', '/mfa/recovery', { token: person.token(), body: { code: others?.[index % 10] } }])
  t.same(tally(answers), { 422: 5, 429: 55 })
  t.equal((await person.throttle('recovery')).failures, 5)
  t.equal((await person.throttle('totp')).failures, 0)
})

t.test('of 60 parallel wrong codes at confirm over two replicas five are answered, and what was started is gone', async t => {
  const service = await startService(t)
  const { race } = await startReplicas(t, service)
  const person = service.person()
  const { body: { factorId, secret } } = await person.call('POST', '/mfa/enroll')
  const code = service.clock.wrongCode(secret)
  const answers = await race(60, () => ['POST', '/mfa/enroll/confirm', { token: person.token(), body: { factorId, code } }])
  t.equal(tally(answers)[422], 5)
  // Who comes when all is over finds no pending factor.
  t.ok(answers.every(({ status }) => [404, 422, 429].includes(status)), JSON.stringify(tally(answers)))
  t.equal((await person.throttle('totp')).failures, 5)
  t.same(await service.db.rows`SELECT factor_id FROM enrollments WHERE tenant = ${person.tenant}`, [])
})

t.test('a wrong code counts though the client hangs up before the answer, at whatever moment', async t => {
  const service = await startService(t, { THROTTLE_WAITS: '0', THROTTLE_LOCK: '100', THROTTLE_DAY: '100', THROTTLE_MONTH: '300' })
  const { urls } = await startReplicas(t, service)
  const person = service.person()
  const { secret } = await person.enroll()
  const code = service.clock.wrongCode(secret)
  await Promise.all(Array.from({ length: 20 }, (_, index) => sendAndHangUp(urls[index % 2] as string, person, code, index % 5)))
  let failures = 0
  for (let attempt = 0; attempt < 100 && failures < 20; attempt++) {
    await sleep(100);
    ({ failures } = await person.throttle('totp'))
  }
  t.equal(failures, 20)
})

/** Sends a whole request, and resets the connection some milliseconds later without reading anything. */
async function sendAndHangUp (url: string, person: Person, code: string, afterMilliseconds: number): Promise<void> {
  const { hostname, port, host } = new URL(url)
  const body = JSON.stringify({ code })
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  await new Promise(resolve => socket.write(`POST /mfa/verify HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${person.token()}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`, resolve))
  await sleep(afterMilliseconds)
  socket.destroy()
  await once(socket, 'close')
}
