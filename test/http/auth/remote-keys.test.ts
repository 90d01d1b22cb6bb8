import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { checkProblem } from '../../helpers/problems.ts'
import { rsaPair } from '../../helpers/rsa.ts'
import { type Answer, claimsOf, type User, type Service, startService } from '../../helpers/service.ts'
import { compact, refuseAll, withKey } from '../../helpers/tokens.ts'
import { until } from '../../helpers/until.ts'

interface Pair { privateKey: KeyObject, publicKey: KeyObject }

const ec = (): Pair => generateKeyPairSync('ec', { namedCurve: 'P-256' })

const setOf = (keys: Record<string, Pair>): string => JSON.stringify({
  keys: Object.entries(keys).map(([kid, { publicKey }]) => ({
    ...publicKey.export({ format: 'jwk' }),
    kid,
    use: 'sig',
    alg: publicKey.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256'
  }))
})

/** An issuer's key server, which a test may change, and the service that asks it. */
class Issuer {
  fetches = 0
  url = ''
  answer: RequestListener = (_request, response) => { response.end(setOf({})) }
  serve (keys: Record<string, Pair>): void {
    this.answer = (_request, response) => {
      response.setHeader('content-type', 'application/json').end(setOf(keys))
    }
  }

  async start (t: Test): Promise<Service> {
    const server = createServer((request, response) => { this.fetches++; this.answer(request, response) }).listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    t.teardown(() => { server.closeAllConnections(); server.close() })
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
    return await startService(t, { JWT_SECRET: undefined, JWT_JWKS_URL: this.url })
  }
}

const tokenOf = (user: User, kid: string | undefined, { privateKey }: Pair, header = {}): string =>
  compact(
    { alg: privateKey.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256', typ: 'JWT', kid, ...header },
    claimsOf(user.token()),
    withKey(privateKey)
  )

const ask = (service: Service, token: string): Promise<Answer> => service.call('GET', '/mfa/status', { token })

t.test('tokens are checked by the key that their kid names, of one kind and no other', async t => {
  const keys = { r: rsaPair(), e: ec() }
  const issuer = new Issuer()
  issuer.serve(keys)
  const service = await issuer.start(t)
  t.equal(issuer.fetches, 0, 'nothing is asked for before it is needed')
  const user = service.user()
  await refuseAll(t, service, user.tenant, {
    'another key': tokenOf(user, 'r', rsaPair()),
    'the other key\'s kid': tokenOf(user, 'r', keys.e),
    'a kid of the other kind': tokenOf(user, 'e', keys.r),
    'an algorithm that is not configured': compact(
      { alg: 'RS512', kid: 'r' },
      claimsOf(user.token()),
      withKey(keys.r.privateKey, 'sha512')
    ),
    HS256: compact({ alg: 'HS256', kid: 'r' }, claimsOf(user.token()), () => Buffer.alloc(32)),
    none: compact({ alg: 'none', kid: 'r' }, claimsOf(user.token()), () => Buffer.alloc(0)),
    'a kid of 300 characters': tokenOf(user, 'k'.repeat(300), keys.r),
    'a kid that is an object': tokenOf(user, { a: 1 } as never, keys.r),
    'jku elsewhere': tokenOf(user, 'evil', ec(), { jku: issuer.url.replace('jwks', 'evil') })
  })
  for (const [kid, pair] of Object.entries(keys)) {
    t.match(await ask(service, tokenOf(user, kid, pair)), { status: 200, body: { subject: user.sub } }, kid)
  }
  t.equal((await ask(service, tokenOf(user, undefined, keys.e))).status, 200, 'without a kid the one key that fits')
  t.ok(issuer.fetches <= 2)
})

t.test('a new key counts without a restart, once the key set has been asked again', async t => {
  const [old, fresh] = [ec(), ec()]
  const issuer = new Issuer()
  issuer.serve({ old })
  const service = await issuer.start(t)
  const user = service.user()
  t.equal((await ask(service, tokenOf(user, 'old', old))).status, 200)
  issuer.serve({ fresh })
  t.equal((await ask(service, tokenOf(user, 'fresh', fresh))).status, 401, 'not within 30 s of the last time')
  await afterCooldown(async () => {
    t.equal((await ask(service, tokenOf(user, 'fresh', fresh))).status, 200)
    t.equal((await ask(service, tokenOf(user, 'old', old))).status, 401, 'the old one has left')
  })
  t.equal(issuer.fetches, 2)
})

t.test('unknown kids cost the issuer one request in 30 s', async t => {
  const pair = ec()
  const issuer = new Issuer()
  issuer.serve({ k: pair })
  const service = await issuer.start(t)
  const user = service.user()
  t.equal((await ask(service, tokenOf(user, 'k', pair))).status, 200)
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(service, tokenOf(user, `unknown-${i}`, pair))))
  t.ok(answers.every(answer => answer.status === 401))
  t.equal(issuer.fetches, 1)
  await afterCooldown(async () => {
    await Promise.all(Array.from({ length: 50 }, (_, i) => ask(service, tokenOf(user, `unknown-${i}`, pair))))
    t.equal(issuer.fetches, 2, 'one for all that wait')
  })
})

