import { generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { developmentEnvironment } from '../../src/config/development.ts'
import { rsaPair } from '../helpers/rsa.ts'
import { SECRET, testEnvironment } from '../helpers/service.ts'
import { issuersEnvironment } from '../helpers/issuers.ts'

const A = { issuer: 'https://a.test', audience: 'mfa', jwksUrl: 'https://a.test/jwks.json' }
const HOSTILE = 'canary-4711'

const withFile = (t: Test, entries: unknown, env: Record<string, string | undefined> = {}): Record<string, string | undefined> =>
  ({ ...testEnvironment(), ...issuersEnvironment(t, entries), ...env })
const read = (t: Test, entries: unknown, env: Record<string, string | undefined> = {}): ReturnType<typeof readConfig> =>
  readConfig(withFile(t, entries, env))

t.test('an entry of four members has the defaults of the documentation', async t => {
  t.same(read(t, [A]).ISSUERS, [{
    place: 'TRUSTED_ISSUERS_FILE [0]',
    issuer: 'https://a.test',
    audiences: ['mfa'],
    audienceClaim: 'aud',
    algorithms: ['RS256', 'ES256'],
    key: undefined,
    jwksUrl: 'https://a.test/jwks.json',
    tokenUse: 'access',
    loginType: 'local',
    namespace: 'https://a.test',
    tenant: undefined,
    isTenantRequired: false,
    tenants: '*',
    grants: [],
    claims: {
      subject: ['sub'],
      account: [['preferred_username'], ['email']],
      tenant: ['tenant'],
      groups: ['groups'],
      roles: ['roles'],
      accounts: ['accounts'],
      amr: ['amr'],
      acr: ['acr'],
      authTime: ['auth_time']
    },
    mfa: undefined,
    sessionClaims: [],
    isIatLogin: false,
    maxTokenSeconds: 86400,
    isTokenCapped: true,
    loginUrl: undefined,
    header: undefined
  }])
})

t.test('every member is read', async t => {
  const entry = {
    ...A,
    audience: ['one', 'two'],
    audienceClaim: 'client_id',
    algorithms: ['PS256'],
    tokenUse: 'id',
    loginType: 'sso',
    namespace: 'users',
    tenants: ['acme', 'other'],
    grants: ['mfa:support'],
    claims: {
      subject: 'oid',
      account: 'upn',
      tenant: ['org', 'id'],
      groups: 'g',
      roles: ['realm_access', 'roles'],
      accounts: 'acc',
      amr: 'methods',
      acr: 'level',
      authTime: 'at'
    },
    mfa: { amr: 'mfa', acr: ['2', '3'], maxAgeSeconds: 3600, phishingResistant: { amr: 'fido' } },
    sessionClaim: ['sid', 'session_id'],
    iatIsLogin: true,
    maxTokenSeconds: 2592000,
    isTokenCapped: false,
    loginUrl: 'https://a.test/login',
    header: 'X-Token'
  }
  t.match(read(t, [entry], { TRUSTED_PROXIES: '10.0.0.0/8' }).ISSUERS, [{
    audiences: ['one', 'two'],
    audienceClaim: 'client_id',
    algorithms: ['PS256'],
    tokenUse: 'id',
    loginType: 'sso',
    namespace: 'users',
    tenant: undefined,
    isTenantRequired: true,
    tenants: ['acme', 'other'],
    grants: ['mfa:support'],
    claims: {
      subject: ['oid'],
      account: [['upn']],
      tenant: ['org', 'id'],
      groups: ['g'],
      roles: ['realm_access', 'roles'],
      accounts: ['acc'],
      amr: ['methods'],
      acr: ['level'],
      authTime: ['at']
    },
    mfa: { amr: ['mfa'], acr: ['2', '3'], maxAgeSeconds: 3600, phishingResistant: { amr: ['fido'], acr: undefined } },
    sessionClaims: ['sid', 'session_id'],
    isIatLogin: true,
    maxTokenSeconds: 2592000,
    isTokenCapped: false,
    loginUrl: 'https://a.test/login',
    header: 'x-token'
  }])
  t.match(['local', 'sso', 'api', 'service'].map(loginType => read(t, [{ ...A, loginType }]).ISSUERS[0]?.maxTokenSeconds), [
    86400,
    86400,
    366 * 86400,
    86400
  ])
  t.match(read(t, [{ ...A, tenant: 'acme', claims: { tenant: 'org' }, mfa: { acr: 'high', maxAgeSeconds: 60 } }]).ISSUERS, [{
    tenant: 'acme', tenants: ['acme'], isTenantRequired: false, mfa: { amr: undefined, acr: ['high'], phishingResistant: undefined }
  }])
})

t.test('what is wrong with the file stops the start, named by entry and member, and no value is told', async t => {
  const B = { ...A, issuer: 'https://b.test', tenant: 'b' }
  const rsaPem = rsaPair().publicKey.export({ format: 'pem', type: 'spki' })
  const resistant = (phishingResistant: object): object => ({ ...A, mfa: { amr: 'mfa', maxAgeSeconds: 60, phishingResistant } })
  const wrong: Array<[unknown, string]> = [
    ['{', 'is not JSON'],
    [HOSTILE, 'is not JSON'],
    [[], 'is not an array with an entry'],
    [A, 'is not an array with an entry'],
    [[1], '[0] must be object'],
    [[null], '[0] must be object'],
    [[{ ...A, isuer: HOSTILE }], '[0].isuer is unknown'],
    [[{ ...A, tenant: 'a' }, { ...B, colour: HOSTILE }], '[1].colour is unknown'],
    [[{ ...A, claims: { subject: 'oid', mail: HOSTILE } }], '[0].claims.mail is unknown'],
    [[{ ...A, mfa: { maxAgeSeconds: 60, amr: 'mfa', age: 1 } }], '[0].mfa.age is unknown'],
    [[{ ...A, [`${HOSTILE} x`]: 1 }], '[0].(not a name) is unknown'],
    [[{ audience: 'mfa' }], '[0].issuer is missing'],
    [[{ ...A, mfa: { amr: 'mfa' } }], '[0].mfa.maxAgeSeconds is missing'],
    [[{ ...A, issuer: 1 }], '[0].issuer must be string'],
    [[{ ...A, issuer: '' }], '[0].issuer must not have fewer than 1 characters'],
    [[{ ...A, issuer: `https://${HOSTILE}\n` }], '[0].issuer must match pattern'],
    [[{ ...A, audience: [] }], '[0].audience has none of the shapes that it may have'],
    [[{ ...A, audience: ['a', 'a'] }], '[0].audience has none of the shapes'],
    [[{ ...A, loginType: HOSTILE }], '[0].loginType must be one of local, sso, api, service'],
    [[{ ...A, tokenUse: HOSTILE }], '[0].tokenUse must be one of access, id'],
    [[{ ...A, grants: [HOSTILE] }], '[0].grants.0 must be one of mfa:admin, mfa:support, mfa:auditor, mfa:sync'],
    [[{ ...A, algorithms: ['none'] }], '[0].algorithms.0 must be one of '],
    [[{ ...A, algorithms: [] }], '[0].algorithms must not have fewer than 1 items'],
    [[{ ...A, sessionClaim: [] }], '[0].sessionClaim has none of the shapes'],
    ...['auth_time', 'iat', 'exp', 'nbf', ['sid', 'auth_time'], ['iat', 'sid']].map((
      sessionClaim
    ): [unknown, string] => [[{ ...A, sessionClaim }], '[0].sessionClaim names a time']),
    [[{ ...A, tenant: 'a' }, { ...B, sessionClaim: 'login', claims: { authTime: 'login' } }], '[1].sessionClaim names a time'],
    [[{ ...A, claims: { roles: [] } }], '[0].claims.roles has none of the shapes'],
    [[{ ...A, iatIsLogin: 'true' }], '[0].iatIsLogin must be boolean'],
    [[{ ...A, mfa: { amr: 'mfa', maxAgeSeconds: 0 } }], '[0].mfa.maxAgeSeconds must be'],
    ...[0, 366 * 86400 + 1, 1.5, '3600'].map((
      maxTokenSeconds
    ): [unknown, string] => [[{ ...A, maxTokenSeconds }], '[0].maxTokenSeconds must be']),
    [[{ ...A, mfa: { maxAgeSeconds: 60 } }], '[0].mfa has neither amr nor acr'],
    [[resistant({})], '[0].mfa.phishingResistant has neither amr nor acr'],
    [[resistant({ amr: [] })], '[0].mfa.phishingResistant.amr has none of the shapes'],
    [[resistant({ amr: 'fido', maxAgeSeconds: 60 })], '[0].mfa.phishingResistant.maxAgeSeconds is unknown'],
    [[{ ...A, issuer: 'https://mfa.test' }], '[0].issuer equals MFA_ISSUER'],
    [[{ ...A, tenant: 'a', tenants: ['a'] }], '[0] has tenant, and tenants too'],
    [[{ ...A, tenants: HOSTILE }], '[0].tenants has none of the shapes'],
    [[A, B], '[0] has neither tenant nor tenants'],
    [[B, A], '[1] has neither tenant nor tenants'],
    [[{ ...A, secret: SECRET }], '[0] has more than one of secret, publicKey and jwksUrl'],
    [[{ ...A, jwksUrl: undefined }], '[0] has none of secret, publicKey and jwksUrl'],
    [[{ ...A, jwksUrl: undefined, secret: HOSTILE }], '[0].secret is shorter than 32 bytes'],
    [[{ ...A, jwksUrl: undefined, secret: 'change-me' }], '[0].secret is shorter than 32 bytes'],
    [[{ ...A, jwksUrl: undefined, publicKey: HOSTILE }], '[0].publicKey is not a PEM public key'],
    [
      [{ ...A, jwksUrl: undefined, publicKey: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n' }],
      '[0].publicKey holds a key that does not parse'
    ],
    [[{ ...A, jwksUrl: undefined, publicKey: rsaPem, algorithms: ['RS256', 'ES256'] }], '[0].algorithms does not fit the publicKey'],
    [[{ ...A, jwksUrl: undefined, publicKey: rsaPem, algorithms: ['HS256'] }], '[0].algorithms must not be HS'],
    [[{ ...A, algorithms: ['RS256', 'HS256'] }], '[0].algorithms must not be HS'],
    [[{ ...A, jwksUrl: undefined, secret: SECRET, algorithms: ['RS256'] }], '[0].algorithms must be HS'],
    [[{ ...A, jwksUrl: `http://${HOSTILE}.test/jwks` }], '[0].jwksUrl must begin with https:'],
    [[{ ...A, jwksUrl: HOSTILE }], '[0].jwksUrl is not a URL'],
    [[{ ...A, jwksUrl: 'file:///etc/passwd' }], '[0].jwksUrl must begin with https:'],
    [[{ ...A, loginUrl: `javascript:${HOSTILE}` }], '[0].loginUrl must begin with https:'],
    [[{ ...A, loginType: 'service', grants: ['mfa:admin'] }], '[0].grants holds a role that no machine may have'],
    [[{ ...A, header: 'X Token', sessionClaim: null }], '[0].header must match pattern'],
    [[{ ...A, header: 'Authorization', sessionClaim: null }], '[0].header is a header that means something else'],
    [[{ ...A, header: 'X-Token' }], '[0] has a header and no sessionClaim'],
    [[{ ...A, header: 'X-Token', sessionClaim: null }], '[0].header is read only from TRUSTED_PROXIES'],
    [[{ ...A, tenant: 'a' }, { ...A, tenant: 'b' }], '[1].audience is another entry\'s too'],
    [[{ ...A, tenant: 'a' }, { ...A, tenant: 'b', audience: ['x', 'mfa'] }], '[1].audience is another entry\'s too'],
    [[{ ...A, tenant: 'a' }, { ...A, tenant: 'b', audience: 'x', audienceClaim: 'azp' }], '[1].audience is another entry\'s too']
  ]
  for (const [entries, message] of wrong) {
    t.test(message, async t => {
      let text = ''
      try { read(t, entries) } catch (error) { text = (error as Error).message }
      t.equal(text.slice(0, `TRUSTED_ISSUERS_FILE ${message}`.length), `TRUSTED_ISSUERS_FILE ${message}`)
      t.notMatch(text, HOSTILE)
      t.notMatch(text, '\n')
    })
  }
  t.throws(() => readConfig({ ...withFile(t, []), TRUSTED_ISSUERS_FILE: '/nowhere/issuers.json' }), {
    message: 'TRUSTED_ISSUERS_FILE cannot be read'
  })
})

t.test('a good key is taken, loopback by http too, and entries may share an issuer where the audience picks', async t => {
  const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'pem', type: 'spki' })
  t.match(read(t, [{ ...A, jwksUrl: undefined, publicKey, algorithms: ['ES256'] }]).ISSUERS, [{ key: publicKey, algorithms: ['ES256'] }])
  t.match(read(t, [{ ...A, jwksUrl: undefined, secret: SECRET }]).ISSUERS, [{ key: SECRET, algorithms: ['HS256'] }])
  t.match(read(t, [{ ...A, jwksUrl: 'http://127.0.0.1:1/jwks', loginUrl: 'http://localhost/login' }]).ISSUERS, [{
    loginUrl: 'http://localhost/login'
  }])
  t.equal(
    read(t, [{ ...A, tenants: '*' }, {
      ...A,
      tenants: '*',
      audience: 'machines',
      loginType: 'service',
      grants: ['mfa:sync', 'mfa:auditor']
    }]).ISSUERS.length,
    2
  )
})

t.test('the file and the plain variables exclude each other', async t => {
  for (
    const [name, value] of [
      ['JWT_ISSUER', 'https://id.test'],
      ['JWT_SECRET', SECRET],
      ['JWT_SECRET_FILE', '/x'],
      ['JWT_LOGIN_TYPE', 'sso'],
      ['JWT_GRANTS', 'mfa:admin'],
      ['JWT_PUBLIC_KEY_FILE', '/x']
    ] as const
  ) {
    t.throws(() => read(t, [A], { [name]: value }), { message: `${name} is set, and TRUSTED_ISSUERS_FILE too: one of them` })
  }
  t.throws(() => readConfig({ ...testEnvironment(), JWT_ISSUER: undefined }), { message: 'JWT_ISSUER is missing' })
  t.match(readConfig(testEnvironment()).ISSUERS, [{
    issuer: 'https://id.test',
    audiences: ['mfa'],
    key: SECRET,
    tenants: '*',
    grants: ['mfa:admin', 'mfa:support', 'mfa:auditor', 'mfa:sync']
  }])
})

t.test('a secret of the file serves no other purpose', async t => {
  const key = Buffer.from(SECRET).subarray(0, 32)
  t.throws(() => read(t, [{ ...A, jwksUrl: undefined, secret: key.toString() }], { MFA_PEPPERS: `p1:${key.toString('base64')}` }), {
    message: 'TRUSTED_ISSUERS_FILE [0].secret holds a key of MFA_PEPPERS too: each purpose needs its own'
  })
  const shared = { ...A, jwksUrl: undefined, secret: SECRET, tenant: 'a' }
  t.equal(read(t, [shared, { ...shared, audience: 'other' }]).ISSUERS.length, 2, 'but entries of one provider share it')
})

t.test('on a developer\'s machine the file takes the place of the development issuer', async t => {
  const dir = t.testdir({})
  const { TRUSTED_ISSUERS_FILE } = issuersEnvironment(t, [A])
  const env = developmentEnvironment({ TRUSTED_ISSUERS_FILE }, dir)
  t.same(Object.keys(env).filter(name => name.startsWith('JWT_')), [])
})
