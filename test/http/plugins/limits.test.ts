import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createListener } from '../../../src/http/plugins/connections.ts'
import { registerErrors } from '../../../src/http/errors.ts'
import { addressOf, registerLimits } from '../../../src/http/plugins/limits.ts'
import { Metrics } from '../../../src/http/plugins/metrics.ts'
import { Refusals } from '../../../src/http/auth/refusals.ts'
import { checkProblem } from '../../helpers/problems.ts'
import { raw, type Wire, wire } from '../../helpers/raw.ts'
import { type Service, startService } from '../../helpers/service.ts'
import { until } from '../../helpers/until.ts'

const FORGED = {
  'x-forwarded-for': '203.0.113.9',
  'x-real-ip': '203.0.113.9',
  forwarded: 'for=203.0.113.9',
  'cf-connecting-ip': '203.0.113.9',
  'true-client-ip': '203.0.113.9',
  'x-client-ip': '203.0.113.9',
  'x-forwarded-host': 'evil.test',
  'x-forwarded-proto': 'https'
}

const refusalsOf = ({ log }: FastifyInstance): Refusals => new Refusals({ log, metrics: new Metrics(), isProduction: true })

/** The address that the audit has of a call with these headers. */
async function audited (service: Service, headers: Record<string, string>): Promise<string | undefined> {
  const user = service.user()
  await service.call('GET', '/admin/policy', { token: user.token(), headers })
  return (await user.events()).at(-1)?.address
}

t.test('a client that is no trusted proxy can\'t say where it comes from', async t => {
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
  t.equal(
    await audited(service, { 'x-forwarded-for': '198.51.100.7, 203.0.113.9' }),
    '203.0.113.9',
    'what the client forged stands before it'
  )
  t.equal(await audited(service, { 'x-forwarded-for': '198.51.100.7, 203.0.113.9, 10.1.1.1' }), '203.0.113.9', 'two proxies')
  t.equal(
    await audited(service, { 'x-forwarded-for': '198.51.100.7:80, 203.0.113.9:4711, 10.1.1.1:443' }),
    '203.0.113.9',
    'that add their ports'
  )
  t.equal(
    await audited(service, { 'x-forwarded-for': '198.51.100.7, unknown, 10.1.1.1:443' }),
    '127.0.0.1',
    'what is no address does not count'
  )
  t.equal(await audited(service, { 'x-forwarded-for': '2001:db8::1' }), '2001:db8::1')
  t.equal(await audited(service, { ...FORGED, 'x-forwarded-for': '198.51.100.7' }), '198.51.100.7')
  t.equal(await audited(service, { 'x-real-ip': '203.0.113.9', forwarded: 'for=203.0.113.9' }), '127.0.0.1')
})

t.test('what a trusted proxy names that is no address never becomes one, nor a fault', async t => {
  const service = await startService(t, { TRUSTED_PROXIES: '127.0.0.0/8', RATE_LIMIT_PER_MINUTE: '1000' })
  t.equal(await audited(service, { 'x-forwarded-for': '203.0.113.9:4711' }), '203.0.113.9', 'some add a port')
  t.equal(await audited(service, { 'x-forwarded-for': '[2001:db8::1]:4711' }), '2001:db8::1')
  t.equal(await audited(service, { 'x-forwarded-for': '[2001:db8::1]' }), '2001:db8::1')
  for (const text of ['unknown', 'canary', '_hidden', '1.2.3', '999.1.1.1', "'; DROP TABLE users --", 'x'.repeat(5000), '']) {
    t.equal(await audited(service, { 'x-forwarded-for': text }), '127.0.0.1', text.slice(0, 20))
  }
})

t.test('an address is itself, or the one on the other end', t => {
  const socket = { remoteAddress: '192.0.2.1' } as never
  t.equal(addressOf({ ip: '2001:db8::5:80', socket }), '2001:db8::5:80', 'that is no port')
  t.equal(addressOf({ ip: 'x', socket: {} as never }), '0.0.0.0', 'a socket that is gone')
  t.end()
})

