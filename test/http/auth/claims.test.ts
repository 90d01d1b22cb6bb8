// What is read of a token: every claim, in every shape that it may have, and what must come of it.
import t, { type Test } from 'tap'
import { readConfig } from '../../../src/config/config.ts'
import type { Caller } from '../../../src/http/auth/caller.ts'
import { type Issuer, namesAudience, readCaller } from '../../../src/http/auth/first-factor.ts'
import { signOfOtherKind } from '../../../src/http/auth/token-kind.ts'
import { type Refusal, RefusedToken } from '../../../src/http/auth/refused-token.ts'
import { startTrusting, TestIssuer } from '../../helpers/issuers.ts'
import { administrator } from '../../helpers/administrator.ts'
import { type Service, testEnvironment } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const NOW = new Date('2026-11-28T17:38:10Z')
const SECONDS = NOW.getTime() / 1000

const [DEFAULTS] = readConfig({ ...testEnvironment(), JWT_SESSION_CLAIM: 'session' }).ISSUERS as [Issuer]

/** Any value that is no text, and no text that is a name. */
const SHAPES = {
  absent: undefined,
  null: null,
  true: true,
  false: false,
  zero: 0,
  one: 1,
  negative: -1,
  fraction: 1.5,
  huge: 1e300,
  'empty text': '',
  text: 'x',
  'several words': 'x y',
  astral: '🦊',
  'line break': 'x\n',
  NUL: 'x\0',
  'C1 control': 'x\u0085',
  'line separator': 'x\u2028',
  'half a pair': 'x\ud800',
  '128 characters': 'x'.repeat(128),
  '129 characters': 'x'.repeat(129),
  '255 foxes': '🦊'.repeat(255),
  '256 characters': 'x'.repeat(256),
  '512 characters': 'x'.repeat(512),
  '513 characters': 'x'.repeat(513),
  'empty list': [],
  list: ['x', 'y', 'x'],
  'list with a number': ['x', 1],
  'list with null': ['x', null],
  'list with an empty text': ['x', ''],
  'list with 513 characters': ['x', 'y'.repeat(513)],
  'list of 2001': Array.from({ length: 2001 }, (_, i) => `g${i}`),
  'list of a list': [['x']],
  'list of objects': [{ value: 'x' }],
  'empty object': {},
  object: { x: {}, y: null }
} as const

type Shape = keyof typeof SHAPES

const read = (claims: Record<string, unknown>, issuer: Partial<Issuer> = {}): Caller =>
  readCaller({}, JSON.parse(JSON.stringify({ sub: 'alice', exp: SECONDS + 900, iat: SECONDS, auth_time: SECONDS, ...claims })), {
    ...DEFAULTS,
    ...issuer
  }, NOW)

const refusedFor = (refusal: Partial<Refusal>): Error => ({ code: 'invalid_token', refusal }) as unknown as Error

/** Long text by its length. */
const shown = (text: string | undefined): string =>
  text === undefined ? 'none' : [...text].length > 20 ? `${[...text].length} characters` : text

/** What each shape of one claim comes to; those that are not named come to `others`. */
function check (
  t: Test,
  claim: string,
  view: (caller: Caller) => string,
  others: string,
  expected: Partial<Record<Shape, string>>,
  issuer: Partial<Issuer> = {}
): void {
  for (const [shape, value] of Object.entries(SHAPES) as Array<[Shape, unknown]>) {
    let found
    try {
      found = view(read({ [claim]: value }, issuer))
    } catch (error) {
      found = error instanceof RefusedToken ? `401 ${error.refusal.cause}` : String(error)
    }
    t.equal(found, expected[shape] ?? others, `${claim}: ${shape}`)
  }
}

const NAMES = { text: 'x', 'several words': 'x y', astral: '🦊', '128 characters': '128 characters' } as const
const UP_TO_255 = { ...NAMES, '129 characters': '129 characters', '255 foxes': '255 characters' } as const

