// Every recipe of docs/issuers.md: its block is a whole file that starts the service, and a token of the provider's shape passes.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { claimsOf, type Service, signToken } from '../../helpers/service.ts'
import { newKey, startTrusting, TestIssuer } from '../../helpers/issuers.ts'

const TEXT = readFileSync('docs/issuers.md', 'utf8')
const RECIPES = new Map(
  [...TEXT.matchAll(/<!-- recipe: (\w+) -->\n```json\n(.*?)```/gs)].map((
    [, name, json]
  ) => [name as string, JSON.parse(json as string) as Array<Record<string, unknown>>])
)

/** A user's id, another in each run: the tenants are those of the document. */
const RUN = createHash('sha256').update(String(process.pid) + String(Date.now())).digest('hex').slice(0, 16)

interface Shape {
  /** Of the token, besides `iss`, `aud`, `exp` and `iat`. */
  claims: (now: number) => Record<string, unknown>
  algorithm?: 'RS256' | 'ES256'
  header?: Record<string, unknown>
  aud?: unknown
  /** Seconds; a quarter of an hour unless the provider's are known to be longer. */
  lifetime?: number
  /** What the service takes from it. */
  expected: { subject: string, account: string, tenant: string }
  /** Of the MFA token that is made from it; without a login of a known time no user can enroll. */
  enrolled: Record<string, unknown> | 'login time unknown'
}

const id = (name: string): string => `${name}-${RUN}`

/** What Zitadel says below a role: whose it is, and by which domain. */
const ORGANIZATION = { '262889111111111111': 'acme.example.com' }

