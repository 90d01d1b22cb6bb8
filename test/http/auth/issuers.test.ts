import t, { type Test } from 'tap'
import { bare, compact, hmac, refuseAll, unsigned, withKey } from '../../helpers/tokens.ts'
import { rsaPair } from '../../helpers/rsa.ts'
import { claimsOf, type Service, SECRET, signToken } from '../../helpers/service.ts'
import { newKey, newTenant, publicPart, startTrusting, TestIssuer } from '../../helpers/issuers.ts'

/** Two issuers with keys of their own. */
async function twoIssuers (t: Test): Promise<[TestIssuer, TestIssuer]> {
  return [await new TestIssuer('https://a.test').start(t), await new TestIssuer('https://b.test', 'RS256').start(t)]
}

const entryOf = (issuer: TestIssuer, members: object = {}): object => ({
  issuer: issuer.iss,
  audience: 'mfa',
  jwksUrl: issuer.jwksUrl,
  tenants: '*',
  ...members
})
const status = (service: Service, token: string) => service.call('GET', '/mfa/status', { token })

t.test('each of several issuers is checked with its own keys, algorithms and audience, and no other\'s', async t => {
  const [a, b] = await twoIssuers(t)
  const tenant = newTenant()
  const service = await startTrusting(t, [
    entryOf(a, { algorithms: ['ES256'] }),
    entryOf(b, { algorithms: ['RS256'], audience: ['mfa-b', 'mfa-c'] }),
    { issuer: 'https://c.test', audience: 'mfa', secret: SECRET, tenants: '*' }
  ])
  const { clock } = service
  for (
    const token of [
      a.sign(clock, { tenant }),
      b.sign(clock, { tenant: newTenant(), aud: 'mfa-c' }),
      signToken({ ...claimsOf(a.sign(clock)), iss: 'https://c.test' })
    ]
  ) t.equal((await status(service, token)).status, 200)
  await service.db.rows`DELETE FROM users WHERE tenant = ${tenant}`
  const attacker = newKey('ES256', a.keys[0]?.kid as string)
  const claims = claimsOf(a.sign(clock, { tenant }))
  const header = { alg: 'ES256', kid: a.keys[0]?.kid }
  await refuseAll(t, service, tenant, {
    'the key of another issuer under its kid': b.sign(clock, { iss: a.iss, tenant }),
    'the key of another issuer under this kid': b.sign(clock, { iss: a.iss, tenant }, { kid: a.keys[0]?.kid }),
    'the secret of another issuer': signToken({ ...claims, iss: a.iss }),
    'the audience of another issuer': a.sign(clock, { aud: 'mfa-b', tenant }),
    'an issuer that is not configured': a.sign(clock, { iss: 'https://d.test', tenant }),
    'no issuer': a.sign(clock, { iss: undefined, tenant }),
    'two issuers': a.sign(clock, { iss: [a.iss, b.iss], tenant }),
    'no audience': a.sign(clock, { aud: undefined, tenant }),
    'an audience that is an object': a.sign(clock, { aud: { mfa: true }, tenant }),
    'an attacker\'s key under the right kid': a.sign(clock, { tenant }, {}, attacker),
    'an attacker\'s key that comes along': a.sign(clock, { tenant }, { jwk: publicPart(attacker), kid: undefined }, attacker),
    'the public key as a secret': compact(
      { ...header, alg: 'HS256' },
      claims,
      hmac(JSON.stringify(publicPart(a.keys[0] as object as Record<string, unknown>)))
    ),
    unsigned: compact({ ...header, alg: 'none' }, claims, unsigned),
    'no signature': compact(header, claims, unsigned),
    'a signature of zeros': compact(header, claims, () => Buffer.alloc(64)),
    'an algorithm of another issuer': compact({ alg: 'RS256' }, claims, withKey(rsaPair().privateKey)),
    'a kid that is a path': a.sign(clock, { tenant }, { kid: '../../dev/null' }),
    'a kid that is a query': a.sign(clock, { tenant }, { kid: "' or 1=1" }),
    'a kid that is long': a.sign(clock, { tenant }, { kid: 'x'.repeat(300) }),
    'a kid that is a number': a.sign(clock, { tenant }, { kid: 1 }),
    crit: a.sign(clock, { tenant }, { crit: ['x'], x: 1 }),
    'no end': a.sign(clock, { exp: undefined, tenant }),
    'an ID token': a.sign(clock, { nonce: 'n', tenant }),
    'a logout token': a.sign(clock, { events: {}, tenant }),
    'a refresh token': a.sign(clock, { typ: 'Refresh', tenant })
  })
  t.ok(a.asked <= 2, `its keys were asked for at most once more: ${a.asked}`)
})

