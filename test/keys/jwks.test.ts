import t from 'tap'
import { headerOf, signingKey, startService } from '../helpers/service.ts'

const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth']

const setOf = (...keys: object[]): { MFA_SIGNING_KEYS: string } => ({ MFA_SIGNING_KEYS: JSON.stringify({ keys }) })

t.test('the key set holds the public half of every key, and can be cached for a while', async t => {
  const [first, second] = [signingKey('k-1', 'ed25519'), signingKey('k-2')]
  const service = await startService(t, setOf({ ...first, use: 'enc', alg: 'none', key_ops: ['sign'] }, second))
  const { status, headers, body, text } = await service.call('GET', '/.well-known/jwks.json')
  t.equal(status, 200)
  t.same(body, {
    keys: [
      { kty: 'OKP', crv: 'Ed25519', x: first.x, kid: 'k-1', use: 'sig', alg: 'EdDSA' },
      { kty: 'EC', crv: 'P-256', x: second.x, y: second.y, kid: 'k-2', use: 'sig', alg: 'ES256' }
    ]
  })
  for (const key of body.keys) for (const name of PRIVATE) t.notOk(name in key, name)
  for (const key of [first, second]) t.notOk(text.includes(key.d as string))
  const seconds = Number(/^public, max-age=(\d+)$/.exec(headers.get('cache-control') ?? '')?.[1])
  t.ok(seconds >= 60 && seconds <= 900)
  t.match(headers.get('content-type'), 'application/json; charset=utf-8')
})

t.test('its ETag is of what it holds, the same on every replica', async t => {
  const env = setOf(signingKey('k-1'))
  const etag = async (settings: Record<string, string>): Promise<string | null> =>
    (await (await startService(t, settings)).call('GET', '/.well-known/jwks.json')).headers.get('etag')
  const one = await etag(env)
  t.match(one, /^"[A-Za-z0-9_-]{22}"$/)
  t.equal(await etag(env), one)
  t.not(await etag(setOf(signingKey('k-1'))), one)
})

t.test('a new key signs, tokens of the one before count until it is retired, and everyone stays enrolled', async t => {
  const [old, fresh] = [signingKey('old'), signingKey('new', 'ed25519')]
  const before = await startService(t, setOf(old))
  const user = before.user()
  const { secret, token } = await user.enroll()
  const rotate = (...keys: object[]): ReturnType<typeof startService> => startService(t, { ...before.env, ...setOf(...keys) }, before.clock)

  const published = await rotate(old, fresh)
  t.equal(
    headerOf((await published.call('POST', '/mfa/verify', { token: user.token(), body: { code: before.clock.code(secret) } })).body.token)
      .kid,
    'old',
    'first it is published'
  )
  before.clock.advance(30)

  const rotated = await rotate(fresh, old)
  const { body } = await rotated.call('POST', '/mfa/verify', { token: user.token(), body: { code: before.clock.code(secret) } })
  t.match(headerOf(body.token), { kid: 'new', alg: 'EdDSA' }, 'then it signs')
  for (const bearer of [token, body.token]) {
    t.equal((await rotated.call('GET', '/mfa/status', { token: bearer })).status, 200)
    t.equal((await published.call('GET', '/mfa/status', { token: bearer })).status, 200, 'a replica that was not restarted yet')
  }

  const retired = await rotate(fresh)
  t.match(await retired.call('GET', '/mfa/status', { token }), { status: 401, body: { code: 'invalid_token' } })
  t.equal((await retired.call('GET', '/mfa/status', { token: body.token })).status, 200)
  t.same((await retired.call('GET', '/.well-known/jwks.json')).body.keys.map((key: { kid: string }) => key.kid), ['new'])
})
