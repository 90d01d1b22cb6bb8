import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { registerErrors } from '../../src/http/errors.ts'
import { addressOf, registerLimits } from '../../src/http/limits.ts'
import { checkProblem } from '../helpers/problems.ts'
import { type Service, startService } from '../helpers/service.ts'

const FORGED = { 'x-forwarded-for': '203.0.113.9', 'x-real-ip': '203.0.113.9', forwarded: 'for=203.0.113.9', 'cf-connecting-ip': '203.0.113.9', 'true-client-ip': '203.0.113.9', 'x-client-ip': '203.0.113.9', 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https' }

/** The address that the audit has of a call with these headers. */
async function audited (service: Service, headers: Record<string, string>): Promise<string | undefined> {
  const person = service.person()
  await service.call('GET', '/admin/policy', { token: person.token(), headers })
  return (await person.events()).at(-1)?.address
}

t.test('who is no trusted proxy can\'t say where he comes from', async t => {
  for (const env of [{}, { TRUSTED_PROXIES: '10.0.0.0/8,192.0.2.1/32,fd00::/8' }]) {
    const service = await startService(t, env)
    t.equal(await audited(service, FORGED), '127.0.0.1')
    t.equal(await audited(service, { 'x-forwarded-for': '127.0.0.1, 10.0.0.1, 192.0.2.1' }), '127.0.0.1')
    t.match(service.log.filter(line => line.includes('"request"')).map(line => JSON.parse(line).address), ['127.0.0.1'], 'in the log')
    t.notMatch(service.log.join(''), /203\.0\.113\.9|evil\.test/)
  }
})

t.test('of a trusted proxy the last address before the trusted ones counts, and only its own header', async t => {
  const service = await startService(t, { TRUSTED_PROXIES: '127.0.0.0/8,10.0.0.0/8' })
  t.equal(await audited(service, { 'x-forwarded-for': '203.0.113.9' }), '203.0.113.9')
  t.equal(await audited(service, { 'x-forwarded-for': '198.51.100.7, 203.0.113.9' }), '203.0.113.9', 'what the client forged stands before it')
  t.equal(await audited(service, { 'x-forwarded-for': '198.51.100.7, 203.0.113.9, 10.1.1.1' }), '203.0.113.9', 'two proxies')
  t.equal(await audited(service, { 'x-forwarded-for': '2001:db8::1' }), '2001:db8::1')
  t.equal(await audited(service, { ...FORGED, 'x-forwarded-for': '198.51.100.7' }), '198.51.100.7')
  t.equal(await audited(service, { 'x-real-ip': '203.0.113.9', forwarded: 'for=203.0.113.9' }), '127.0.0.1')
})

t.test('what a trusted proxy names that is no address never becomes one, nor a fault', async t => {
  const service = await startService(t, { TRUSTED_PROXIES: '127.0.0.0/8', RATE_LIMIT_PER_MINUTE: '1000' })
  t.equal(await audited(service, { 'x-forwarded-for': '203.0.113.9:4711' }), '203.0.113.9', 'some add a port')
  t.equal(await audited(service, { 'x-forwarded-for': '[2001:db8::1]:4711' }), '2001:db8::1')
  t.equal(await audited(service, { 'x-forwarded-for': '[2001:db8::1]' }), '2001:db8::1')
  for (const text of ['unknown', 'canary', '_hidden', '1.2.3', '999.1.1.1', '\'; DROP TABLE users --', 'x'.repeat(5000), '']) t.equal(await audited(service, { 'x-forwarded-for': text }), '127.0.0.1', text.slice(0, 20))
})

t.test('an address is itself, or the one on the other end', t => {
  const socket = { remoteAddress: '192.0.2.1' } as never
  t.equal(addressOf({ ip: '2001:db8::5:80', socket }), '2001:db8::5:80', 'that is no port')
  t.equal(addressOf({ ip: 'x', socket: {} as never }), '0.0.0.0', 'a socket that is gone')
  t.end()
})

t.test('a flood from one address is stopped, whoever sends it and whatever it asks for', async t => {
  const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '5', TRUSTED_PROXIES: '127.0.0.0/8' })
  const person = service.person()
  const from = (address: string, path = '/mfa/status', method = 'GET', token: string | undefined = person.token()): ReturnType<Service['call']> =>
    service.call(method, path, { token, headers: { 'x-forwarded-for': address } })
  for (const [method, path, token] of [['GET', '/mfa/status', person.token()], ['GET', '/mfa/status', undefined], ['POST', '/mfa/verify', person.token()], ['PUT', '/mfa/status', undefined], ['GET', '/nothing', undefined]] as const) {
    const { status } = await from('203.0.113.1', path, method, token)
    t.not(status, 429, `${method} ${path}`)
  }
  for (const [method, path] of [['GET', '/mfa/status'], ['POST', '/mfa/verify'], ['PUT', '/mfa/status'], ['GET', '/nothing'], ['GET', '/openapi.json']] as const) {
    const answer = await from('203.0.113.1', path, method)
    checkProblem(t, { ...answer, headers: Object.fromEntries(answer.headers) }, 429, 'too_many_attempts', `${method} ${path}`)
    t.ok(Number(answer.headers.get('retry-after')) <= 60)
    for (const name of ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset']) t.notOk(answer.headers.has(name), `no ${name}`)
  }
  t.equal((await from('203.0.113.2')).status, 200, 'another address is free')
  for (const path of ['/health/live', '/health/ready', '/.well-known/jwks.json']) t.equal((await from('203.0.113.1', path)).status, 200, `${path} is not counted`)
})