t.test('one user, two issuers, one namespace: one user with both accounts, and no login type hides what another showed', async t => {
  const [a, b] = await twoIssuers(t)
  const service = await startTrusting(t, [
    entryOf(a, { namespace: 'users', loginType: 'local' }),
    entryOf(b, { namespace: 'users', loginType: 'sso' })
  ])
  const tenant = newTenant()
  const claims = { tenant, sub: 'alice', preferred_username: 'alice' }
  const sources = async (): Promise<unknown> => (await service.db.rows<any>`SELECT sources FROM users WHERE tenant = ${tenant}`)[0].sources
  const first = await status(service, b.sign(service.clock, { ...claims, groups: ['sales'] }))
  const second = await status(service, a.sign(service.clock, claims))
  t.match(first.body, { namespace: 'users', subject: 'alice', account: 'alice' })
  t.equal(second.body.userId, first.body.userId, 'one user')
  const both = { 'https://a.test': { local: true, sso: false }, 'https://b.test': { local: false, sso: true, groups: ['sales'] } }
  t.same(await sources(), both)
  await status(service, b.sign(service.clock, claims))
  t.same(await sources(), both, 'absent groups change nothing, and the login type SSO takes the password not away')
  await status(service, b.sign(service.clock, { ...claims, accounts: ['sso'] }))
  t.same(await sources(), both, 'nor does what one issuer claims')
  await service.db
    .rows`INSERT INTO policies (tenant, enforcement, version, updated_at, updated_by)
      VALUES (${tenant}, 'required', 1, clock_timestamp(), 'test')`
  t.match(
    (await status(service, b.sign(service.clock, claims))).body.decision,
    { action: 'enroll', reason: 'required_by_policy' },
    'who has a password too is not exempt'
  )
  t.match((await status(service, b.sign(service.clock, { ...claims, sub: 'bob' }))).body.decision, {
    action: 'allow',
    reason: 'exempt_sso'
  })
})

t.test('what an issuer claimed that is not configured any more does not count', async t => {
  const [a, b] = await twoIssuers(t)
  const both = await startTrusting(t, [entryOf(a, { namespace: 'users' }), entryOf(b, { namespace: 'users', loginType: 'sso' })])
  const claims = { tenant: newTenant(), sub: 'alice' }
  for (const issuer of [a, b]) await status(both, issuer.sign(both.clock, claims))
  await both.db
    .rows`INSERT INTO policies (tenant, enforcement, version, updated_at, updated_by)
      VALUES (${claims.tenant}, 'required', 1, clock_timestamp(), 'test')`
  t.match((await status(both, b.sign(both.clock, claims))).body.decision, { action: 'enroll' })
  const one = await startTrusting(t, [entryOf(b, { namespace: 'users', loginType: 'sso' })])
  t.match((await status(one, b.sign(one.clock, claims))).body.decision, { action: 'allow', reason: 'exempt_sso' })
})

t.test('two namespaces are two users, whatever their e-mail says, and the one\'s factor is not the other\'s', async t => {
  const [a, b] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a), entryOf(b)])
  const claims = { tenant: newTenant(), sub: 'alice', email: 'alice@example.com', email_verified: true, preferred_username: 'alice' }
  const user = service.user({ tenant: claims.tenant, sub: 'alice' })
  await user.enroll(a.sign(service.clock, claims))
  const [one, two] = [await status(service, a.sign(service.clock, claims)), await status(service, b.sign(service.clock, claims))]
  t.match(one.body, { namespace: a.iss, enrolled: true, account: 'alice' })
  t.match(two.body, { namespace: b.iss, enrolled: false, account: 'alice', factors: [] })
  t.not(one.body.userId, two.body.userId)
})