t.test('subject and tenant say who it is: one that cannot be read is a 401, whatever the issuer is configured to', async t => {
  check(t, 'sub', caller => shown(caller.subject), '401 unreadable', { ...UP_TO_255, absent: '401 absent' })
  const tenant = (caller: Caller): string => shown(caller.tenant)
  check(t, 'tenant', tenant, '401 unreadable', { ...NAMES, absent: 'default' })
  check(t, 'tenant', tenant, '401 unreadable', {
    text: 'x',
    'several words': '401 not_allowed',
    astral: '401 not_allowed',
    '128 characters': '401 not_allowed',
    absent: 'x'
  }, { tenant: 'x', tenants: ['x'] })
  check(t, 'tenant', tenant, '401 unreadable', {
    text: 'x',
    'several words': '401 not_allowed',
    astral: '401 not_allowed',
    '128 characters': '401 not_allowed',
    absent: '401 not_allowed'
  }, { tenants: ['x', 'y'] })
  check(t, 'tenant', tenant, '401 unreadable', { ...NAMES, absent: '401 absent' }, { isTenantRequired: true })
  const below = { claims: { ...DEFAULTS.claims, tenant: ['org', 'name'] } }
  // What is on the way to it is not an object: then something is there, and it is not known what.
  check(t, 'org', tenant, '401 unreadable', { absent: 'default', 'empty object': 'default', object: 'default' }, below)
  t.equal(read({ org: { name: 'acme' } }, below).tenant, 'acme')
  t.throws(() => read({ org: { name: null } }, below), refusedFor({ cause: 'unreadable' }))
})

/** Items, and `…` where that is not all. */
const items = (list: readonly string[] | undefined): string =>
  list === undefined ? 'none' : list.length > 20 ? `${list.length} items` : `[${list.map(shown).join()}]`

const LISTS = {
  'empty list': '[]',
  'empty object': '[]',
  text: '[x]',
  'several words': '[x y]',
  astral: '[🦊]',
  '128 characters': '[128 characters]',
  '129 characters': '[129 characters]',
  '255 foxes': '[255 characters]',
  '256 characters': '[256 characters]',
  '512 characters': '[512 characters]',
  list: '[x,y]',
  object: '[x,y]'
} as const
const PARTS = {
  'list with a number': '[x]',
  'list with null': '[x]',
  'list with an empty text': '[x]',
  'list with 513 characters': '[x]',
  'list of 2001': '2000 items'
} as const

t.test('of groups what can be read counts; where that is not all, it is known that some are missing', async t => {
  const view = ({ groups, issuerClaims }: Caller): string => `${items(groups)}${issuerClaims?.areGroupsUnknown === true ? '…' : ''}`
  check(t, 'groups', view, '[]…', {
    absent: 'none',
    ...LISTS,
    ...Object.fromEntries(Object.entries(PARTS).map(([shape, found]) => [shape, `${found}…`]))
  })
  for (const claims of [{ _claim_names: { groups: 'src1' } }, { hasgroups: true }, { hasgroups: 'true' }]) {
    t.equal(view(read(claims)), 'none…', JSON.stringify(claims))
  }
  for (const claims of [{ _claim_names: { other: 'src1' } }, { _claim_names: null }, { hasgroups: false }]) {
    t.equal(view(read(claims)), 'none', JSON.stringify(claims))
  }
  t.equal(
    view(read({ groups: [...Array.from({ length: 2000 }, (_, i) => `g${i}`), 'g7'] })),
    '2000 items',
    'one that is named twice is one'
  )
  check(t, 'org', view, '[]…', { absent: 'none', 'empty object': 'none', object: 'none' }, {
    claims: { ...DEFAULTS.claims, groups: ['org', 'groups'] }
  })
})

t.test('roles and methods open something as far as they can be read', async t => {
  check(t, 'roles', caller => items(caller.roles), '[]', { ...LISTS, ...PARTS })
  check(t, 'amr', caller => items(caller.amr), '[]', { ...LISTS, ...PARTS })
  const mfa = { amr: ['x'], acr: undefined, maxAgeSeconds: 60, phishingResistant: undefined }
  check(t, 'amr', caller => String(caller.isIdpMfa), 'false', { text: 'true', list: 'true', object: 'true' }, { mfa })
  check(t, 'acr', caller => String(caller.isIdpMfa), 'false', { text: 'true' }, { mfa: { ...mfa, amr: undefined, acr: ['x'] } })
  check(t, 'auth_time', caller => String(caller.isIdpMfa), 'false', {}, { mfa })
  t.same(read({ roles: ['mfa:admin', 'mfa:sync', 'x'] }, { grants: ['mfa:sync'] }).roles, ['mfa:sync', 'x'])
})

