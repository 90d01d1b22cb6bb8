import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { startService } from '../../../test/helpers/service.ts'
import { createMfaClient, type Decision, MfaError, type Problem, problemOf } from '../src/index.ts'
import { wire } from './wired.ts'

const service = await startService(t)
const problem = async (call: Promise<unknown>): Promise<Problem> => await call.then(() => { throw new Error('it was answered') }, problemOf)

t.test('a refusal is a problem by its code, whose members are known by it', async t => {
  const user = service.user()
  const { mfa } = wire(user)
  const { factorId, secret } = await mfa.startEnrollment()
  t.match(await problem(mfa.confirmEnrollment({ factorId, code: 'abcdef' })), {
    code: 'invalid_request',
    status: 400,
    errors: [{ field: 'code' }]
  })
  await mfa.confirmEnrollment({ factorId, code: service.clock.code(secret) })
  t.match(await problem(mfa.getPolicy()), { code: 'forbidden', status: 403 })
  t.match(await problem(mfa.renameFactor(randomUUID(), { label: 'x' })), { code: 'not_found', status: 404 })
  const code = service.clock.wrongCode(secret)
  for (let i = 0; i < 5; i++) t.match(await problem(mfa.verify({ code })), { code: 'code_refused', detail: String })
  const wait = await problem(mfa.verify({ code }))
  t.ok(wait.code === 'too_many_attempts' && wait.retryAfter > 25 && wait.retryAfter <= 30, 'the wait is a number')
  t.equal((await problem(wire(user, { getToken: () => 'nonsense' }).mfa.getStatus())).code, 'invalid_token')
  t.match(await problem(wire(user, { getToken: () => null }).mfa.getStatus()), {
    code: 'invalid_token',
    cause: 'there is no token in Authorization'
  })
})

t.test('a step-up says what helps, and how fresh it must be', async t => {
  const user = service.user()
  const stale = wire(user, { getToken: () => user.token({ auth_time: service.clock.seconds - 3600 }) })
  const login = await problem(stale.mfa.startEnrollment())
  t.match(login, { code: 'step_up_required', action: 'login', maxAge: 900 })
  const ageless = { getToken: () => user.token({ auth_time: undefined }), onStepUp: () => t.fail('a new login would not help') }
  t.match(await problem(wire(user, ageless).mfa.startEnrollment()), { code: 'login_time_unknown', status: 403 })
  await user.enroll()
  t.match(await problem(wire(user).mfa.startEnrollment()), { code: 'step_up_required', action: 'verify', maxAge: 900 })
})

t.test('no answer of the service is told apart from every answer of it', async t => {
  const answers: Array<[status: number, type: string, body: string]> = [
    [200, 'text/html', '<h1>Log in</h1>'],
    [502, 'text/html', 'Bad gateway'],
    [403, 'application/json', '{}'],
    [200, 'application/json', '{'],
    [401, 'application/problem+json', 'oops']
  ]
  let answer = answers[0] as typeof answers[0]
  const server = createServer((_request, response) => {
    response.writeHead(answer[0], { 'content-type': answer[1] }).end(answer[2])
  }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (answer of answers) {
    t.match(await problem(createMfaClient({ baseUrl }).getStatus()), { code: 'unreachable' }, `${answer[0]} ${answer[2]}`)
  }
  const gone = await problem(createMfaClient({ baseUrl: 'http://127.0.0.1:1' }).getStatus())
  t.match(gone, { code: 'unreachable', status: 0, cause: Error })
})

t.test('a problem of a kind that is newer than the client keeps its code, and other errors stay what they are', async t => {
  const body = { type: 't', title: 't', status: 418, detail: 'd', instance: 'i', code: 'new_one' }
  const mfa = createMfaClient({
    baseUrl: '',
    fetch: async () =>
      new Response(JSON.stringify(body), { status: 418, headers: { 'content-type': 'application/problem+json; charset=utf-8' } })
  })
  t.match(await mfa.getStatus().catch((error: unknown) => error), { name: 'MfaError', message: 'new_one: d', problem: body })
  t.ok(await mfa.getStatus().catch((error: unknown) => error instanceof MfaError && error.stack !== undefined))
  t.throws(() => problemOf(new TypeError('a mistake')), TypeError)
})

t.test('a call can be ended', async t => {
  const controller = new AbortController()
  const call = wire(service.user()).mfa.getStatus({ signal: controller.signal })
  controller.abort()
  await t.rejects(call, { name: 'AbortError' })
})

t.test('a decision is a state to switch over', async t => {
  // Compiled only if each case knows its members and there is no other case.
  const next = (decision: Decision): string => {
    switch (decision.action) {
      case 'allow': return decision.deadline ?? 'pass'
      case 'verify': return 'ask for a code'
      case 'enroll': return decision.loginTimeUnknown === true ? 'stop' : decision.loginFirst === true ? 'sign in' : 'set up'
      case 'deny': return 'turn away'
    }
  }
  const { mfa } = wire(service.user())
  t.equal(next((await mfa.getStatus()).decision), 'pass')
})