t.test('a flood from one address is stopped, with every token and whatever it asks for', async t => {
  const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '5', TRUSTED_PROXIES: '127.0.0.0/8' })
  const user = service.user()
  const from = (
    address: string,
    path = '/mfa/status',
    method = 'GET',
    token: string | undefined = user.token()
  ): ReturnType<Service['call']> => service.call(method, path, { token, headers: { 'x-forwarded-for': address } })
  for (
    const [method, path, token] of [
      ['GET', '/mfa/status', user.token()],
      ['GET', '/mfa/status', undefined],
      ['POST', '/mfa/verify', user.token()],
      ['PUT', '/mfa/status', undefined],
      ['GET', '/nothing', undefined]
    ] as const
  ) {
    const { status } = await from('203.0.113.1', path, method, token)
    t.not(status, 429, `${method} ${path}`)
  }
  for (
    const [method, path] of [['GET', '/mfa/status'], ['POST', '/mfa/verify'], ['PUT', '/mfa/status'], ['GET', '/nothing'], [
      'GET',
      '/openapi.json'
    ]] as const
  ) {
    const answer = await from('203.0.113.1', path, method)
    checkProblem(t, { ...answer, headers: Object.fromEntries(answer.headers) }, 429, 'too_many_attempts', `${method} ${path}`)
    t.ok(Number(answer.headers.get('retry-after')) <= 60)
    for (const name of ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset']) t.notOk(answer.headers.has(name), `no ${name}`)
  }
  t.equal((await from('203.0.113.2')).status, 200, 'another address is free')
  for (const path of ['/health/live', '/health/ready', '/.well-known/jwks.json']) {
    t.equal((await from('203.0.113.1', path)).status, 200, `${path} is not counted`)
  }
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
  for (let i = 1; i <= 7; i++) {
    statuses.push((await service.call('GET', '/mfa/status', { headers: { 'x-forwarded-for': `2001:db8:1:2:${i}::${i}` } })).status)
  }
  t.same(statuses, [401, 401, 401, 401, 401, 429, 429])
})

t.test('a flood costs no user a try, and a limit of 0 is none', async t => {
  const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '5' })
  const user = service.user()
  for (let i = 0; i < 5; i++) await service.call('GET', '/openapi.json')
  t.equal((await user.call('POST', '/mfa/verify', { code: '000000' })).status, 429)
  t.equal((await service.db.rows`SELECT 1 FROM users WHERE tenant = ${user.tenant}`).length, 0, 'nothing was looked up')
  const open = await startService(t, { RATE_LIMIT_PER_MINUTE: '0' })
  for (let i = 0; i < 20; i++) t.equal((await open.call('GET', '/nothing')).status, 404)
})