t.test('no header opens another account of the flood limit', async t => {
  const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '5' })
  const statuses = []
  for (let i = 0; i < 10; i++) {
    const headers = Object.fromEntries(Object.entries(FORGED).map(([name, value]) => [name, value.replace('.9', `.${i}`)]))
    statuses.push((await service.call('GET', '/mfa/status', { headers })).status)
  }
  t.same(statuses, [401, 401, 401, 401, 401, 429, 429, 429, 429, 429])
})

t.test('the whole /64 of IPv6 is one source', async t => {
  const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '5', TRUSTED_PROXIES: '127.0.0.0/8' })
  const statuses = []
  for (let i = 1; i <= 7; i++) statuses.push((await service.call('GET', '/mfa/status', { headers: { 'x-forwarded-for': `2001:db8:1:2:${i}::${i}` } })).status)
  t.same(statuses, [401, 401, 401, 401, 401, 429, 429])
})

t.test('a flood costs nobody a try, and a limit of 0 is none', async t => {
  const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '5' })
  const person = service.person()
  for (let i = 0; i < 5; i++) await service.call('GET', '/openapi.json')
  t.equal((await person.call('POST', '/mfa/verify', { code: '000000' })).status, 429)
  t.equal((await service.db.rows`SELECT 1 FROM users WHERE tenant = ${person.tenant}`).length, 0, 'nothing was looked up')
  const open = await startService(t, { RATE_LIMIT_PER_MINUTE: '0' })
  for (let i = 0; i < 20; i++) t.equal((await open.call('GET', '/nothing')).status, 404)
})

t.test('who goes on after the flood limit waits for each answer, as long as not too many do', async t => {
  const app = Fastify() as unknown as FastifyInstance
  registerErrors(app)
  await registerLimits(app, 1, { milliseconds: 300, atMost: 2 })
  app.get('/', async () => ({}))
  const ask = async (): Promise<{ status: number, ms: number }> => {
    const start = performance.now()
    const { statusCode } = await app.inject('/')
    return { status: statusCode, ms: performance.now() - start }
  }
  t.equal((await ask()).status, 200)
  for (const round of [1, 2]) {
    const answers = await Promise.all([ask(), ask(), ask()])
    t.same(answers.map(({ status }) => status), [429, 429, 429])
    t.same(answers.map(({ ms }) => ms > 290), [true, true, false], `the third is told at once, round ${round}`)
  }
  await app.close()
})

t.test('one address is answered eight requests at a time, however many it sends; another one is not kept waiting by it', async t => {
  const app = Fastify() as unknown as FastifyInstance
  await registerLimits(app, 1000)
  const open: Array<() => void> = []
  app.get('/slow', async () => { await new Promise<void>(resolve => { open.push(resolve) }) })
  app.get('/', async () => 'x')
  app.get('/health/live', async () => 'x')
  const ask = (url: string, remoteAddress: string): Promise<number> => app.inject({ url, remoteAddress }).then(({ statusCode }) => statusCode)
  const slow = Array.from({ length: 10 }, () => ask('/slow', '192.0.2.1'))
  await sleep(50)
  t.equal(open.length, 8)
  let isAnswered = false
  const next = ask('/', '192.0.2.1').then(status => { isAnswered = true; return status })
  t.equal(await ask('/', '192.0.2.2'), 200)
  t.equal(await ask('/health/live', '192.0.2.1'), 200, 'a probe waits for nobody')
  t.equal(isAnswered, false)
  for (let ended = 0; ended < 10; ended++) {
    open[ended]?.()
    await sleep(5)
    t.equal(open.length, Math.min(10, 9 + ended))
  }
  t.same(await Promise.all(slow), Array.from({ length: 10 }, () => 200))
  t.equal(await next, 200)
  await app.close()
})

t.test('the turns of those who hang up, served or waiting, are the others\'', async t => {
  const app = Fastify() as unknown as FastifyInstance
  await registerLimits(app, 1000)
  const served: string[] = []
  app.get('/slow', async ({ id }) => {
    served.push(id)
    await sleep(2 ** 31 - 1, undefined, { ref: false })
  })
  app.get('/', async () => 'x')
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => { app.server.closeAllConnections(); return app.close() })
  const leaving = new AbortController()
  const left = Array.from({ length: 20 }, () => t.rejects(fetch(`${url}/slow`, { signal: leaving.signal })))
  while (served.length < 8) await sleep(5)
  await sleep(100)
  t.equal(served.length, 8)
  leaving.abort()
  await Promise.all(left)
  const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(url)))
  t.same(answers.map(({ status }) => status), Array.from({ length: 20 }, () => 200))
})

t.test('every answer forbids caching, sniffing, framing and loading, and names no software', async t => {
  const service = await startService(t)
  const person = service.person()
  for (const [method, path, status] of [['GET', '/mfa/status', 200], ['POST', '/mfa/enroll', 201], ['GET', '/openapi.json', 200], ['GET', '/openapi.yaml', 200]] as const) {
    const answer = await person.call(method, path)
    t.equal(answer.status, status, path)
    t.match(Object.fromEntries(answer.headers), {
      'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none';frame-ancestors 'none'", 'strict-transport-security': 'max-age=31536000; includeSubDomains', 'referrer-policy': 'no-referrer', 'x-frame-options': 'DENY', 'content-type': /; charset=utf-8$/
    }, path)
    for (const name of ['server', 'x-powered-by', 'set-cookie', 'location', 'access-control-allow-origin']) t.notOk(answer.headers.has(name), `${path}: no ${name}`)
  }
})
