// Tokens of a real OpenID provider, got by the authorization-code flow.
import { createHmac } from 'node:crypto'
import t, { type Test } from 'tap'
import { KEY_SET_LIMITS } from '../../../src/http/auth/remote-keys.ts'
import { rsaPair } from '../../helpers/rsa.ts'
import { claimsOf, headerOf, type Service, startService } from '../../helpers/service.ts'
import { issuersEnvironment, newTenant } from '../../helpers/issuers.ts'
import { MachineClock, TestProvider } from '../../helpers/provider.ts'
import { compact, hmac, refuseAll, unsigned, withKey } from '../../helpers/tokens.ts'

interface Stage { service: Service, provider: TestProvider, tenant: string }

async function stage (t: Test, members: object = {}): Promise<Stage> {
  const provider = await new TestProvider().start(t)
  const tenant = newTenant()
  const entries = [{
    issuer: provider.url,
    audience: 'mfa',
    jwksUrl: provider.jwksUrl,
    loginType: 'sso',
    tenant,
    sessionClaim: 'sid',
    ...members
  }]
  return { service: await startService(t, issuersEnvironment(t, entries), new MachineClock()), provider, tenant }
}

t.test('who signed in at the provider enrolls, verifies and is remembered by the provider\'s names', async t => {
  const { service, provider, tenant } = await stage(t, { grants: ['mfa:admin'] })
  provider.claims = { groups: ['staff'], roles: ['mfa:admin', 'mfa:support', 'sales'] }
  const { accessToken } = await provider.login('alice')
  t.match(headerOf(accessToken), { typ: 'at+jwt', alg: 'RS256', kid: provider.keys[0]?.kid })
  t.match((await service.call('GET', '/mfa/status', { token: accessToken })).body, {
    subject: 'alice',
    tenant,
    namespace: provider.url,
    enrolled: false
  })
  const user = service.user({ sub: 'alice', tenant })
  const { secret, token } = await user.enroll(accessToken)
  const { sid, auth_time: authTime } = claimsOf(accessToken)
  t.ok(typeof sid === 'string' && typeof authTime === 'number', 'the provider names the session and the time of the login')
  t.match(claimsOf(token), {
    sub: 'alice',
    ns: provider.url,
    tenant,
    groups: ['staff'],
    roles: ['mfa:admin', 'sales'],
    client_id: 'app',
    sid,
    sid_iss: provider.url,
    amr: ['pwd', 'otp', 'mfa'],
    acr: 'mfa'
  })
  const again = await provider.login('alice')
  t.match((await service.call('GET', '/mfa/status', { token: again.accessToken })).body.decision, {
    action: 'verify',
    reason: 'factor_enrolled'
  })
  t.equal((await service.call('POST', '/mfa/verify', { token: again.accessToken, body: { code: service.clock.code(secret) } })).status, 200)
})

t.test('a refreshed token is of the same login, which it makes no younger', async t => {
  const { service, provider } = await stage(t)
  const login = await provider.login('alice')
  const { accessToken } = await provider.refresh(login.refreshToken as string)
  t.not(accessToken, login.accessToken)
  for (const name of ['sid', 'auth_time', 'sub']) t.equal(claimsOf(accessToken)[name], claimsOf(login.accessToken)[name], name)
  t.equal((await service.call('GET', '/mfa/status', { token: accessToken })).status, 200)
})

t.test('its ID token and refresh token are no access tokens, and the ID token is taken by an entry for ID tokens alone', async t => {
  const { service, provider, tenant } = await stage(t)
  const { accessToken, idToken, refreshToken } = await provider.login('alice')
  await refuseAll(t, service, tenant, { 'the ID token': idToken, 'the refresh token': refreshToken as string })
  const byId = await startService(
    t,
    issuersEnvironment(t, [{ issuer: provider.url, audience: 'app', jwksUrl: provider.jwksUrl, tokenUse: 'id', tenant }]),
    service.clock
  )
  t.match((await byId.call('GET', '/mfa/status', { token: idToken })).body, { subject: 'alice', tenant })
  t.equal((await byId.call('GET', '/mfa/status', { token: accessToken })).status, 401)
})

t.test('a machine\'s token of the provider is no user', async t => {
  const { service, provider, tenant } = await stage(t)
  const { accessToken } = await provider.machine()
  t.match(await service.call('GET', '/mfa/status', { token: accessToken }), { status: 403, body: { code: 'forbidden' } })
  t.equal((await service.db.rows`SELECT 1 FROM users WHERE tenant = ${tenant}`).length, 0)
  const machines = await startService(
    t,
    issuersEnvironment(t, [{
      issuer: provider.url,
      audience: 'mfa',
      jwksUrl: provider.jwksUrl,
      loginType: 'service',
      tenant,
      grants: ['mfa:auditor']
    }]),
    service.clock
  )
  provider.claims = { roles: ['mfa:auditor'] }
  t.equal((await machines.call('GET', '/admin/policy', { token: (await provider.machine()).accessToken })).status, 200)
})