t.test('an issuer speaks for its own tenants alone', async t => {
  const [a, b] = await twoIssuers(t)
  const [mine, other] = [newTenant(), newTenant()]
  const service = await startTrusting(t, [
    entryOf(a, { tenants: undefined, tenant: mine }),
    entryOf(b, { tenants: [mine, 'default'], claims: { tenant: ['org', 'name'] } })
  ])
  const { clock } = service
  await refuseAll(t, service, other, { 'one tenant': a.sign(clock, { tenant: other }), 'a list': b.sign(clock, { org: { name: other } }) })
  for (const tenant of [mine, undefined]) {
    t.equal((await status(service, a.sign(clock, { tenant }))).body.tenant, mine, `the tenant that is configured: ${String(tenant)}`)
  }
  t.equal((await status(service, b.sign(clock, { org: { name: mine } }))).body.tenant, mine)
  t.equal((await status(service, b.sign(clock, { tenant: mine }))).status, 401, 'a claim that is configured must be there')
  t.equal((await status(service, b.sign(clock, { org: [mine] }))).status, 401, 'and a path of objects')
})

t.test('an issuer without a tenant claim speaks for "default", if it may', async t => {
  const [a, b] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a), entryOf(b, { tenants: ['acme'] })])
  t.equal((await status(service, a.sign(service.clock))).body.tenant, 'default')
  t.equal((await status(service, b.sign(service.clock))).status, 401)
})

t.test('an issuer gives the roles that it was granted, from where they are', async t => {
  const [a, b] = await twoIssuers(t)
  const service = await startTrusting(t, [
    entryOf(a, { grants: ['mfa:auditor'], claims: { roles: ['realm_access', 'roles'] } }),
    entryOf(b)
  ])
  const policy = (token: string) => service.call('GET', '/admin/policy', { token })
  const claims = () => ({ tenant: newTenant() })
  t.equal(
    (await policy(a.sign(service.clock, { ...claims(), realm_access: { roles: ['mfa:auditor', 'x'] } }))).status,
    409,
    'the role opens, MFA is missing'
  )
  for (
    const extra of [
      { roles: ['mfa:auditor'] },
      { realm_access: { roles: ['mfa:admin'] } },
      { realm_access: { roles: [['mfa:auditor']] } },
      { realm_access: ['mfa:auditor'] },
      { realm_access: 'mfa:auditor' },
      { realm_access: null }
    ]
  ) {
    t.equal((await policy(a.sign(service.clock, { ...claims(), ...extra }))).status, 403, JSON.stringify(extra))
  }
  t.equal((await policy(b.sign(service.clock, { ...claims(), roles: ['mfa:admin'] }))).status, 403, 'none by default')
  const user = service.user(claims())
  const { token } = await user.enroll(
    a.sign(service.clock, { sub: user.sub, tenant: user.tenant, realm_access: { roles: ['mfa:admin', 'mfa:auditor', 'x'] } })
  )
  t.same(claimsOf(token).roles, ['mfa:auditor', 'x'])
})