t.test('only an account that is called "sso" is one of SSO; any other, also one that cannot be read, is opened by something ' +
  'else', async t => {
  const view = ({ issuerClaims }: Caller): string => items(issuerClaims?.accounts)
  check(t, 'accounts', view, '[local]', { absent: 'none', 'empty list': '[]', 'empty object': '[]' })
  for (const [accounts, expected] of [
    ['sso', '[sso]'], [['sso'], '[sso]'], [['sso', 'sso'], '[sso]'], [{ sso: true }, '[sso]'],
    ['SSO', '[local]'], [['Sso'], '[local]'], [' sso', '[local]'], ['local', '[local]'], [['ldap'], '[local]'],
    [['sso', 'local'], '[local,sso]'],
    [['sso', 'ldap'], '[local,sso]'],
    [['sso', 'SSO'], '[local,sso]'],
    [['sso', 1], '[local,sso]'],
    [['sso', ''], '[local,sso]'],
    [{ sso: true, password: true }, '[local,sso]']
  ] as const) t.equal(view(read({ accounts })), expected, JSON.stringify(accounts))
})

t.test('what is shown to users, and the name of the client, is the first that can be read', async t => {
  const account = (caller: Caller): string => shown(caller.issuerClaims?.account)
  check(t, 'preferred_username', account, 'none', UP_TO_255)
  t.equal(account(read({ preferred_username: 1, email: 'alice@example.com' })), 'alice@example.com')
  check(t, 'client_id', caller => shown(caller.clientId), 'none', UP_TO_255)
  t.equal(read({ client_id: ['x'], azp: 'portal' }).clientId, 'portal')
})

t.test('a token ends and was issued at a number of seconds, also with a fraction', async t => {
  check(t, 'exp', caller => String(caller.expiresAt - SECONDS), '401 unreadable', {
    absent: '401 absent',
    zero: '401 expired',
    one: '401 expired',
    fraction: '401 expired'
  })
  check(t, 'iat', caller => String(caller.issuerClaims?.issuedAt), '401 unreadable', {
    absent: String(SECONDS + 900 - 86400),
    zero: '401 lifetime',
    one: '401 lifetime',
    fraction: '401 lifetime'
  })
  t.equal(read({ exp: SECONDS + 900.9 }).expiresAt, SECONDS + 900, 'it ends no later for it')
  t.equal(read({ iat: SECONDS - 0.5 }).issuerClaims?.issuedAt, SECONDS - 1)
  for (
    const [claims, cause] of [
      [{ exp: SECONDS }, 'expired'],
      [{ exp: SECONDS + 0.9 }, 'expired'],
      [{ exp: String(SECONDS + 900) }, 'unreadable'],
      [{ iat: SECONDS + 61 }, 'not_yet'],
      [{ iat: String(SECONDS) }, 'unreadable'],
      [{ iat: '2026-11-28T17:38:10Z' }, 'unreadable'],
      [{ exp: SECONDS + 86401 }, 'lifetime'],
      [{ exp: SECONDS + 86401, iat: undefined }, 'lifetime']
    ] as const
  ) {
    t.throws(() => read(claims), refusedFor({ cause }), JSON.stringify(claims))
  }
  const month = { maxTokenSeconds: 30 * 86400 }
  t.equal(read({ exp: SECONDS + 30 * 86400 }, month).expiresAt, SECONDS + 30 * 86400)
  t.throws(() => read({ exp: SECONDS + 30 * 86400 + 1 }, month), refusedFor({ cause: 'lifetime', expected: 'at most 2592000' }))
  t.equal(read({ iat: undefined }, month).issuerClaims?.issuedAt, SECONDS + 900 - 30 * 86400, 'issued as early as it may have been')
})