t.test('a key set that cannot be had is 503 in bounded time, and no one is let in', async t => {
  const pair = ec()
  const troubles: Record<string, RequestListener> = {
    'no answer': () => {},
    'half an answer': (_request, response) => { response.write('{"keys":[') },
    'a huge one': (_request, response) => { response.end(`{"keys":[],"filler":"${'x'.repeat(300_000)}"}`) },
    'an endless one': (_request, response) => {
      const write = (): void => { if (!response.destroyed) { response.write('x'.repeat(10_000)); setTimeout(write, 5) } }
      write()
    },
    'a redirect': (request, response) => {
      request.url === '/good' ? response.end(setOf({ k: pair })) : response.writeHead(302, { location: '/good' }).end()
    },
    'no JSON': (_request, response) => { response.end('<html>') },
    'another JSON': (_request, response) => { response.end('{"keys":{}}') },
    'a 500': (_request, response) => { response.writeHead(500).end(setOf({ k: pair })) },
    'a 204 without a body': (_request, response) => { response.writeHead(204).end() },
    'a 404': (_request, response) => { response.writeHead(404).end() },
    'a broken connection': (request) => { request.socket.destroy() }
  }
  const cases = []
  for (const [name, answer] of Object.entries(troubles)) {
    const issuer = new Issuer()
    issuer.answer = answer
    cases.push({ name, issuer, service: await issuer.start(t) })
  }
  await Promise.all(cases.map(async ({ name, issuer, service }) => {
    const start = performance.now()
    const answered = await ask(service, tokenOf(service.user(), 'k', pair))
    t.ok(performance.now() - start < 12_000, `${name}: bounded`)
    checkProblem(t, { ...answered, headers: Object.fromEntries(answered.headers) }, 503, 'unavailable', name)
    issuer.serve({ k: pair })
    await until(async () => (await ask(service, tokenOf(service.user(), 'k', pair))).status === 200)
    t.pass(`${name}: it heals by itself`)
  }))
})

t.test('half an answer is bounded though garbage is collected meanwhile', async t => {
  const pair = ec()
  const issuer = new Issuer()
  issuer.answer = (_request, response) => { response.write('{"keys":[') }
  const service = await issuer.start(t)
  setFlagsFromString('--expose-gc')
  const collecting = setInterval(runInNewContext('gc') as () => void, 100)
  t.teardown(() => { clearInterval(collecting) })
  const start = performance.now()
  t.equal((await ask(service, tokenOf(service.user(), 'k', pair))).status, 503)
  t.ok(performance.now() - start < 12_000)
})

t.test('what is cached answers through an outage', async t => {
  const pair = ec()
  const issuer = new Issuer()
  issuer.serve({ k: pair })
  const service = await issuer.start(t)
  const user = service.user()
  t.equal((await ask(service, tokenOf(user, 'k', pair))).status, 200)
  issuer.answer = (request) => { request.socket.destroy() }
  await afterCooldown(async () => {
    t.equal((await ask(service, tokenOf(user, 'k', pair))).status, 200)
    t.equal((await ask(service, tokenOf(user, 'unknown', pair))).status, 503, 'whether an unknown key is good cannot be said')
  })
  t.equal((await ask(service, 'x.y.z')).status, 401)
})

/** jose keeps the time of its last request by Date.now: half a minute later by that clock. */
async function afterCooldown (then: () => Promise<void>): Promise<void> {
  const { now } = Date
  Date.now = () => now() + 31_000
  try { await then() } finally { Date.now = now }
}
