// The keys of an issuer by way of a proxy, as in networks where nothing else leads out. The certificate is the issuer's all the same.
import { readFileSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeAuthorities, makeCertificate } from '../../helpers/certificates.ts'
import { newTenant, publicPart, TestIssuer } from '../../helpers/issuers.ts'
import { startReplicas } from '../../helpers/replica.ts'
import { type Answer, callTo, type Service, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'
import { until } from '../../helpers/until.ts'

const listen = async (
  t: Test,
  server: {
    listen: (port: number, host: string) => { once: (event: 'listening', then: () => void) => unknown },
    address: () => unknown,
    close: () => unknown
  }
): Promise<number> => {
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1').once('listening', resolve) })
  t.teardown(() => { server.close() })
  return (server.address() as AddressInfo).port
}

interface Proxy { url: string, asked: string[], answer: 'tunnel' | 'silence' | 'refuse', sockets: Set<Socket> }

/** Who is asked to connect whither. The names of no DNS lead to this machine. */
async function startProxy (t: Test): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const proxy: Proxy = { url: '', asked: [], answer: 'tunnel', sockets }
  const server = createHttp((_request, response) => { response.writeHead(500).end() })
  server.on('connect', (request, client: Socket) => {
    sockets.add(client)
    client.on('error', () => {})
    proxy.asked.push(`${request.url as string} ${request.headers['proxy-authorization'] ?? ''}`.trim())
    if (proxy.answer === 'silence') return
    if (proxy.answer === 'refuse') { client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'); return }
    const upstream = connect(Number(new URL(`http://${request.url as string}`).port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      upstream.pipe(client).pipe(upstream)
    })
    upstream.on('error', () => { client.destroy() })
    sockets.add(upstream)
  })
  proxy.url = `http://127.0.0.1:${await listen(t, server)}`
  t.teardown(() => { for (const socket of sockets) socket.destroy() })
  return proxy
}

interface Stage {
  issuer: TestIssuer
  proxy: Proxy
  /** What the issuer's server answers. */
  say: (answer: { status?: number, body?: string, location?: string }) => void
  /** A service of its own process that knows the authority, with these variables besides: what it says of a token of the issuer. */
  start: (env?: Record<string, string | undefined>) => Promise<() => Promise<Answer>>
}

/** An issuer behind TLS by a name that only the proxy knows, whose authority the service is told of, or another. */
async function setUp (t: Test, { ca = 'ours' } = {}): Promise<Stage> {
  const dir = t.testdir()
  makeAuthorities(dir)
  makeCertificate(dir, 'DNS:keys.test,DNS:localhost', ca)
  const issuer = new TestIssuer('https://keys.test')
  let answer: Parameters<Stage['say']>[0] = {}
  const server = createHttps(
    { key: readFileSync(join(dir, 'server.key')), cert: readFileSync(join(dir, 'server.pem')) },
    (request, response) => {
      const { status = 200, body = JSON.stringify({ keys: issuer.keys.map(publicPart) }), location } = request.url === '/jwks.json'
        ? answer
        : {}
      response.writeHead(status, { 'content-type': 'application/json', ...(location !== undefined && { location }) }).end(body)
    })
  const port = await listen(t, server)
  t.teardown(() => { server.closeAllConnections() })
  const proxy = await startProxy(t)
  return {
    issuer,
    proxy,
    say: given => { answer = given },
    start: async (env = {}) => {
      const here = await useService(t)
      const there = {
        JWT_ISSUER: issuer.iss,
        JWT_ALGORITHMS: 'ES256',
        JWT_JWKS_URL: `https://${env.KEYS_HOST ?? 'keys.test'}:${port}/jwks.json`,
        NODE_EXTRA_CA_CERTS: join(dir, 'ours.pem'),
        HTTPS_PROXY: proxy.url,
        ...env
      }
      const { JWT_SECRET, ...others } = here.env
      const { urls: [, url] } = await startReplicas(t, { ...here, env: { ...others, ...there } } as Service)
      return async () => await callTo(url as string)('GET', '/mfa/status', { token: issuer.sign(here.clock, { tenant: newTenant() }) })
    }
  }
}

t.test('keys are fetched through the proxy, which sees no more than where to', async t => {
  const { proxy, start } = await setUp(t)
  const ask = await start({ HTTPS_PROXY: proxy.url.replace('://', '://user:pa%40ss@') })
  t.equal((await ask()).status, 200)
  t.match(proxy.asked, [new RegExp(`^keys\\.test:\\d+ Basic ${Buffer.from('user:pa@ss').toString('base64')}$`)])
})

t.test('in lower case too, and hosts of NO_PROXY are asked directly', async t => {
  const { proxy, start } = await setUp(t)
  const cases: Array<[env: Record<string, string | undefined>, isProxied: boolean]> = [
    [{ HTTPS_PROXY: undefined, https_proxy: proxy.url }, true],
    [{ KEYS_HOST: 'localhost', NO_PROXY: '.example.com, localhost' }, false],
    [{ KEYS_HOST: 'localhost', NO_PROXY: 'host', no_proxy: 'localhost' }, true]
  ]
  for (const [env, isProxied] of cases) {
    proxy.asked = []
    t.equal((await (await start(env))()).status, 200, JSON.stringify(env))
    t.equal(proxy.asked.length, isProxied ? 1 : 0, JSON.stringify(env))
  }
})

t.test('a certificate of another authority is refused behind the proxy as without it', async t => {
  const { proxy, start } = await setUp(t, { ca: 'other' })
  t.match(await (await start())(), { status: 503, body: { code: 'unavailable' } })
  t.ok(proxy.asked.length > 0)
})

t.test('the limits hold through the proxy: no redirect, no large answer, and no waiting for one that says nothing', async t => {
  const { proxy, say, start } = await setUp(t)
  const ask = await start()
  for (
    const answer of [{ status: 302, location: '/elsewhere' }, { body: JSON.stringify({ keys: [], filler: 'x'.repeat(300_000) }) }, {
      status: 203
    }, { body: '<html>' }]
  ) {
    say(answer)
    t.match(await ask(), { status: 503, body: { code: 'unavailable' } }, JSON.stringify(answer).slice(0, 60))
  }
  say({})
  for (const answer of ['refuse', 'silence'] as const) {
    proxy.answer = answer
    for (const socket of proxy.sockets) socket.destroy() // what is open would not ask again
    const began = performance.now()
    t.match(await ask(), { status: 503, body: { code: 'unavailable' } }, answer)
    t.ok(performance.now() - began < 20_000, `${answer}: bounded`)
  }
  proxy.answer = 'tunnel'
  await until(async () => (await ask()).status === 200)
  t.pass('and it heals by itself')
})

t.test('what is on this machine is asked without it, and the log does not tell its password', async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  const proxy = await startProxy(t)
  const env = {
    JWT_SECRET: undefined,
    JWT_ISSUER: issuer.iss,
    JWT_ALGORITHMS: 'ES256',
    HTTPS_PROXY: proxy.url.replace('://', '://user:canary-4711@')
  }
  const service = await startService(t, { ...env, JWT_JWKS_URL: issuer.jwksUrl })
  t.equal((await service.call('GET', '/mfa/status', { token: issuer.sign(service.clock, { tenant: newTenant() }) })).status, 200)
  t.same(proxy.asked, [])
  proxy.answer = 'refuse'
  const outside = await startService(t, { ...env, JWT_JWKS_URL: 'https://keys.test/jwks.json' })
  t.equal((await outside.call('GET', '/mfa/status', { token: issuer.sign(outside.clock, { tenant: newTenant() }) })).status, 503)
  t.equal(proxy.asked.length, 1)
  t.notMatch(outside.log.join(''), 'canary-4711')
})