t.test('the time of the login is a number, digits, or RFC 3339 text; any other is unknown, and iat does not stand for it', async t => {
  for (const issuer of [{}, { isIatLogin: true }]) {
    const known = (value: unknown): string => String(read({ auth_time: value }, issuer).authTime)
    for (
      const value of [
        SECONDS,
        SECONDS + 0.7,
        String(SECONDS),
        '2026-11-28T17:38:10Z',
        '2026-11-28T17:38:10.000Z',
        '2026-11-28t18:38:10.5+01:00'
      ]
    ) t.equal(known(value), String(SECONDS), JSON.stringify(value))
    for (
      const value of [
        null,
        true,
        [],
        {},
        [SECONDS],
        { seconds: SECONDS },
        -1,
        1e300,
        '',
        'now',
        ' 1',
        '1e9',
        '0x10',
        `${SECONDS}.5`,
        `${SECONDS}000`,
        SECONDS * 1000,
        '2026-11-28',
        '2026-11-28T17:38:10',
        '2026-13-28T17:38:10Z',
        'Sat, 28 Nov 2026 17:38:10 GMT',
        SECONDS + 61,
        String(SECONDS + 61),
        '2026-11-28T17:39:11Z'
      ]
    ) t.equal(known(value), 'undefined', JSON.stringify(value))
  }
  t.equal(read({ auth_time: undefined }).authTime, undefined)
  t.equal(read({ auth_time: undefined }, { isIatLogin: true }).authTime, SECONDS)
  t.equal(read({ auth_time: undefined, iat: undefined }, { isIatLogin: true }).authTime, undefined)
})

t.test('a session is told by text or a positive whole number; what cannot be read is not remembered, and agrees with no other', async t => {
  const view = ({ session }: Caller): string =>
    session === undefined
      ? 'none'
      : `${session.id.startsWith('sha256:') ? 'digest' : shown(session.id)}${session.isRemembered ? ' remembered' : ''}`
  const remembered = Object.fromEntries(Object.entries(UP_TO_255).map(([shape, id]) => [shape, `${id} remembered`]))
  check(t, 'session', view, 'digest', { absent: 'none', null: 'none', one: '1 remembered', ...remembered })
  check(t, 'sid', view, 'digest', { absent: 'none', null: 'none', one: '1', ...UP_TO_255 })
  t.equal(view(read({ session: '', sid: 'other' })), 'digest', 'the first that is there, and not one that would do')
  const idOf = (sid: unknown): string | undefined => read({ sid }).session?.id
  t.equal(idOf(['a']), idOf(['a']))
  t.not(idOf(['a']), idOf(['b']))
})

t.test('a token of another kind is none, nor one whose kind cannot be read', async t => {
  const say = (claims: object, header = {}): string =>
    (['access', 'id'] as const).filter(tokenUse => signOfOtherKind({ tokenUse }, header, { ...claims }) === undefined).join('')
  for (const name of ['typ', 'token_use']) {
    for (const value of [null, 1, true, [], ['id'], {}, { id: 1 }]) t.equal(say({ [name]: value }), '', `${name}: ${JSON.stringify(value)}`)
    for (const value of ['id', 'ID', 'Id']) t.equal(say({ [name]: value }), 'id', `${name}: ${value}`)
    for (const value of ['refresh', 'Refresh']) t.equal(say({ [name]: value }), '', `${name}: ${value}`)
  }
  for (const [claims, header, expected] of [
    [{}, {}, 'accessid'],
    [{}, { typ: 'JWT' }, 'accessid'],
    [{}, { typ: 'at+jwt' }, 'access'],
    [{}, { typ: 'application/AT+JWT' }, 'access'],
    [{}, { typ: 'logout+jwt' }, ''],
    [{}, { typ: 1 }, ''],
    [{}, { typ: null }, ''],
    [{ nonce: 'n' }, {}, 'id'],
    [{ nonce: null }, {}, 'id'],
    [{ nonce: 'n', typ: 'Bearer' }, {}, 'access'],
    [{ nonce: 'n', typ: 'bearer' }, { typ: 'JWT' }, 'access'],
    [{ nonce: 'n' }, { typ: 'at+jwt' }, 'access'],
    [{ nonce: 'n', typ: 'ID' }, { typ: 'at+jwt' }, ''],
    [{ nonce: 'n', token_use: 'access' }, {}, ''],
    [{ at_hash: 'h', typ: 'Bearer' }, {}, ''],
    [{ c_hash: 'h' }, { typ: 'at+jwt' }, ''],
    [{ events: {}, typ: 'Bearer' }, {}, ''],
    [{ scope: 'x' }, {}, 'access'], [{ scp: ['x'] }, {}, 'access'], [{ typ: 'Offline' }, {}, ''], [{ typ: 'Logout' }, {}, '']
  ] as const) t.equal(say(claims, header), expected, JSON.stringify([claims, header]))
})