t.test('who goes on after the flood limit waits for each answer, as long as not too many do', async t => {
  const app = Fastify() as unknown as FastifyInstance
  registerErrors(app, refusalsOf(app))
  await registerLimits(app, 1, { pause: { milliseconds: 300, atMost: 2 } })
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

t.test('of more addresses than are remembered the quiet ones are forgotten, and none that goes on', async t => {
  const app = Fastify({ trustProxy: true }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  registerErrors(app, refusalsOf(app))
  await registerLimits(app, 1, { pause: { milliseconds: 0, atMost: 0 }, addresses: 100 })
  app.get('/', async () => ({}))
  const ask = async (address: string): Promise<number> =>
    (await app.inject({ url: '/', headers: { 'x-forwarded-for': address } })).statusCode
  t.equal(await ask('192.0.2.1'), 200)
  t.equal(await ask('192.0.2.2'), 200)
  for (let n = 0; n < 150; n++) {
    t.equal(await ask(`198.51.100.${n}`), 200)
    t.equal(await ask('192.0.2.1'), 429)
  }
  t.equal(await ask('192.0.2.2'), 200)
})

t.test('one address is answered eight requests at a time, however many it sends; another one is not kept waiting by it', async t => {
  const app = Fastify() as unknown as FastifyInstance
  await registerLimits(app, 1000)
  const open: Array<() => void> = []
  app.get('/slow', async () => { await new Promise<void>(resolve => { open.push(resolve) }) })
  app.get('/', async () => 'x')
  app.get('/health/live', async () => 'x')
  const ask = (url: string, remoteAddress: string): Promise<number> =>
    app.inject({ url, remoteAddress }).then(({ statusCode }) => statusCode)
  const slow = Array.from({ length: 10 }, () => ask('/slow', '192.0.2.1'))
  await sleep(50)
  t.equal(open.length, 8)
  let isAnswered = false
  const next = ask('/', '192.0.2.1').then(status => { isAnswered = true; return status })
  t.equal(await ask('/', '192.0.2.2'), 200)
  t.equal(await ask('/health/live', '192.0.2.1'), 200, 'a probe does not wait')
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

interface Small {
  url: string
  open: Array<() => void>
  begun: (count: number) => Promise<void>
  ask: (init?: RequestInit) => Promise<Response>
}

/** A listener with a share of one address that is as small as it gets; what it is asked is answered when the test says so. */
async function startSmall (t: Test, { maxWaiting = 1, maxWaitMs = 60_000 } = {}): Promise<Small> {
  const app = Fastify({ serverFactory: handle => createListener(handle) }) as unknown as FastifyInstance
  registerErrors(app, refusalsOf(app))
  await registerLimits(app, 1000, { share: { atOnce: 1, maxWaiting, maxWaitMs } })
  const open: Array<() => void> = []
  app.route({ method: ['GET', 'POST'], url: '/slow', handler: async () => { await new Promise<void>(resolve => { open.push(resolve) }) } })
  t.teardown(() => { app.server.closeAllConnections(); return app.close() })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { url, open, begun: async count => { await until(() => open.length >= count) }, ask: init => fetch(`${url}/slow`, init) }
}

t.test('a request that comes while too many of its address wait is refused at once, and so is one that waits for too long', async t => {
  const { open, begun, ask } = await startSmall(t, { maxWaitMs: 300 })
  const served = ask()
  await begun(1)
  const answers = await Promise.all([ask(), ask(), ask()])
  for (const answer of answers) {
    t.match({ status: answer.status, body: await answer.json() }, { status: 503, body: { code: 'unavailable' } })
    t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/)
  }
  t.equal(open.length, 1, 'nothing was begun for them')
  open[0]?.()
  t.equal((await served).status, 200)
})

t.test('who hangs up has no turn any more, and no place in the queue', async t => {
  const { url, open, begun, ask } = await startSmall(t)
  const leaving = new AbortController()
  const served = t.rejects(ask({ signal: leaving.signal }))
  await begun(1)
  const waiting = await wire(t, url)
  waiting.socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(async () => (await ask()).status === 503)
  waiting.socket.resetAndDestroy()
  let next = ask()
  while (await Promise.race([next.then(({ status }) => status), sleep(100)]) === 503) next = ask()
  leaving.abort()
  await served
  await begun(2)
  open[1]?.()
  t.equal((await next).status, 200)
  await sleep(100)
  t.equal(open.length, 2, 'a client that left before its turn is not served')
})

t.test('a turn is not held while a body is waited for, and not taken for who has gone meanwhile', async t => {
  const { url, open, begun, ask } = await startSmall(t)
  const post = 'POST /slow HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{'
  const [slow, gone] = [await wire(t, url), await wire(t, url)]
  for (const { socket } of [slow, gone]) socket.write(post)
  await sleep(100)
  const served = ask()
  await begun(1)
  slow.socket.write('}')
  await sleep(100)
  t.equal(open.length, 1, 'with its body it waits for its turn')
  gone.socket.end('}')
  await gone.closed
  open[0]?.()
  t.equal((await served).status, 200)
  await begun(2)
  open[1]?.()
  t.equal((await slow.until(1))[0]?.status, 200)
})

t.test('a client that has gone before it could be let in takes no turn', async t => {
  const app = Fastify({ serverFactory: handle => createListener(handle) }) as unknown as FastifyInstance
  let letIn = (): void => {}
  app.addHook('onRequest', async ({ url }) => { if (url === '/first') await new Promise<void>(resolve => { letIn = resolve }) })
  await registerLimits(app, 1000, { share: { atOnce: 1, maxWaiting: 1, maxWaitMs: 60_000 } })
  app.get('/*', async () => ({}))
  t.teardown(() => app.close())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const first = await wire(t, url)
  first.socket.write('GET /first HTTP/1.1\r\nHost: x\r\n\r\n', () => { first.socket.resetAndDestroy() })
  await first.closed
  await sleep(100)
  letIn()
  await sleep(20)
  for (let i = 0; i < 3; i++) t.equal((await fetch(url)).status, 200)
})

t.test('a client that has gone is not kept waiting for its refusal', async t => {
  const app = Fastify({ serverFactory: handle => createListener(handle) }) as unknown as FastifyInstance
  registerErrors(app, refusalsOf(app))
  const asked = new EventEmitter()
  app.addHook('onRequest', async () => { asked.emit('request') })
  await registerLimits(app, 1, { pause: { milliseconds: 2 ** 31 - 1, atMost: 1 } })
  app.get('/', async () => ({}))
  t.teardown(() => { app.server.closeAllConnections(); return app.close() })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.equal((await fetch(url)).status, 200)
  const pause = async (): Promise<Wire> => {
    const refused = await wire(t, url)
    refused.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(asked, 'request')
    return refused
  }
  const refused = await pause()
  t.equal((await fetch(url)).status, 429, 'the one place to wait in is taken')
  refused.socket.resetAndDestroy()
  await refused.closed
  await sleep(100)
  const { answers } = await pause()
  await sleep(100)
  t.same(answers(), [], 'and is free again')
})

t.test('a request names its host once, on both listeners', async t => {
  const service = await startService(t, { ADMIN_PORT: '0' })
  const urls = [service.url, await service.app.listenAdmin('127.0.0.1', 0)]
  const ask = async (url: string, ...headers: string[]): Promise<{ status: number, body: any }> => {
    const { status, body } = await raw(url, ['GET /health/live HTTP/1.1', ...headers, 'Connection: close', '', ''].join('\r\n'))
    return { status, body: JSON.parse(body) }
  }
  for (const url of urls) {
    for (const hosts of [[], ['a', 'b'], ['a', 'a'], ['a b'], ['a/b'], ['a@b'], ['a:x'], ['[::1'], ['a, b']]) {
      const answer = await ask(url, ...hosts.map((host, index) => `${['Host', 'hOST'][index] as string}: ${host}`))
      t.match(answer, { status: 400, body: { code: 'invalid_request', errors: [{ field: 'headers.host' }] } }, JSON.stringify(hosts))
    }
    for (const host of ['', 'a', 'mfa.example.com:443', '127.0.0.1:3000', '[::1]:3000', 'a_b', 'a:']) {
      t.equal((await ask(url, `Host: ${host}`)).status, 200, JSON.stringify(host))
    }
  }
  t.equal((await raw(service.url, 'GET /health/live HTTP/1.0\r\n\r\n')).status, 200, 'before HTTP/1.1 there was none')
})

t.test('every answer forbids caching, sniffing, framing and loading, and names no software', async t => {
  const service = await startService(t)
  const user = service.user()
  for (
    const [method, path, status] of [['GET', '/mfa/status', 200], ['POST', '/mfa/enroll', 201], ['GET', '/openapi.json', 200], [
      'GET',
      '/openapi.yaml',
      200
    ]] as const
  ) {
    const answer = await user.call(method, path)
    t.equal(answer.status, status, path)
    t.match(Object.fromEntries(answer.headers), {
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'content-type': /; charset=utf-8$/
    }, path)
    for (const name of ['server', 'x-powered-by', 'set-cookie', 'location', 'access-control-allow-origin']) {
      t.notOk(answer.headers.has(name), `${path}: no ${name}`)
    }
  }
})
