import t from 'tap'
import { claimsOf, startService } from '../helpers/service.ts'

t.test('the window is {T−1, T, T+1}, and nothing beside it', async t => {
  for (const [offset, status] of [[-3, 422], [-2, 422], [-1, 200], [0, 200], [1, 200], [2, 422], [3, 422]] as const) {
    const service = await startService(t)
    const person = service.person()
    const { secret } = await person.enroll()
    service.clock.advance(120)
    t.equal((await person.call('POST', '/mfa/verify', { code: service.clock.code(secret, offset) })).status, status, `T${offset}`)
  }
})

t.test('TOTP_WINDOW=past takes {T−1, T} alone', async t => {
  const service = await startService(t, { TOTP_WINDOW: 'past' })
  const person = service.person()
  const { secret } = await person.enroll()
  service.clock.advance(60)
  t.equal((await person.call('POST', '/mfa/verify', { code: service.clock.code(secret, 1) })).status, 422)
  t.equal((await person.call('POST', '/mfa/verify', { code: service.clock.code(secret, -1) })).status, 200)
})

t.test('after a step is accepted, it and every older one are dead, by every login and session', async t => {
  const service = await startService(t)
  const person = service.person()
  const { secret, token } = await person.enroll()
  service.clock.advance(60)
  const codes = [-1, 0, 1].map(offset => service.clock.code(secret, offset))
  t.equal((await person.call('POST', '/mfa/verify', { code: codes[2] })).status, 200)
  for (const bearer of [person.token(), person.token({ sid: 'another' }), token]) {
    for (const code of codes) t.equal((await person.call('POST', '/mfa/verify', { code }, bearer)).status, 422)
  }
  t.equal((await person.throttle('totp')).failures, 0, 'a replay costs nothing')
  service.clock.advance(60)
  t.equal((await person.call('POST', '/mfa/verify', { code: service.clock.code(secret) })).status, 200)
})

t.test('a clock that goes backwards revives no code', async t => {
  const service = await startService(t)
  const person = service.person()
  const { secret } = await person.enroll()
  service.clock.advance(300)
  await person.verify(secret)
  service.clock.advance(-120)
  t.equal((await person.call('POST', '/mfa/verify', { code: service.clock.code(secret) })).status, 422)
})

t.test('only six ASCII digits in a string are looked at; everything else is 400 and costs nothing', async t => {
  const service = await startService(t)
  const person = service.person()
  const { secret } = await person.enroll()
  const code = service.clock.code(secret)
  const malformed = [` ${code}`, `${code}\n`, `${code.slice(0, 3)} ${code.slice(3)}`, '+12345', '١٢٣٤٥٦', '１２３４５６', '1', '12345', '1234567', '1'.repeat(1000), '', null, 123456, [code], {}, true]
  for (const [index, value] of malformed.entries()) {
    const answer = await person.call('POST', '/mfa/verify', { code: value })
    t.equal(answer.status, 400, `malformed ${index}`)
    t.match(answer.body, { code: 'invalid_request', errors: [{ field: 'code' }] })
  }
  t.match((await person.call('POST', '/mfa/verify', {})).body, { errors: [{ field: 'code', message: 'is required' }] })
  t.equal((await person.throttle('totp')).failures, 0)
  t.equal((await person.call('POST', '/mfa/verify', { code })).status, 200, 'the code was not spent by any of them')
})

t.test('nothing that the client sends moves the time', async t => {
  const service = await startService(t)
  const person = service.person()
  const { secret } = await person.enroll()
  service.clock.advance(120)
  const code = service.clock.code(secret, -4)
  const headers = { date: 'Tue, 24 Nov 2020 00:00:00 GMT', 'x-time': '0', 'x-test-clock': '0' }
  t.equal((await service.call('POST', '/mfa/verify', { token: person.token(), body: { code }, headers })).status, 422)
  t.equal((await person.call('POST', '/mfa/verify', { code, timestamp: 0 })).status, 400)
})

t.test('magic codes open nothing', async t => {
  const service = await startService(t)
  const person = service.person()
  const { secret } = await person.enroll()
  for (const code of ['000000', '123456'].filter(code => [-1, 0, 1].every(offset => service.clock.code(secret, offset) !== code))) {
    t.equal((await person.call('POST', '/mfa/verify', { code })).status, 422)
  }
})

t.test('the answer is a token of this act, and when the next code is taken', async t => {
  const service = await startService(t)
  const person = service.person()
  const { secret, factorId } = await person.enroll()
  const { body } = await person.call('POST', '/mfa/verify', { code: service.clock.code(secret) })
  t.same(Object.keys(body).sort(), ['acr', 'amr', 'expiresIn', 'factorId', 'nextCodeAt', 'token', 'tokenType'])
  t.match(body, { factorId, acr: 'mfa', amr: ['pwd', 'otp', 'mfa'], tokenType: 'Bearer' })
  t.match(claimsOf(body.token), { auth_time: service.clock.seconds, fid: factorId })
  t.equal(body.nextCodeAt, new Date((Math.floor(service.clock.seconds / 30) + 1) * 30_000).toISOString())
  t.equal((await person.call('GET', '/mfa/factors')).body.items[0].nextCodeAt, body.nextCodeAt)
})

t.test('every act and refusal leaves one audit row that says who, what and from where, and no code', async t => {
  const service = await startService(t)
  const person = service.person()
  const { secret } = await person.enroll()
  const code = service.clock.code(secret)
  await person.call('POST', '/mfa/verify', { code })
  await person.call('POST', '/mfa/verify', { code })
  await person.call('POST', '/mfa/verify', { code: service.clock.wrongCode(secret) })
  const events = await person.events()
  t.same(events.map(event => `${event.action} ${event.outcome}`), ['factor.started success', 'factor.confirmed success', 'totp.accepted success', 'totp.refused failure', 'totp.refused failure'])
  const { id } = await person.row()
  for (const event of events) {
    t.match(event, { tenant: person.tenant, actor: id, subject: id, factor_kind: 'totp', address: '127.0.0.1', request_id: /^[\w-]{36}$/ })
    t.notMatch(JSON.stringify(event.details), code)
  }
})

t.test('an enrolled user is asked for a code though the policy is optional', async t => {
  const service = await startService(t)
  const person = service.person()
  await person.enroll()
  t.match((await person.call('GET', '/mfa/status')).body.decision, { action: 'verify', reason: 'factor_enrolled' })
})
