import t, { type Test } from 'tap'
import {
  claimsOf,
  headerOf,
  type User,
  SECRET,
  type Service,
  signingKey,
  signToken,
  signWithKey,
  startService
} from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'
import { bare, compact, hmac, unsigned } from '../../helpers/tokens.ts'

const keyOf = (service: Service): Record<string, unknown> => JSON.parse(service.env.MFA_SIGNING_KEYS as string).keys[0]

/** An enrolled user, with the claims of their MFA token, and what signs others as the service would. */
async function enrolled (
  t: Test
): Promise<{ service: Service, user: User, token: string, claims: any, forge: (change: object, header?: object) => string }> {
  const service = await useService(t)
  const user = service.user({ roles: ['mfa:admin'] })
  const { token } = await user.enroll()
  const claims = claimsOf(token)
  const forge = (change: object, header: object = {}): string =>
    signWithKey({ ...claims, ...change }, keyOf(service), { ...headerOf(token), ...header })
  return { service, user, token, claims, forge }
}

async function refuseAll (t: Test, service: Service, tokens: Record<string, string>): Promise<void> {
  const none = await service.call('GET', '/mfa/status')
  for (const [cause, token] of Object.entries(tokens)) {
    for (const path of ['/mfa/status', '/admin/policy']) {
      const answer = await service.call('GET', path, { token })
      t.equal(answer.status, 401, `${cause}: ${path}`)
      t.same(bare(answer), bare(none), `${cause}: ${path}, the body of no token`)
    }
  }
}

t.test('an MFA token counts as it was signed and in no other form', async t => {
  const { service, user, token, claims, forge } = await enrolled(t)
  const other = signingKey('test-1')
  const header = headerOf(token)
  const [head, payload, signature] = token.split('.') as [string, string, string]
  t.equal(
    (await service.call('GET', '/admin/policy', { token: forge({ jti: 'another' }) })).status,
    200,
    'what the test signs is good otherwise'
  )
  await refuseAll(t, service, {
    'another key under our kid': signWithKey(claims, other, header),
    'another key under a kid of its own': signWithKey(claims, signingKey('mine'), { ...header, kid: 'mine' }),
    'the issuer\'s secret': signToken(claims, header),
    'the issuer\'s secret under our kid, HS256': signToken(claims, { typ: 'at+jwt', kid: 'test-1' }),
    'our public key as a secret': compact(
      { ...header, alg: 'HS256' },
      claims,
      hmac(JSON.stringify(service.config.MFA_SIGNING_KEYS[0]?.publicJwk))
    ),
    'our public PEM as a secret': compact(
      { ...header, alg: 'HS256' },
      claims,
      hmac(service.config.MFA_SIGNING_KEYS[0]?.publicPem as string)
    ),
    unsigned: compact({ ...header, alg: 'none' }, claims, unsigned),
    'no signature': compact(header, claims, unsigned),
    'a signature of zeros': compact(header, claims, () => Buffer.alloc(64)),
    'the payload of another': `${head}.${claimsSwapped(payload)}.${signature}`,
    'without a kid': forge({}, { kid: undefined }),
    'an unknown kid': forge({}, { kid: 'test-2' }),
    'a kid that is an array': forge({}, { kid: ['test-1'] }),
    'a kid as a path': forge({}, { kid: '../test-1' }),
    'another typ': forge({}, { typ: 'JWT' }),
    'without a typ': forge({}, { typ: undefined }),
    'the audience of another': forge({ aud: 'mfa' }),
    'an array of other audiences': forge({ aud: ['app-1', 'app-2'] }),
    'without an audience': forge({ aud: undefined }),
    'another issuer': forge({ iss: 'https://mfa.test/' }),
    'the first factor\'s issuer': forge({ iss: 'https://id.test', aud: 'mfa' }),
    'without an end': forge({ exp: undefined }),
    ended: forge({ exp: claims.iat - 1 }),
    'without an epoch': forge({ epoch: undefined }),
    'without a user': forge({ uid: undefined }),
    'without acr': forge({ acr: undefined }),
    crit: forge({}, { crit: ['x'], x: 1 })
  })
  t.equal((await user.call('GET', '/admin/policy', undefined, token)).status, 200, 'and the token itself is as good as before')
})

const claimsSwapped = (payload: string): string =>
  Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), roles: ['mfa:admin', 'x'] })).toString(
    'base64url'
  )