t.test('the provider\'s own MFA counts by what it says was done', async t => {
  const { service, provider } = await stage(t, { mfa: { amr: 'mfa', maxAgeSeconds: 3600 } })
  t.match((await service.call('GET', '/mfa/status', { token: (await provider.login('alice')).accessToken })).body.decision, {
    reason: 'not_required'
  })
  provider.amr = ['pwd', 'mfa', 'otp']
  t.match((await service.call('GET', '/mfa/status', { token: (await provider.login('alice')).accessToken })).body.decision, {
    action: 'allow',
    reason: 'idp_mfa'
  })
})

t.test('the provider rotates its keys, without a restart and without a sign-out', async t => {
  const { service, provider, tenant } = await stage(t)
  const status = async (token: string): Promise<number> => (await service.call('GET', '/mfa/status', { token })).status
  const before = (await provider.login('alice')).accessToken
  t.equal(await status(before), 200)
  provider.rotate()
  const after = (await provider.login('alice')).accessToken
  t.not(headerOf(after).kid, headerOf(before).kid)
  t.equal(await status(after), 401, 'the set was had a moment ago')
  const real = Date.now
  let shift = KEY_SET_LIMITS.cooldown + 1000
  t.intercept(Date, 'now', { value: () => real() + shift })
  t.equal(await status(after), 200, 'half a minute later the new key is found')
  t.equal(await status(before), 200, 'and the old one is still good')

  const user = service.user({ sub: 'alice', tenant })
  const { secret } = await user.enroll(after)
  provider.rotate(false)
  shift += KEY_SET_LIMITS.cooldown + 1000
  const third = (await provider.login('alice')).accessToken
  t.equal((await service.call('POST', '/mfa/verify', { token: third, body: { code: service.clock.code(secret) } })).status, 200)
  t.equal(await status(after), 401, 'a key that is withdrawn signs nothing')
})

t.test('no token of the provider\'s is changed, re-signed or sent elsewhere with success', async t => {
  const { service, provider, tenant } = await stage(t)
  const { accessToken } = await provider.login('alice')
  const [header, claims] = [headerOf(accessToken), claimsOf(accessToken)]
  const [head, payload, signature] = accessToken.split('.') as [string, string, string]
  const { n, e } = provider.keys[0] as { n: string, e: string }
  const { keys: [published] } = await (await fetch(provider.jwksUrl)).json() as { keys: object[] }
  const attacker = rsaPair()
  const forged = (change: object, headerChange: object = {}): string =>
    compact({ ...header, ...headerChange }, { ...claims, ...change }, withKey(attacker.privateKey))
  await refuseAll(t, service, tenant, {
    'other claims under its signature': [head, Buffer.from(JSON.stringify({ ...claims, sub: 'bob' })).toString('base64url'), signature]
      .join('.'),
    'another header over its signature': [Buffer.from(JSON.stringify({ ...header, typ: 'JWT' })).toString('base64url'), payload, signature]
      .join('.'),
    'the signature cut short': accessToken.slice(0, -4),
    unsigned: compact({ ...header, alg: 'none' }, claims, unsigned),
    'no signature': `${head}.${payload}.`,
    'the published key as a secret': compact({ ...header, alg: 'HS256' }, claims, hmac(JSON.stringify(published))),
    'the modulus as a secret': compact(
      { ...header, alg: 'HS256' },
      claims,
      input => createHmac('sha256', Buffer.from(n, 'base64url')).update(input).digest()
    ),
    'another key under its kid': forged({}),
    'a key that comes along': forged({}, { jwk: { ...attacker.publicKey.export({ format: 'jwk' }), kid: 'evil' }, kid: 'evil' }),
    'a key set that comes along': forged({}, { jku: `${provider.url}/evil`, kid: 'evil' }),
    'a certificate that comes along': forged({}, { x5c: ['MIIB'], x5u: `${provider.url}/evil` }),
    'an exponent of one': compact({ ...header, jwk: { kty: 'RSA', n, e: 'AQ' } }, claims, () => Buffer.alloc(256)),
    'another algorithm': compact({ ...header, alg: 'PS256' }, claims, withKey(attacker.privateKey)),
    'a token for another resource': forged({ aud: 'other' })
  })
  t.ok(e, 'the attacks had its key')
  t.equal((await service.call('GET', '/mfa/status', { token: accessToken })).status, 200, 'the token itself is good')
  const elsewhere = await startService(
    t,
    issuersEnvironment(t, [{ issuer: provider.url, audience: 'other', jwksUrl: provider.jwksUrl, tenant }]),
    service.clock
  )
  t.equal((await elsewhere.call('GET', '/mfa/status', { token: accessToken })).status, 401, 'and no other audience\'s')
})
