import t, { type Test } from 'tap'
import { checkProblem } from '../helpers/problems.ts'
import { raw, type RawAnswer, request } from '../helpers/raw.ts'
import { type Answer, type Service, startService, TestClock } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const RANDOM_ID = '00000000-0000-4000-8000-000000000000'
const CANARY = 'canary7391'

const check = (t: Test, answer: Answer, status: number, code: string, name = code): void => {
  checkProblem(t, { ...answer, headers: Object.fromEntries(answer.headers) }, status, code, name)
  t.notMatch(answer.text, CANARY, `${name}: nothing of the request is in it`)
}

const checkRaw = (t: Test, answer: RawAnswer, status: number, code: string, name: string): void =>
  checkProblem(t, { ...answer, body: JSON.parse(answer.body) }, status, code, name)

t.test('every error that a client can meet is a problem document', async t => {
  const service = await useService(t)
  const user = service.user({ roles: ['mfa:admin'] })
  const { call } = service
  const ask = (method: string, path: string, body?: unknown, token = user.token()): Promise<Answer> => call(method, path, { token, body })
  check(t, await call('GET', '/mfa/status', { token: CANARY }), 401, 'invalid_token')
  check(t, await call('GET', `/mfa/${CANARY}`), 404, 'not_found', 'an unknown path')
  check(
    t,
    await call('GET', '/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200'),
    404,
    'not_found',
    'a well-known path'
  )
  check(t, await call('GET', `/${CANARY}%zz`), 404, 'not_found', 'a path that does not decode')
  check(t, await ask('DELETE', `/mfa/factors/${CANARY}%zz`), 404, 'not_found', 'a parameter that does not decode')
  check(t, await ask('DELETE', `/mfa/factors/${CANARY.repeat(20)}`), 404, 'not_found', 'a parameter of 200 characters')
  check(t, await call('PUT', '/mfa/status'), 405, 'method_not_allowed')
  check(t, await ask('POST', '/mfa/verify', '{'), 400, 'invalid_request', 'JSON that breaks off')
  check(t, await ask('POST', '/mfa/verify', { code: CANARY }), 400, 'invalid_request', 'a field')
  check(t, await ask('DELETE', `/mfa/factors/${CANARY}`), 400, 'invalid_request', 'a parameter')
  check(t, await ask('GET', `/mfa/status?a=${CANARY}`), 400, 'invalid_request', 'a query')
  check(t, await ask('POST', '/mfa/verify', { code: CANARY.repeat(2000) }), 413, 'payload_too_large')
  check(
    t,
    await call('POST', '/mfa/verify', { token: user.token(), body: CANARY, headers: { 'content-type': `text/${CANARY}` } }),
    415,
    'unsupported_media_type'
  )
  check(t, await ask('GET', '/admin/policy'), 409, 'not_enrolled')
  const { secret, factorId, token } = await user.enroll()
  check(t, await ask('GET', '/admin/policy'), 401, 'step_up_required')
  check(t, await call('GET', '/admin/policy', { token: service.user().token() }), 403, 'forbidden')
  check(t, await ask('PATCH', `/mfa/factors/${RANDOM_ID}`, { label: CANARY }), 404, 'not_found', 'an id')
  check(t, await ask('POST', '/mfa/verify', { code: service.clock.wrongCode(secret) }), 422, 'code_refused')
  check(t, await ask('POST', '/mfa/enroll', { label: 'Authenticator 1' }, token), 409, 'label_taken')
  check(
    t,
    await call('PUT', '/admin/policy', { token, body: { enforcement: 'required' }, headers: { 'if-match': `"${CANARY}"` } }),
    412,
    'precondition_failed'
  )
  await ask('PUT', '/admin/policy', { enforcement: 'required' }, token)
  check(t, await ask('DELETE', `/mfa/factors/${factorId}`, undefined, token), 409, 'required_by_policy')
  await service.db.rows`UPDATE throttles SET wait_until = now() + interval '1 hour' WHERE tenant = ${user.tenant} AND kind = 'totp'`
  check(t, await ask('POST', '/mfa/verify', { code: service.clock.code(secret) }), 429, 'too_many_attempts')
  await service.db.rows`UPDATE throttles SET wait_until = NULL, locked_at = now() WHERE tenant = ${user.tenant} AND kind = 'totp'`
  check(t, await ask('POST', '/mfa/verify', { code: service.clock.code(secret) }), 403, 'factor_locked')
})