const SHAPES: Record<string, Shape> = {
  keycloak: {
    algorithm: 'RS256',
    aud: ['headless-mfa', 'account'],
    claims: now => ({
      jti: 'onrtac:1',
      typ: 'Bearer',
      azp: 'portal',
      acr: '1',
      auth_time: now,
      sub: id('keycloak'),
      sid: 'c3f5',
      preferred_username: 'alice',
      email: 'alice@example.com',
      email_verified: true,
      scope: 'openid profile email',
      groups: ['staff'],
      realm_access: { roles: ['offline_access', 'mfa:admin', 'mfa:support'] },
      resource_access: { account: { roles: ['manage-account'] } },
      'allowed-origins': ['https://app.example.com']
    }),
    expected: { subject: id('keycloak'), account: 'alice', tenant: 'acme' },
    enrolled: { roles: ['offline_access', 'mfa:admin'], groups: ['staff'], sid: 'c3f5', client_id: 'portal', amr: ['otp', 'mfa'] }
  },
  entra: {
    algorithm: 'RS256',
    header: { x5t: 'aGFzaA' },
    claims: now => ({
      ver: '2.0',
      tid: '11111111-2222-4333-8444-555555555555',
      oid: id('entra'),
      sub: 'pairwise-of-this-application',
      azp: 'aaaaaaaa-0000-4000-8000-000000000000',
      azpacr: '1',
      preferred_username: 'alice@example.com',
      name: 'Alice',
      scp: 'access_as_user',
      nbf: now,
      auth_time: now,
      sid: 's-1',
      roles: ['mfa:admin'],
      idtyp: 'user',
      uti: 'x',
      rh: 'y',
      _claim_names: { groups: 'src1' },
      _claim_sources: { src1: { endpoint: 'https://graph.microsoft.com/v1.0/users/x/getMemberObjects' } }
    }),
    expected: { subject: id('entra'), account: 'alice@example.com', tenant: 'acme' },
    enrolled: { roles: ['mfa:admin'], sid: 's-1', amr: ['otp', 'mfa'] }
  },
  okta: {
    algorithm: 'RS256',
    header: { typ: undefined },
    claims: now => ({
      ver: 1,
      jti: 'AT.x',
      sub: 'alice@example.com',
      cid: '0oa1',
      uid: id('00u1'),
      scp: ['openid', 'profile'],
      auth_time: now,
      groups: ['Everyone'],
      mfa_roles: ['mfa:admin']
    }),
    expected: { subject: id('00u1'), account: 'alice@example.com', tenant: 'acme' },
    enrolled: { roles: ['mfa:admin'], groups: ['Everyone'], sid: undefined, amr: ['otp', 'mfa'] }
  },
  auth0: {
    algorithm: 'RS256',
    aud: ['https://mfa.example.com', 'https://acme.eu.auth0.com/userinfo'],
    claims: now => ({
      sub: id('auth0|1'),
      azp: 'my_client_id',
      scope: 'openid profile',
      'https://mfa.example.com/session': 'session-1',
      'https://mfa.example.com/roles': ['mfa:admin'],
      'https://mfa.example.com/account': 'alice',
      'https://mfa.example.com/auth_time': now
    }),
    expected: { subject: id('auth0|1'), account: 'alice', tenant: 'acme' },
    enrolled: { roles: ['mfa:admin'], sid: 'session-1', client_id: 'my_client_id' }
  },
  cloudflare: {
    algorithm: 'RS256',
    aud: ['32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c4228'],
    lifetime: 30 * 86400,
    claims: now => ({
      sub: id('cf'),
      email: 'alice@example.com',
      nbf: now,
      type: 'app',
      identity_nonce: '6ei69kawdKzMIAPF',
      country: 'US'
    }),
    expected: { subject: id('cf'), account: 'alice@example.com', tenant: 'acme' },
    enrolled: { sid: undefined, amr: ['otp', 'mfa'] }
  },
  iap: {
    algorithm: 'ES256',
    claims: () => ({
      sub: id('accounts.google.com:1'),
      email: 'alice@example.com',
      azp: '/projects/123456789012/global/backendServices/987654321098',
      google: { access_levels: [] },
      hd: 'example.com',
      identity_source: 'GOOGLE'
    }),
    expected: { subject: id('accounts.google.com:1'), account: 'alice@example.com', tenant: 'acme' },
    enrolled: 'login time unknown'
  },
  supabase: {
    algorithm: 'ES256',
    claims: now => ({
      sub: id('supabase'),
      email: 'alice@example.com',
      phone: '',
      role: 'authenticated',
      aal: 'aal2',
      session_id: 'session-1',
      is_anonymous: false,
      amr: [{ method: 'password', timestamp: now }, { method: 'totp', timestamp: now }],
      auth_time: now,
      app_metadata: { provider: 'email', mfa_roles: ['mfa:admin'], groups: ['staff'] },
      user_metadata: { mfa_roles: ['mfa:support'] }
    }),
    expected: { subject: id('supabase'), account: 'alice@example.com', tenant: 'acme' },
    enrolled: { roles: ['mfa:admin'], groups: ['staff'], sid: 'session-1', amr: ['otp', 'mfa'] }
  },
  cognito: {
    algorithm: 'RS256',
    header: { typ: undefined },
    claims: now => ({
      aud: undefined,
      client_id: '1example23456789abcdefghij',
      sub: id('cognito'),
      device_key: 'eu-central-1_1a2b',
      'cognito:groups': ['staff', 'mfa:admin', 'mfa:support'],
      version: 2,
      origin_jti: 'origin-1',
      event_id: 'event-1',
      jti: 'jti-1',
      token_use: 'access',
      scope: 'openid email',
      auth_time: now,
      username: 'alice'
    }),
    expected: { subject: id('cognito'), account: 'alice', tenant: 'acme' },
    enrolled: {
      roles: ['staff', 'mfa:admin'],
      groups: ['staff', 'mfa:admin', 'mfa:support'],
      sid: 'origin-1',
      client_id: '1example23456789abcdefghij',
      amr: ['otp', 'mfa']
    }
  },
  adfs: {
    algorithm: 'RS256',
    header: { kid: undefined, x5t: 'jeeQjLUam_5jJgqW1jVLeYl8Gik' },
    claims: now => ({
      primarysid: id('S-1-5-21-1'),
      upn: 'alice@example.com',
      group: 'Domain Users',
      role: 'mfa:admin',
      apptype: 'Confidential',
      appid: '60b3d106-d155-4f9f-ba75-84b8078829fa',
      authmethod: 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport',
      auth_time: new Date(now * 1000).toISOString(),
      ver: '1.0',
      scp: 'profile openid'
    }),
    expected: { subject: id('S-1-5-21-1'), account: 'alice@example.com', tenant: 'acme' },
    enrolled: { roles: ['mfa:admin'], groups: ['Domain Users'], sid: undefined, amr: ['otp', 'mfa'] }
  },
  authentik: {
    algorithm: 'RS256',
    claims: now => ({
      sub: id('authentik'),
      auth_time: now,
      acr: 'goauthentik.io/providers/oauth2/default',
      amr: ['pwd', 'mfa'],
      nonce: 'n-1',
      sid: 'f4c3b2a1',
      email: 'alice@example.com',
      email_verified: true,
      name: 'Alice',
      given_name: 'Alice',
      preferred_username: 'alice',
      nickname: 'alice',
      groups: ['authentik Admins', 'mfa:admin'],
      azp: 'kUcPs9bKq3Nf0aYdXwEoRzTgHmVjLi2C7x4B8e1D',
      uid: 'GvQWn2i8UJm4nUdTrM7zHYEVgRNLmBDMl9Vwpp2d'
    }),
    expected: { subject: id('authentik'), account: 'alice', tenant: 'acme' },
    enrolled: {
      roles: ['authentik Admins', 'mfa:admin'],
      groups: ['authentik Admins', 'mfa:admin'],
      sid: 'f4c3b2a1',
      amr: ['pwd', 'otp', 'mfa']
    }
  },
  zitadel: {
    algorithm: 'RS256',
    aud: ['262889234567890123', '262889234567890456', '262889234567890000'],
    claims: now => ({
      sub: id('262889000000000001'),
      amr: ['pwd', 'otp', 'mfa'],
      auth_time: now,
      azp: '262889234567890123',
      client_id: '262889234567890123',
      at_hash: 'h',
      nonce: 'n-1',
      sid: 'V1_262889',
      preferred_username: 'alice@acme.example.com',
      email: 'alice@example.com',
      'urn:zitadel:iam:org:project:roles': { 'mfa:admin': ORGANIZATION, reader: ORGANIZATION }
    }),
    expected: { subject: id('262889000000000001'), account: 'alice@acme.example.com', tenant: 'acme' },
    enrolled: { roles: ['mfa:admin', 'reader'], sid: 'V1_262889', client_id: '262889234567890123', amr: ['pwd', 'otp', 'mfa'] }
  },
  dex: {
    algorithm: 'RS256',
    header: { typ: undefined },
    lifetime: 86_400,
    claims: () => ({
      sub: id('CgVhbGljZRIEbGRhcA'),
      nonce: 'n-1',
      at_hash: 'h',
      email: 'alice@example.com',
      email_verified: true,
      name: 'Alice',
      preferred_username: 'alice',
      groups: ['staff', 'mfa:admin'],
      federated_claims: { connector_id: 'ldap', user_id: 'alice' }
    }),
    expected: { subject: id('CgVhbGljZRIEbGRhcA'), account: 'alice', tenant: 'acme' },
    enrolled: { roles: ['staff', 'mfa:admin'], groups: ['staff', 'mfa:admin'], sid: undefined, amr: ['otp', 'mfa'] }
  },
  hs256: {
    claims: now => ({
      sub: id('alice'),
      tenant: id('tenant'),
      auth_time: now,
      sid: 'session-1',
      roles: ['mfa:support', 'mfa:sync'],
      accounts: ['local'],
      amr: ['pwd']
    }),
    expected: { subject: id('alice'), account: id('alice'), tenant: id('tenant') },
    enrolled: { roles: ['mfa:support'], sid: 'session-1', amr: ['pwd', 'otp', 'mfa'] }
  },
  several: {
    claims: now => ({ sub: id('1234'), auth_time: now, sid: 's' }),
    expected: { subject: id('1234'), account: id('1234'), tenant: 'acme' },
    enrolled: { sid: 's' }
  }
}