t.test('claims are read where the entry says they are', async t => {
  const [a] = await twoIssuers(t)
  const service = await startTrusting(t, [
    entryOf(a, {
      claims: {
        subject: 'oid',
        account: ['profile', 'name'],
        groups: 'https://a.test/groups',
        accounts: ['x', 'y', 'accounts'],
        authTime: 'login',
        amr: 'methods'
      },
      sessionClaim: ['session', 'visit']
    })
  ])
  const { clock } = service
  const tenant = newTenant()
  const claims = {
    tenant,
    sub: 'pairwise',
    oid: 'alice',
    profile: { name: 'Alice' },
    'https://a.test/groups': ['g'],
    x: { y: { accounts: ['sso', 'other'] } },
    login: clock.seconds - 5,
    auth_time: undefined,
    visit: 4711,
    methods: ['pwd']
  }
  t.match((await status(service, a.sign(clock, claims))).body, { subject: 'alice', account: 'Alice' })
  const [row] = await service.db.rows<any>`SELECT sources FROM users WHERE tenant = ${tenant}`
  t.same(row.sources, { [a.iss]: { local: true, sso: true, groups: ['g'] } }, 'an account by another name is not of SSO alone')
  const user = service.user({ tenant, sub: 'alice' })
  const { token } = await user.enroll(a.sign(clock, claims))
  t.match(claimsOf(token), { sub: 'alice', groups: ['g'], amr: ['pwd', 'otp', 'mfa'], sid: '4711', sid_iss: a.iss })
  for (const profile of [undefined, 'Alice', { name: 1 }, { __proto__: { name: 'x' } }]) {
    const oid = `user-${String(Math.random())}`
    t.match((await status(service, a.sign(clock, { ...claims, oid, profile }))).body, { account: oid }, 'without a name, the subject')
  }
  t.equal((await status(service, a.sign(clock, { ...claims, oid: undefined }))).status, 401, 'the subject must be there')
  t.match(
    await service.call('POST', '/mfa/enroll', {
      token: a.sign(clock, { ...claims, oid: 'new', login: 'just now', auth_time: clock.seconds })
    }),
    { status: 403, body: { code: 'login_time_unknown' } },
    'the time of the login is read where it is alone'
  )
})

t.test('the session is that of the first claim that is there, else of sid', async t => {
  const [a, b] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a, { sessionClaim: ['one', 'two'] }), entryOf(b, { sessionClaim: null })])
  const sidOf = async (issuer: TestIssuer, claims: object): Promise<unknown> => {
    const user = service.user()
    const { token } = await user.enroll(issuer.sign(service.clock, { sub: user.sub, tenant: user.tenant, ...claims }))
    return claimsOf(token).sid
  }
  t.equal(await sidOf(a, { two: 2, sid: '3' }), '2')
  t.equal(await sidOf(a, { one: null, two: '2', sid: '3' }), '2')
  t.equal(await sidOf(b, { one: '1', sid: '3' }), '3')
  t.equal(await sidOf(b, { one: '1' }), undefined)
})

t.test('a second factor counts for the session of the issuer that it was done in, not for another\'s of the same name', async t => {
  const [a, b] = await twoIssuers(t)
  const users = { namespace: 'users', sessionClaim: 'sid' }
  const service = await startTrusting(t, [entryOf(a, users), entryOf(b, users)])
  const user = service.user({ sid: 'session-1' })
  const claims = { sub: user.sub, tenant: user.tenant, sid: 'session-1' }
  await user.enroll(a.sign(service.clock, claims))
  const ask = async (issuer: TestIssuer): Promise<string[]> => {
    const token = issuer.sign(service.clock, claims)
    const [{ body: { decision } }, renewed, asked] = [
      await status(service, token),
      await service.call('POST', '/mfa/token', { token }),
      await service.call('GET', '/mfa/authorize', { token })
    ]
    return [decision.reason, renewed.body.code ?? renewed.body.acr, asked.body?.code ?? asked.headers.get('x-mfa-acr')]
  }
  t.same(await ask(a), ['mfa_verified', 'mfa', 'mfa'])
  t.same(await ask(b), ['factor_enrolled', 'step_up_required', 'step_up_required'])
})

t.test('a personal token passes where MFA is required if it was issued to a session with MFA, and not otherwise', async t => {
  const [a] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a, { loginType: 'api', mfa: { amr: 'mfa', acr: 'high', maxAgeSeconds: 2_592_000 } })])
  const tenant = newTenant()
  await service.db
    .rows`INSERT INTO policies (tenant, enforcement, version, updated_at, updated_by)
      VALUES (${tenant}, 'required', 1, clock_timestamp(), 'test')`
  const { seconds } = service.clock
  const personal = {
    tenant,
    sub: 'alice',
    exp: seconds + 300 * 86400,
    iat: seconds - 86400,
    auth_time: seconds - 86400,
    amr: ['pwd', 'mfa'],
    acr: 'high'
  }
  const ask = async (change: object): Promise<unknown> => {
    const { headers, body } = await service.call('GET', '/mfa/authorize', { token: a.sign(service.clock, { ...personal, ...change }) })
    return body?.code ?? headers.get('x-mfa-reason')
  }
  t.equal(await ask({}), 'idp_mfa')
  for (const change of [{ amr: ['pwd'] }, { amr: undefined }, { acr: 'low' }, { acr: undefined }, { auth_time: seconds - 2_592_100 }]) {
    t.equal(await ask(change), 'enrollment_required', JSON.stringify(change))
  }
  t.equal(await ask({ auth_time: undefined }), 'login_time_unknown')
})