// CVE-2026-35039: what was said of one token is said of another that shares a part of it.
t.test('what is remembered of an MFA token that was checked is of that token alone, whole', async t => {
  const { service, user, token, claims, forge } = await enrolled(t)
  const other = service.user({ tenant: user.tenant })
  const { token: others } = await other.enroll()
  const [head, payload, signature] = token.split('.') as [string, string, string]
  const [, otherPayload, otherSignature] = others.split('.') as [string, string, string]
  // Alike but for the last claim, so that almost all of the text is the same.
  const twin = forge({ tail: 'a' })
  const twins = forge({ tail: 'b', uid: claimsOf(others).uid, sub: other.sub })
  for (const time of ['first', 'second']) {
    for (const [of, mine] of [[user, token], [other, others], [user, twin], [other, twins]] as const) {
      t.equal((await service.call('GET', '/mfa/authorize', { token: mine })).headers.get('x-mfa-subject'), of.sub, `${time} time`)
    }
    await refuseAll(t, service, {
      'another signature': `${head}.${payload}.${otherSignature}`,
      'another payload': `${head}.${otherPayload}.${signature}`,
      'more rights': `${head}.${claimsSwapped(payload)}.${signature}`
    })
  }
  t.same(claimsOf(token), claims)
})

t.test('an MFA token is good until its last second and not one longer', async t => {
  const { service, forge } = await enrolled(t)
  const token = forge({ exp: service.clock.seconds + 20 })
  service.clock.advance(19)
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 200)
  service.clock.advance(1)
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 401)
})

t.test('an MFA token dies with its epoch, and with its user', async t => {
  const { service, user, token, claims, forge } = await enrolled(t)
  await refuseAll(t, service, {
    'an older epoch': forge({ epoch: claims.epoch - 1 }),
    'a later epoch': forge({ epoch: claims.epoch + 1 }),
    'an epoch as text': forge({ epoch: String(claims.epoch) }),
    'another user': forge({ uid: '00000000-0000-4000-8000-000000000000' }),
    'another tenant': forge({ tenant: 'another' })
  })
  await service.db.rows`UPDATE users SET epoch = epoch + 1 WHERE tenant = ${user.tenant}`
  await refuseAll(t, service, { 'the epoch moved': token })
  await service.db.rows`DELETE FROM users WHERE tenant = ${user.tenant}`
  await refuseAll(t, service, { 'the user is gone': token, 'the user is gone, any epoch': forge({ epoch: 1 }) })
  t.equal((await user.call('GET', '/mfa/status')).body.enrolled, false)
  await refuseAll(t, service, {
    'another user of the same name came': token,
    'another user of the same name, their epoch': forge({ epoch: 1 })
  })
})

t.test('a token of another service with the same issuer name does not pass, nor ours there', async t => {
  const { service, token } = await enrolled(t)
  const other = await startService(t, { MFA_SIGNING_KEYS: JSON.stringify({ keys: [signingKey('test-1')] }) }, service.clock)
  const neighbour = other.user({ roles: ['mfa:admin'] })
  const { token: foreign } = await neighbour.enroll()
  await refuseAll(t, service, { 'of another key': foreign })
  await refuseAll(t, other, { 'of another key': token })
})

t.test('a first-factor token that claims what an MFA token says is a first-factor token', async t => {
  const { service, user, claims } = await enrolled(t)
  const claiming = { ...claims, iss: 'https://id.test', aud: ['mfa', 'mfa-own'], iat: service.clock.seconds }
  for (const header of [{ typ: 'at+jwt', kid: 'test-1' }, {}]) {
    const token = signToken(claiming, header, SECRET)
    t.match((await service.call('GET', '/mfa/status', { token })).body.decision, { action: 'verify', reason: 'factor_enrolled' })
    t.match(await service.call('GET', '/admin/policy', { token }), { status: 401, body: { code: 'step_up_required', action: 'verify' } })
    t.match(await service.call('DELETE', `/mfa/factors/${String(claims.fid)}`, { token }), {
      status: 401,
      body: { code: 'step_up_required' }
    })
    t.match(await service.call('POST', '/mfa/recovery/codes', { token }), { status: 401, body: { code: 'step_up_required' } })
  }
  t.equal((await user.call('GET', '/mfa/factors')).body.items.length, 1)
})