interface Stage {
  service: Service
  entries: Array<Record<string, unknown>>
  issuer: TestIssuer
  sign: (claims?: Record<string, unknown>) => string
}

/** The recipe with the addresses of its keys turned to the loopback, and nothing else changed. */
async function start (t: Test, name: string, recipe = RECIPES.get(name) as Array<Record<string, unknown>>): Promise<Stage> {
  const shape = SHAPES[name] as Shape
  const issuer = await new TestIssuer(recipe[0]?.issuer as string, shape.algorithm).start(t)
  // One that names no key publishes several, as while it rolls over.
  if (Object.hasOwn(shape.header ?? {}, 'kid')) issuer.keys.push(newKey(shape.algorithm))
  const entries = recipe.map(entry => entry.jwksUrl === undefined ? entry : { ...entry, jwksUrl: issuer.jwksUrl })
  const service = await startTrusting(t, entries, { TRUSTED_PROXIES: '127.0.0.1/32' })
  const sign = (claims: Record<string, unknown> = {}): string => {
    const now = service.clock.seconds
    const all = {
      iss: issuer.iss,
      aud: shape.aud ?? entries[0]?.audience,
      auth_time: undefined,
      iat: now,
      exp: now + (shape.lifetime ?? 900),
      ...shape.claims(now),
      ...claims
    }
    return entries[0]?.secret === undefined
      ? issuer.sign(service.clock, all, shape.header)
      : signToken(all, {}, entries[0].secret as string)
  }
  return { service, entries, issuer, sign }
}