t.test('another claim may say which audience the token is for', async t => {
  const [a] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a, { audienceClaim: 'client_id' })])
  const tenant = newTenant()
  await refuseAll(t, service, tenant, {
    another: a.sign(service.clock, { client_id: 'x', tenant }),
    none: a.sign(service.clock, { tenant }),
    'aud alone': a.sign(service.clock, { aud: 'mfa', tenant })
  })
  t.equal((await status(service, a.sign(service.clock, { client_id: 'mfa', aud: undefined, tenant }))).status, 200)
})

t.test('with tokenUse "id", ID tokens alone are accepted', async t => {
  const [a] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a, { tokenUse: 'id' })])
  const tenant = newTenant()
  for (const claims of [{ nonce: 'n', at_hash: 'h', c_hash: 'c' }, { typ: 'ID' }, { token_use: 'id' }, {}]) {
    t.equal((await status(service, a.sign(service.clock, { tenant: newTenant(), ...claims }))).status, 200, JSON.stringify(claims))
  }
  await refuseAll(t, service, tenant, Object.fromEntries([
    ...[{ events: {} }, { typ: 'Bearer' }, { typ: 'Refresh' }, { typ: 'Logout' }, { token_use: 'access' }, { scope: 'openid' }, {
      scp: ['x']
    }].map(claims => [JSON.stringify(claims), a.sign(service.clock, { tenant, ...claims })]),
    ...['at+jwt', 'logout+jwt', 1].map(typ => [`typ ${typ}`, a.sign(service.clock, { tenant }, { typ })])
  ]))
})

t.test('the identity provider\'s own MFA counts where it is configured, as long as it is fresh by auth_time', async t => {
  const [a, b] = await twoIssuers(t)
  const service = await startTrusting(t, [
    entryOf(a, { mfa: { amr: ['mfa', 'hwk'], acr: 'high', maxAgeSeconds: 600 }, iatIsLogin: true }),
    entryOf(b)
  ])
  const { clock } = service
  const tenant = newTenant()
  await service.db
    .rows`INSERT INTO policies (tenant, enforcement, version, updated_at, updated_by)
      VALUES (${tenant}, 'required', 1, clock_timestamp(), 'test')`
  const good = { tenant, sub: 'alice', amr: ['pwd', 'mfa'], acr: 'high' }
  const decision = async (token: string): Promise<unknown> => (await status(service, token)).body.decision
  t.same(await decision(a.sign(clock, good)), { action: 'allow', reason: 'idp_mfa' })
  for (const claims of [{ amr: 'mfa' }, { auth_time: String(clock.seconds) }, { auth_time: clock.read().toISOString() }]) {
    t.same(await decision(a.sign(clock, { ...good, ...claims })), { action: 'allow', reason: 'idp_mfa' }, JSON.stringify(claims))
  }
  const single = { action: 'enroll', reason: 'required_by_policy' }
  const now = clock.seconds
  for (
    const claims of [
      { amr: ['pwd'] },
      { amr: ['mfa', { x: 1 }] },
      { amr: null },
      { amr: undefined },
      { acr: 'low' },
      { acr: ['high'] },
      { acr: null },
      { auth_time: undefined },
      { auth_time: now - 601 },
      { auth_time: now + 3600 },
      { auth_time: [now] }
    ]
  ) {
    t.match(await decision(a.sign(clock, { ...good, ...claims })), single, JSON.stringify(claims))
  }
  t.match(await decision(b.sign(clock, good)), single, 'another issuer\'s does not')

  const user = service.user({ tenant, sub: 'alice' })
  const { token, secret } = await user.enroll(a.sign(clock, good))
  t.match(claimsOf(token), { amr: ['pwd', 'mfa', 'otp'], acr: 'mfa' }, 'what counted is told on, once')
  t.same(await decision(a.sign(clock, good)), { action: 'allow', reason: 'idp_mfa' }, 'before a factor is asked for')
  t.match(await decision(a.sign(clock, { ...good, auth_time: now - 700 })), { action: 'verify', reason: 'factor_enrolled' })
  const stale = await service.call('POST', '/mfa/verify', {
    token: a.sign(clock, { ...good, amr: ['pwd', 'mfa', 'recovery'], acr: 'low' }),
    body: { code: clock.code(secret) }
  })
  t.same(stale.body.amr, ['pwd', 'otp', 'mfa'], 'what did not count is not told on')
  t.match(await service.call('POST', '/mfa/recovery/codes', { token: a.sign(clock, good) }), {
    status: 401,
    body: { code: 'step_up_required' }
  }, 'it changes no factor')
  const admin = a.sign(clock, { ...good, roles: ['mfa:admin'] })
  t.equal((await service.call('GET', '/admin/policy', { token: admin })).status, 403, 'and opens no admin call')
})