t.test('a client\'s own token is a machine\'s, also where what says so cannot be read', async t => {
  const kind = (claims: object): string => read({ sub: 'portal', ...claims }).kind
  for (
    const claims of [
      { gty: 'client-credentials' },
      { gty: ['refresh_token', 'client-credentials'] },
      { gty: 1 },
      { gty: null },
      { gty: [1] },
      { idtyp: 'app' },
      { idtyp: ['app'] },
      { idtyp: false },
      { client_id: 'portal' },
      { azp: 'portal' },
      { cid: 'portal' },
      { cid: ['portal'] }
    ]
  ) t.equal(kind(claims), 'service', JSON.stringify(claims))
  t.equal(kind({ sub: '42', client_id: 42 }), 'service')
  for (const claims of [{}, { gty: 'password' }, { gty: [] }, { idtyp: 'user' }, { client_id: 'other', azp: null }]) {
    t.equal(kind(claims), 'first', JSON.stringify(claims))
  }
  t.match(read({ sub: 'portal', cid: 'portal', roles: ['mfa:admin', 'x'] }), { roles: ['x'], issuerClaims: undefined })
})

t.test('an audience is text, or a list of nothing else', async t => {
  const names = (aud: unknown, audienceClaim = 'aud'): boolean =>
    namesAudience(JSON.parse(JSON.stringify({ aud })), { ...DEFAULTS, audienceClaim })
  for (const aud of ['mfa', ['mfa'], ['other', 'mfa'], Array.from({ length: 300 }, (_, i) => i === 299 ? 'mfa' : `a${i}`)]) t.ok(names(aud))
  for (const aud of [undefined, null, '', 'other', 1, true, [], ['other'], ['mfa', 1], ['mfa', null], [['mfa', 1]], { mfa: 1 }, {}]) {
    t.notOk(names(aud), JSON.stringify(aud))
  }
  t.notOk(names('mfa', 'constructor'))
})

t.test('a refusal says for the operator what was expected', async t => {
  for (const [claims, issuer, refusal] of [
    [{ tenant: 7 }, {}, { cause: 'unreadable', claim: 'tenant', expected: 'a text of 1 to 128 characters' }],
    [{}, { isTenantRequired: true, claims: { ...DEFAULTS.claims, tenant: ['org', 'id'] } }, { cause: 'absent', claim: 'org.id' }],
    [{ tenant: 'x' }, { tenants: ['a', 'b'] }, { cause: 'not_allowed', claim: 'tenant', expected: ['a', 'b'] }],
    [{ sub: undefined }, {}, { cause: 'absent', claim: 'sub' }],
    [{ exp: SECONDS + 86401 }, {}, { cause: 'lifetime', claim: 'exp', expected: 'at most 86400' }],
    [{ nonce: 'n' }, {}, { cause: 'kind', claim: 'nonce', expected: 'an access token' }],
    [{ typ: 'Bearer' }, { tokenUse: 'id' as const }, { cause: 'kind', claim: 'typ', expected: 'an ID token' }]
  ] as const) t.throws(() => read(claims, issuer), refusedFor(refusal), JSON.stringify(claims))
})

// The same by HTTP, where the harm would be done.

const status = (service: Service, token: string) => service.call('GET', '/mfa/status', { token })