t.test('every recipe is tried, and every shape has a recipe', async t => {
  t.same([...RECIPES.keys()].sort(), Object.keys(SHAPES).sort())
  t.equal(RECIPES.size, [...TEXT.matchAll(/^```json$/gm)].length, 'no block of JSON is left out')
  const members = new Set([...RECIPES.values()].flat().flatMap(entry => Object.keys(entry)))
  const told = TEXT.slice(TEXT.indexOf('## Members'), TEXT.indexOf('`claims` names'))
  for (const member of members) t.match(told, `\`${member}\``, `${member} is in the table`)
})

for (const [name, { expected, enrolled }] of Object.entries(SHAPES)) {
  t.test(`${name}: a token of its shape is the user that the recipe says`, async t => {
    const { service, entries, sign } = await start(t, name)
    const header = entries[0]?.header as string | undefined
    t.match(await service.call('GET', '/mfa/status', { token: sign() }), { status: 200, body: expected })
    if (header !== undefined) {
      t.match((await service.call('GET', '/mfa/status', { headers: { [header]: sign() } })).body, expected, 'in its header')
    }
    const audience = entries[0]?.audienceClaim as string | undefined ?? 'aud'
    for (const wrong of [{ [audience]: 'other' }, { iss: 'https://evil.test' }, { exp: service.clock.seconds - 1 }]) {
      t.equal((await service.call('GET', '/mfa/status', { token: sign(wrong) })).status, 401, JSON.stringify(wrong))
    }
    if (enrolled === 'login time unknown') {
      t.match(await service.call('POST', '/mfa/enroll', { token: sign() }), { status: 403, body: { code: 'login_time_unknown' } })
      return
    }
    const user = service.user({ sub: expected.subject, tenant: expected.tenant })
    const { token } = await user.enroll(sign())
    const claims = claimsOf(token)
    t.match({ sub: claims.sub, ns: claims.ns }, { sub: expected.subject, ns: entries[0]?.namespace ?? entries[0]?.issuer })
    for (const [claim, value] of Object.entries(enrolled)) t.same(claims[claim], value, claim)
  })
}

t.test('entra: left-out groups are remembered, and an application\'s own token is no user', async t => {
  const { service, sign } = await start(t, 'entra')
  await service.call('GET', '/mfa/status', { token: sign() })
  const [row] = await service.db.rows<any>`SELECT sources FROM users WHERE tenant = 'acme' AND subject = ${id('entra')}`
  t.equal(Object.values<any>(row.sources)[0].groupsUnknown, true)
  t.equal((await service.call('GET', '/mfa/status', { token: sign({ idtyp: 'app', scp: undefined }) })).status, 403)
})

t.test('okta: with the claims of a hook a login is remembered', async t => {
  const { entries: [entry], issuer, sign } = await start(t, 'okta')
  const service = await startTrusting(t, [{ ...entry, jwksUrl: issuer.jwksUrl, sessionClaim: 'mfa_session' }])
  const user = service.user({ sub: id('hooked'), tenant: 'acme' })
  const claims = { uid: user.sub, auth_time: service.clock.read().toISOString(), mfa_session: 'aGFzaA' }
  await user.enroll(sign(claims))
  const decisionOf = async (change: object): Promise<string> =>
    (await service.call('GET', '/mfa/status', { token: sign({ ...claims, ...change }) })).body.decision.reason
  t.equal(await decisionOf({}), 'mfa_verified')
  for (const change of [{ mfa_session: 'other' }, { mfa_session: undefined }]) {
    t.equal(await decisionOf(change), 'factor_enrolled', JSON.stringify(change))
  }
})

t.test('clients\' own tokens of Okta, Auth0 and Cloudflare name no user', async t => {
  for (
    const [name, claims, status] of [['okta', { sub: '0oa1', uid: undefined }, 401], ['auth0', {
      sub: 'my_client_id@clients',
      gty: 'client-credentials'
    }, 403], ['cloudflare', { sub: '', common_name: 'token.access', email: undefined }, 401]] as const
  ) {
    const { service, sign } = await start(t, name)
    t.equal((await service.call('GET', '/mfa/status', { token: sign(claims) })).status, status, name)
  }
})

t.test('supabase: the assurance level can be counted, with a time of the login', async t => {
  const { service, entries, issuer, sign } = await start(t, 'supabase')
  const [entry] = entries as [Record<string, object>]
  const counting = await startTrusting(t, [{
    ...entry,
    jwksUrl: issuer.jwksUrl,
    claims: { ...entry.claims, acr: 'aal' },
    mfa: { acr: 'aal2', maxAgeSeconds: 3600 }
  }], {})
  t.match((await counting.call('GET', '/mfa/status', { token: sign({ sub: id('counted') }) })).body.decision, { reason: 'idp_mfa' })
  for (const claims of [{ aal: 'aal1' }, { auth_time: undefined }]) {
    t.not((await counting.call('GET', '/mfa/status', { token: sign({ sub: id('counted'), ...claims }) })).body.decision.reason, 'idp_mfa')
  }
  t.not(
    (await service.call('GET', '/mfa/status', { token: sign({ sub: id('counted') }) })).body.decision.reason,
    'idp_mfa',
    'as the recipe stands it does not'
  )
})

t.test('several: two providers name one user, and the machine is none', async t => {
  const { service, entries, issuer, sign } = await start(t, 'several')
  const [, users, machines] = entries as [object, Record<string, string>, Record<string, string>]
  const now = service.clock.seconds
  const one = await service.call('GET', '/mfa/status', { token: sign() })
  const sso = { iss: users.issuer, aud: users.audience, sub: 'keycloak-uuid', employee_id: id('1234'), acr: '2', auth_time: now }
  const two = await service.call('GET', '/mfa/status', { token: issuer.sign(service.clock, sso) })
  t.equal(two.body.userId, one.body.userId)
  t.match(two.body.decision, { action: 'allow', reason: 'idp_mfa' })
  t.equal(
    (await service.call('GET', '/mfa/status', { token: issuer.sign(service.clock, { ...sso, aud: machines.audience, sub: 'crm' }) }))
      .status,
    403
  )
})

t.test('cognito: an ID token of the pool is none, and an app client\'s own token is no user', async t => {
  const { service, sign } = await start(t, 'cognito')
  t.match(await service.call('GET', '/mfa/status', { token: sign({ token_use: 'id', aud: '1example23456789abcdefghij' }) }), {
    status: 401,
    body: { cause: /^token_use is "id"/ }
  })
  t.equal(
    (await service.call('GET', '/mfa/status', { token: sign({ sub: '1example23456789abcdefghij', username: undefined }) })).status,
    403
  )
})

t.test('adfs: a client\'s own token is none, and a certificate that is rolled over is no outage', async t => {
  const { service, issuer, sign } = await start(t, 'adfs')
  t.match(await service.call('GET', '/mfa/status', { token: sign({ primarysid: undefined, upn: undefined }) }), {
    status: 401,
    body: { cause: /^primarysid is not there/ }
  })
  issuer.keys.reverse()
  t.equal((await service.call('GET', '/mfa/status', { token: sign() })).status, 200)
})

t.test('authentik and dex: a token without a nonce passes too, as a client may send none', async t => {
  for (const name of ['authentik', 'dex']) {
    const { service, sign } = await start(t, name)
    t.equal((await service.call('GET', '/mfa/status', { token: sign({ nonce: undefined, at_hash: undefined }) })).status, 200, name)
  }
})

t.test('zitadel: an access token passes and sets up nothing, as it does not say when the login was', async t => {
  const { service, sign } = await start(t, 'zitadel')
  const token = sign({
    sub: id('262889000000000002'),
    auth_time: undefined,
    amr: undefined,
    nonce: undefined,
    at_hash: undefined,
    sid: undefined,
    jti: 'at-1'
  })
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 200)
  t.match(await service.call('POST', '/mfa/enroll', { token }), { status: 403, body: { code: 'login_time_unknown' } })
})

for (const name of ['authentik', 'zitadel']) {
  t.test(`${name}: its own MFA counts as the recipe says, where it is switched on`, async t => {
    const [entry] = RECIPES.get(name) as [Record<string, unknown>]
    t.match(TEXT.slice(TEXT.indexOf(`<!-- recipe: ${name} -->`)), /"mfa": \{ "amr": "mfa", "maxAgeSeconds": 28800 \}/)
    const { service, sign } = await start(t, name, [{ ...entry, mfa: { amr: 'mfa', maxAgeSeconds: 28_800 } }])
    t.match((await service.call('GET', '/mfa/status', { token: sign() })).body.decision, { action: 'allow', reason: 'idp_mfa' })
    t.notMatch((await service.call('GET', '/mfa/status', { token: sign({ amr: ['pwd'] }) })).body.decision, { reason: 'idp_mfa' })
  })
}
