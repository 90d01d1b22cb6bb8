import t, { type Test } from 'tap'
import { startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'
import { refuseAll } from '../../helpers/tokens.ts'

type Variants = Record<string, Record<string, unknown>>

/** Each variant of the claims is refused as if there were no token. */
async function refuseClaims (t: Test, variants: Variants, env: Record<string, string> = {}): Promise<void> {
  const service = await startService(t, env)
  const user = service.user()
  await refuseAll(
    t,
    service,
    user.tenant,
    Object.fromEntries(Object.entries(variants).map(([cause, claims]) => [cause, user.token(claims)]))
  )
}

t.test('the issuer is one exact string', t => refuseClaims(t, {
  'a slash more': { iss: 'https://id.test/' },
  'another case': { iss: 'https://ID.test' },
  'an array with it': { iss: ['https://id.test', 'https://evil.test'] },
  'a prefix of it': { iss: 'https://id.tes' },
  'it as a prefix': { iss: 'https://id.test.evil.test' },
  'white space': { iss: ' https://id.test' },
  'none at all': { iss: undefined },
  null: { iss: null },
  'our own, with the issuer\'s key': { iss: 'https://mfa.test' }
}))

t.test('the audience must contain this service', async t => {
  await refuseClaims(t, {
    another: { aud: 'other' },
    none: { aud: undefined },
    'a part of ours': { aud: 'mf' },
    'ours as a part': { aud: 'mfa-own' },
    'an array without ours': { aud: ['other', 'mfa2'] },
    'an empty array': { aud: [] },
    null: { aud: null },
    'an object': { aud: { mfa: true } },
    'an array of another type': { aud: ['mfa', 1] }
  })
  const service = await useService(t)
  t.equal(
    (await service.call('GET', '/mfa/status', { token: service.user().token({ aud: ['other', 'mfa'] }) })).status,
    200,
    'an array with ours'
  )
})

t.test('a token ends, within a day, and neither begins nor was issued in the future', async t => {
  const service = await useService(t)
  const user = service.user()
  const now = service.clock.seconds
  await refuseAll(t, service, user.tenant, Object.fromEntries(Object.entries<Record<string, unknown>>({
    'no exp': { exp: undefined },
    'exp as a string': { exp: String(now + 600) },
    'exp 1e20': { exp: 1e20 },
    'exp negative': { exp: -1 },
    'exp 0': { exp: 0 },
    'exp null': { exp: null },
    'exp an array': { exp: [now + 600] },
    'exp past': { exp: now - 3600, iat: now - 7200 },
    'exp within the skew': { exp: now - 1, iat: now - 600 },
    'exp now': { exp: now },
    'nbf in ten minutes': { nbf: now + 600 },
    'nbf as a string': { nbf: String(now) },
    'iat in ten minutes': { iat: now + 600, exp: now + 1200 },
    'iat as a string': { iat: String(now) },
    'iat negative': { iat: -1 },
    'a lifetime of a year': { exp: now + 365 * 86400 },
    'a lifetime of a year, without iat': { iat: undefined, exp: now + 365 * 86400 }
  }).map(([cause, claims]) => [cause, user.token(claims)])))
  for (
    const claims of [{ exp: now + 1 }, { exp: now + 600.5 }, { nbf: now - 0.5 }, { nbf: now + 30 }, { iat: now + 30 }, { iat: now - 0.5 }, {
      iat: undefined
    }]
  ) {
    t.equal((await service.call('GET', '/mfa/status', { token: user.token(claims) })).status, 200, JSON.stringify(claims))
  }
})

t.test('a token is good until its last second and not one longer', async t => {
  const service = await useService(t)
  const user = service.user()
  const token = user.token({ exp: service.clock.seconds + 20 })
  service.clock.advance(19)
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 200)
  service.clock.advance(1)
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 401)
})

t.test('a personal token may live for a year', async t => {
  const service = await useService(t, { JWT_LOGIN_TYPE: 'api' })
  const user = service.user()
  const { seconds } = service.clock
  t.equal((await user.call('GET', '/mfa/status', undefined, user.token({ exp: seconds + 365 * 86400 }))).status, 200)
  t.equal((await user.call('GET', '/mfa/status', undefined, user.token({ exp: seconds + 400 * 86400 }))).status, 401)
})