t.test('a token whose tenant cannot be read administers no users of another, and names none of them', async t => {
  const service = await useService(t)
  const victim = service.user({ tenant: 'default' })
  await victim.call('GET', '/mfa/status')
  for (const tenant of [7, 0, null, '', true, 'x'.repeat(129), 'acme\n', 'a\0', '\ud800', [], ['acme'], ['acme', 'b'], {}, { acme: {} }]) {
    t.equal((await status(service, service.user({ roles: ['mfa:admin'] }).token({ tenant }))).status, 401, JSON.stringify(tenant))
  }
  t.match(await status(service, service.user().token({ tenant: undefined })), { status: 200, body: { tenant: 'default' } })
  const all = await startTrusting(t, [{ issuer: 'https://id.test', audience: 'mfa', secret: service.env.JWT_SECRET, tenants: '*' }])
  for (const tenant of [8, ['acme'], null]) t.equal((await status(all, all.user().token({ tenant }))).status, 401, JSON.stringify(tenant))
})

t.test('a user in a group of the policy is covered, in whatever shape their token says so', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const long = `CN=${'x'.repeat(508)}`
  t.match(await admin.call('PUT', '/admin/policy', { enforcement: 'required', groups: ['finance', long], ssoRule: 'none' }, token), {
    status: 200
  }, "a policy can name a directory's")
  const decisionOf = async (groups: unknown, sub?: string): Promise<string> =>
    (await status(service, service.user({ tenant: admin.tenant, ...(sub !== undefined && { sub }) }).token({ groups }))).body.decision
      .action
  const many = Array.from({ length: 2000 }, (_, i) => `g${i}`)
  for (
    const groups of [
      'finance',
      ['finance'],
      ['finance', long + 'x'],
      [long],
      ['finance', ''],
      ['finance', 1001],
      [{ value: 'finance' }],
      { finance: {} },
      [...many, 'finance'],
      7,
      null,
      [['finance']],
      'finance\n',
      { x: 1, finance: null }
    ]
  ) {
    t.equal(await decisionOf(groups), 'enroll', JSON.stringify(groups)?.slice(0, 60))
  }
  for (const groups of [undefined, [], {}, 'sales', ['sales'], { sales: {} }, many]) {
    t.equal(await decisionOf(groups), 'allow', JSON.stringify(groups)?.slice(0, 60))
  }
  t.equal(await decisionOf(['finance', 'staff'], 'mover'), 'enroll')
  t.equal(await decisionOf('staff', 'mover'), 'allow', 'newer claims replace the older ones')
  t.equal(await decisionOf(['staff', 1], 'mover'), 'enroll')
  t.equal(await decisionOf(undefined, 'mover'), 'enroll', 'what was missing is missing still')
  t.equal(await decisionOf(['staff'], 'mover'), 'allow', 'until the token has all groups')
  t.equal(
    (await admin.call('GET', `/admin/users?group=${encodeURIComponent(long)}`, undefined, token)).body.items.length,
    1,
    'and a list can ask for them'
  )
  t.same(
    (await admin.call('PUT', '/admin/users', { users: [{ subject: 'synced', groups: [long, ...many.slice(0, 1200)] }] }, token)).body,
    { created: 1, updated: 0, unchanged: 0 }
  )
  t.equal(await decisionOf(undefined, 'synced'), 'enroll', 'as an application can')
})

t.test('the SSO rule exempts users with accounts of SSO alone', async t => {
  const issuer = await new TestIssuer('https://sso.test').start(t)
  const service = await startTrusting(t, [{ issuer: issuer.iss, audience: 'mfa', jwksUrl: issuer.jwksUrl, loginType: 'sso', tenants: '*' }])
  const tenant = service.user().tenant
  await service.db
    .rows`INSERT INTO policies (tenant, enforcement, version, updated_at, updated_by)
      VALUES (${tenant}, 'required', 1, clock_timestamp(), 'test')`
  const reasonOf = async (accounts: unknown): Promise<string> =>
    (await status(service, issuer.sign(service.clock, { tenant, accounts }))).body.decision.reason
  for (const accounts of [undefined, 'sso', ['sso'], { sso: {} }]) t.equal(await reasonOf(accounts), 'exempt_sso', JSON.stringify(accounts))
  for (const accounts of ['local', ['local'], ['sso', 'local'], ['sso', 'ldap'], ['ldap'], 'SSO', ['sso', 7], null, 7, [], '']) {
    t.equal(await reasonOf(accounts), 'required_by_policy', JSON.stringify(accounts))
  }
})