t.test('an MFA token ends with its first token, unless the issuer is configured to lift that', async t => {
  const [a, b] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a), entryOf(b, { isTokenCapped: false })])
  const { clock } = service
  for (const [issuer, seconds] of [[a, 120], [b, 900]] as const) {
    const user = service.user()
    const first = (): string => issuer.sign(clock, { sub: user.sub, tenant: user.tenant, exp: clock.seconds + 120 })
    const { secret, token: confirmed } = await user.enroll(first())
    t.equal(claimsOf(confirmed).exp - claimsOf(confirmed).iat, seconds)
    const verified = await service.call('POST', '/mfa/verify', { token: first(), body: { code: clock.code(secret) } })
    t.equal(verified.body.expiresIn, seconds)
    clock.advance(60)
    const again = await service.call('POST', '/mfa/verify', { token: verified.body.token, body: { code: clock.code(secret) } })
    t.equal(again.body.expiresIn, seconds - 60, 'made from an MFA token it never is longer')
  }
})

t.test('a machine is no user: nothing is recorded of it, and it does what its role names and no more', async t => {
  const [a] = await twoIssuers(t)
  const service = await startTrusting(t, [
    entryOf(a),
    entryOf(a, { audience: 'machines', loginType: 'service', grants: ['mfa:auditor', 'mfa:sync'] })
  ])
  const { clock } = service
  const tenant = newTenant()
  const machine = (roles: string[] = []): string => a.sign(clock, { aud: 'machines', sub: 'crm', tenant, roles })
  for (
    const [method, path, body] of [
      ['GET', '/mfa/status'],
      ['GET', '/mfa/factors'],
      ['GET', '/mfa/recovery'],
      ['POST', '/mfa/enroll'],
      ['POST', '/mfa/verify', { code: '123456' }],
      ['POST', '/mfa/recovery', { code: 'x' }],
      ['POST', '/mfa/recovery/codes'],
      ['POST', '/mfa/recovery/acknowledge']
    ] as const
  ) {
    t.match(await service.call(method, path, { token: machine(['mfa:auditor', 'mfa:sync']), body }), {
      status: 403,
      body: { code: 'forbidden' }
    }, `${method} ${path}`)
  }
  t.match(await service.call('GET', '/admin/policy', { token: machine(['mfa:auditor']) }), {
    status: 200,
    body: { enforcement: 'optional' }
  }, 'no MFA is asked of it')
  t.match(await service.call('POST', '/admin/policy/preview', { token: machine(['mfa:auditor']), body: { enforcement: 'required' } }), {
    status: 200,
    body: { users: 0 }
  })
  const { body: { userId } } = await status(service, a.sign(clock, { tenant: newTenant() }))
  t.equal(
    (await service.call('GET', `/admin/users/${String(userId)}`, { token: machine(['mfa:auditor']) })).status,
    404,
    'of its own tenant alone'
  )
  for (const roles of [[], ['mfa:sync'], ['mfa:admin'], ['mfa:support']]) {
    t.equal((await service.call('GET', '/admin/policy', { token: machine(roles) })).status, 403, String(roles))
  }
  t.equal(
    (await service.call('PUT', '/admin/policy', {
      token: machine(['mfa:auditor', 'mfa:sync', 'mfa:admin']),
      body: { enforcement: 'required' }
    })).status,
    403
  )
  t.equal((await service.db.rows`SELECT 1 FROM users WHERE tenant = ${tenant}`).length, 0, 'no user was recorded')
  t.equal((await service.db.rows`SELECT 1 FROM policies WHERE tenant = ${tenant}`).length, 0)
  const [event] = await service.db.rows<any>`SELECT * FROM audit_events WHERE tenant = ${tenant} ORDER BY at LIMIT 1`
  t.match(event, {
    action: 'access.refused',
    actor: 'service:crm',
    subject: 'service:crm',
    outcome: 'failure',
    details: { cause: 'machine' }
  })
  t.equal(
    (await status(service, a.sign(clock, { aud: ['mfa', 'machines'], tenant }))).status,
    401,
    "a token for users and machines at once is neither's"
  )
})