t.test('an ID token, a logout token and a refresh token are no access tokens', async t => {
  await refuseClaims(t, {
    'an ID token by its nonce': { nonce: 'n' },
    'an ID token by at_hash': { at_hash: 'h' },
    'an ID token by c_hash': { c_hash: 'h' },
    'an ID token by the claim typ': { typ: 'ID' },
    'an ID token by token_use': { token_use: 'id' },
    'a logout token by its event': { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
    'a logout token by the claim typ': { typ: 'Logout' },
    'a refresh token by the claim typ': { typ: 'Refresh' },
    'an offline token': { typ: 'Offline' },
    'a refresh token by token_use': { token_use: 'refresh' }
  })
  const service = await useService(t)
  t.equal(
    (await service.call('GET', '/mfa/status', { token: service.user().token({ typ: 'Bearer', token_use: 'access' }) })).status,
    200,
    'one that says access'
  )
})

t.test('the subject is a bounded string without control characters', t => refuseClaims(t, {
  'a number': { sub: 1 },
  'an array': { sub: ['alice'] },
  'an object': { sub: { $ne: '' } },
  empty: { sub: '' },
  missing: { sub: undefined },
  null: { sub: null },
  '256 characters': { sub: 'x'.repeat(256) },
  'five kilobytes': { sub: 'x'.repeat(5000) },
  'with NUL': { sub: 'a\u0000b' },
  'with a line break': { sub: 'a\nb' },
  'with half a surrogate pair': { sub: 'a\ud800' }
}))

t.test('tokens that share a header and most of their payload are each their own user\'s', async t => {
  const service = await useService(t)
  const [a, b] = [
    service.user({ sub: 'user-a', tenant: service.user().tenant }),
    service.user({ sub: 'user-b', tenant: service.user().tenant })
  ]
  for (const user of [a, b, a]) t.match((await user.call('GET', '/mfa/status')).body, { subject: user.sub, tenant: user.tenant })
})

t.test('amr, acr and auth_time of the wrong shape are a single factor, and never MFA', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  const now = service.clock.seconds
  const variants = [
    { amr: 'mfa' },
    { amr: ['pwd', { x: 'mfa' }] },
    { amr: null },
    { amr: ['mfa', 'otp', 'recovery'] },
    { acr: null },
    { acr: 'mfa' },
    { acr: ['mfa'] },
    { auth_time: now + 3600 }, { auth_time: String(now) }, { auth_time: null }, { auth_time: -1 }, { auth_time: 1e20 },
    { uid: (await user.row()).id, epoch: 1, acr: 'mfa', fid: user.sub, amr: ['pwd', 'otp', 'mfa'], ns: 'https://id.test' }
  ]
  for (const claims of variants) {
    const token = user.token(claims)
    t.match(
      (await user.call('GET', '/mfa/status', undefined, token)).body.decision,
      { action: 'verify', reason: 'factor_enrolled' },
      JSON.stringify(claims)
    )
    t.match(
      await user.call('POST', '/mfa/recovery/codes', undefined, token),
      { status: 401, body: { code: 'step_up_required' } },
      JSON.stringify(claims)
    )
  }
  const { body } = await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, user.token({ amr: 'mfa' }))
  t.same(body.amr, ['otp', 'mfa'], 'what was not proved is not claimed')
})

t.test('a login in the future, or of no known time, is none that may enroll, and no user is sent to log in again', async t => {
  const service = await useService(t)
  const now = service.clock.seconds

  for (const authTime of [now + 3600, now * 1000, undefined, null, '', 'now', '28.11.2026', -5, 1e20, [now], { t: now }, true]) {
    t.match(await service.call('POST', '/mfa/enroll', { token: service.user().token({ auth_time: authTime }) }), {
      status: 403,
      body: { code: 'login_time_unknown' }
    }, JSON.stringify(authTime))
  }
})

t.test('an issuer gives the mfa: roles that it may give, as far as they can be read', async t => {
  const service = await useService(t, { JWT_GRANTS: 'mfa:auditor' })
  const cases: Array<[unknown, number]> = [
    [['mfa:admin'], 403], [['mfa:admin', 'mfa:auditor'], 409], [['mfa:auditor'], 409], [['MFA:AUDITOR'], 403], ['mfa:auditor', 409],
    [['mfa:auditor', 1], 409],
    [{ 'mfa:auditor': {} }, 409],
    [[['mfa:auditor']], 403],
    [[{ name: 'mfa:auditor' }], 403],
    ['mfa:auditor\n', 403],
    ['mfa:auditor mfa:admin', 403],
    [true, 403],
    [null, 403],
    [undefined, 403]
  ]
  for (const [roles, status] of cases) {
    t.equal((await service.call('GET', '/admin/policy', { token: service.user().token({ roles }) })).status, status, JSON.stringify(roles))
  }
  const auditor = service.user({ roles: ['mfa:admin', 'mfa:auditor', 'sales'] })
  const { token } = await auditor.enroll()
  t.equal((await auditor.call('GET', '/admin/policy', undefined, token)).status, 200)
  t.equal(
    (await auditor.call('PUT', '/admin/policy', { enforcement: 'required' }, token)).status,
    403,
    'the role that was not granted opens nothing'
  )
})