t.test('what the parser refuses before there is a request is a problem document too', async t => {
  const { url } = await useService(t)
  checkRaw(t, await raw(url, request('GET /mfa/status', [`X-Filler: ${'x'.repeat(70_000)}`])), 431, 'token_too_large', 'headers of 70 kB')
  checkRaw(t, await raw(url, request('NOSUCH /mfa/status')), 400, 'invalid_request', 'a method that is none')
  checkRaw(t, await raw(url, 'hello\r\n\r\n'), 400, 'invalid_request', 'something that is not HTTP')
  checkRaw(t, await raw(url, 'GET /mfa/status HTTP/1.1\r\nConnection: close\r\n\r\n'), 400, 'invalid_request', 'no Host')
  checkRaw(t, await raw(url, request('GET /mfa/status', ['Expect: the-unexpected'])), 401, 'invalid_token', 'an unknown expectation')
})

t.test('a fault of our own says nothing of its cause, in the answer or in the log', async t => {
  class Broken extends TestClock {
    override read = (): Date => { throw new Error(CANARY, { cause: new TypeError(CANARY) }) }
  }
  const service = await startService(t, {}, new Broken())
  check(t, await service.call('GET', '/mfa/status', { token: service.user().token() }), 500, 'internal')
  const line = service.log.find(line => line.includes('request failed')) as string
  t.match(JSON.parse(line), {
    level: 50,
    code: 'internal',
    err: { name: 'Error', frames: [/errors\.test\.ts/], cause: { name: 'TypeError' } }
  }, 'the log has where it was')
  t.notMatch(service.log.join(''), CANARY)
})

t.test('without the database nothing is accepted, and the process lives', async t => {
  const service = await startService(t, { DATABASE_URL: `postgresql://${CANARY}:${CANARY}@127.0.0.1:1/${CANARY}` })
  check(t, await service.call('GET', '/mfa/status', { token: service.user().token() }), 503, 'unavailable')
  check(t, await service.call('GET', '/health/ready'), 503, 'unavailable', 'readiness')
  t.equal((await service.call('GET', '/health/live')).status, 200)
  check(t, await service.call('GET', '/mfa/status', { token: 'x' }), 401, 'invalid_token', 'a bad token')
  t.notMatch(service.log.join(''), CANARY, 'the log has no database URL')
})

t.test('an error is said in the order of the contract: token, role, step-up, body, id', async t => {
  const service: Service = await useService(t)
  const user = service.user()
  const broken = { body: '{', headers: { 'content-type': 'text/plain' } }
  t.equal((await service.call('POST', '/mfa/verify', broken)).status, 401)
  t.equal((await service.call('PUT', '/admin/policy', { ...broken, token: user.token() })).status, 403)
  const admin = service.user({ roles: ['mfa:admin'] })
  t.equal((await service.call('PUT', '/admin/policy', { ...broken, token: admin.token() })).status, 409)
  const { token } = await admin.enroll()
  t.equal((await service.call('PUT', '/admin/policy', { ...broken, token: admin.token() })).status, 401)
  t.equal((await service.call('PUT', '/admin/policy', { ...broken, token })).status, 415)
  t.equal((await service.call('PUT', '/admin/policy', { body: '{', token, headers: { 'if-match': '"9"' } })).status, 400)
  t.equal((await service.call('PATCH', `/mfa/factors/${RANDOM_ID}`, { body: { label: '' }, token })).status, 400)
  t.equal((await service.call('PATCH', `/mfa/factors/${RANDOM_ID}`, { body: { label: 'x' }, token: admin.token() })).status, 404)
})