t.test('a client\'s own token is no user\'s, whichever login type it comes by', async t => {
  const [a] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a, { grants: ['mfa:auditor', 'mfa:admin'] })])
  const tenant = newTenant()
  for (
    const claims of [{ sub: 'app', client_id: 'app' }, { sub: 'app', azp: 'app' }, { sub: 'app', cid: 'app' }, {
      gty: 'client-credentials'
    }, { idtyp: 'app' }]
  ) {
    const token = a.sign(service.clock, { tenant, roles: ['mfa:auditor', 'mfa:admin'], ...claims })
    for (const path of ['/mfa/status', '/admin/policy']) {
      t.match(await service.call('GET', path, { token }), { status: 403, body: { code: 'forbidden' } }, `${JSON.stringify(claims)} ${path}`)
    }
  }
  t.equal((await service.db.rows`SELECT 1 FROM users WHERE tenant = ${tenant}`).length, 0)
})

t.test('a personal token shows no account', async t => {
  const [a] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a, { loginType: 'api' })])
  const tenant = newTenant()
  await status(service, a.sign(service.clock, { tenant, exp: service.clock.seconds + 300 * 86400 }))
  t.same((await service.db.rows<any>`SELECT sources FROM users WHERE tenant = ${tenant}`)[0].sources, {
    [a.iss]: { local: false, sso: false }
  })
})

t.test('a token that says it left groups out is remembered to have done so, until one names them', async t => {
  const [a] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a)])
  const tenant = newTenant()
  const source = async (claims: object): Promise<unknown> => {
    t.equal((await status(service, a.sign(service.clock, { tenant, sub: 'alice', ...claims }))).status, 200)
    return (await service.db.rows<any>`SELECT sources FROM users WHERE tenant = ${tenant}`)[0].sources[a.iss]
  }
  t.same(await source({ groups: ['a'] }), { local: true, sso: false, groups: ['a'] })
  const unknown = { local: true, sso: false, groups: ['a'], groupsUnknown: true }
  t.same(await source({ _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://graph' } } }), unknown)
  t.same(await source({}), unknown, 'a token without these claims changes nothing')
  t.same(await source({ groups: ['b'] }), { local: true, sso: false, groups: ['b'], groupsUnknown: false })
  t.same(await source({ hasgroups: true }), { local: true, sso: false, groups: ['b'], groupsUnknown: true })
  t.same(await source({ groups: ['b'], _claim_names: { other: 'src1' } }), { local: true, sso: false, groups: ['b'], groupsUnknown: false })
  t.same(await source({ hasgroups: 'true', _claim_names: null }), { local: true, sso: false, groups: ['b'], groupsUnknown: true })
})

t.test('a refusal says nothing of the entry that it failed at', async t => {
  const [a, b] = await twoIssuers(t)
  const service = await startTrusting(t, [entryOf(a), entryOf(b, { tenants: ['acme'] })])
  const none = bare(await service.call('GET', '/mfa/status'))
  for (const token of [a.sign(service.clock, { iss: 'x' }), b.sign(service.clock, { tenant: 'x' }), a.sign(service.clock, { aud: 'x' })]) {
    t.same(bare(await status(service, token)), none)
  }
})
