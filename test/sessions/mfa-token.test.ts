import t from 'tap'
import type { Caller } from '../../src/http/auth/caller.ts'
import {
  type Authentication,
  authenticationOf,
  rememberedAuthentication,
  authenticationToRemember,
  allowedTokenClaims,
  mfaTokenClaims
} from '../../src/sessions/mfa-token.ts'

const NOW = new Date('2026-11-24T12:00:00.900Z')
const SECONDS = 1795521600
const USER = { tenant: 'acme', userId: 'u1', epoch: 7 }
const PEPPERS = { primary: 'p1', keys: new Map([['p1', Buffer.alloc(32, 1)]]) }
const settings = { issuer: 'https://mfa.test', audience: 'mfa-own', tokenSeconds: 900, secondMethods: new Set(['otp', 'recovery']) }
const first: Caller = {
  kind: 'first',
  tenant: 'acme',
  namespace: 'https://id.test',
  subject: 'alice',
  roles: ['mfa:admin', 'x'],
  groups: ['staff'],
  clientId: 'app',
  session: { id: 's1', issuer: 'https://id.test', isRemembered: false },
  amr: ['pwd'],
  authTime: SECONDS - 60,
  expiresAt: SECONDS + 3600,
  isIdpMfa: false,
  isIdpPhr: false,
  isTokenCapped: true,
  issuerClaims: undefined,
  mfa: undefined
}
const authentication = { acr: 'mfa' as const, methods: ['otp'], factorId: 'f1', authTime: SECONDS }
const claims = (caller: Partial<Caller> = {}, more: Partial<Authentication> = {}) =>
  mfaTokenClaims({ ...first, ...caller }, { userId: 'u1', epoch: 7, generation: 3 }, { ...authentication, ...more }, NOW, settings)

t.test('the claims are the verified token\'s, the authentication\'s, and ours', async t => {
  const { jti, ...rest } = claims()
  t.match(jti, /^[0-9a-f-]{36}$/)
  t.same(rest, {
    iss: 'https://mfa.test',
    aud: 'mfa-own',
    sub: 'alice',
    uid: 'u1',
    ns: 'https://id.test',
    tenant: 'acme',
    roles: ['mfa:admin', 'x'],
    groups: ['staff'],
    client_id: 'app',
    sid: 's1',
    sid_iss: 'https://id.test',
    auth_time: SECONDS,
    amr: ['pwd', 'otp', 'mfa'],
    acr: 'mfa',
    fid: 'f1',
    epoch: 7,
    iat: SECONDS,
    exp: SECONDS + 900
  })
})

t.test('what the first token did not say is left out', async t => {
  const bare = claims({ groups: undefined, clientId: undefined, session: undefined, amr: [] })
  for (const name of ['groups', 'client_id', 'sid', 'sid_iss']) t.notOk(name in bare, name)
  t.same(bare.amr, ['otp', 'mfa'])
  t.same(claims({ groups: [] }).groups, [], 'no groups is something else than nothing said')
})

t.test('it ends with the token that it was made from, if that ends first', async t => {
  t.equal(claims({ expiresAt: SECONDS + 10 }).exp, SECONDS + 10)
  t.equal(claims({ expiresAt: SECONDS + 900 }).exp, SECONDS + 900)
  t.equal(claims({ expiresAt: SECONDS + 901 }).exp, SECONDS + 900)
})

t.test('amr tells the truth: what the first token proved, and the authentication; no inbound otp, mfa or recovery is echoed', async t => {
  const table: Array<[inbound: string[], methods: string[], amr: string[]]> = [
    [['pwd'], ['otp'], ['pwd', 'otp', 'mfa']],
    [['pwd'], ['recovery'], ['pwd', 'recovery', 'mfa']],
    [['pwd', 'otp', 'mfa'], ['recovery'], ['pwd', 'recovery', 'mfa']],
    [['pwd', 'recovery', 'mfa'], ['otp'], ['pwd', 'otp', 'mfa']],
    [['hwk', 'user'], ['otp'], ['hwk', 'user', 'otp', 'mfa']],
    [['mfa'], ['otp', 'recovery'], ['otp', 'recovery', 'mfa']]
  ]
  for (const [amr, methods, expected] of table) t.same(claims({ amr }, { methods }).amr, expected)
})

t.test('a remembered session is named with how often it was logged out of, and what it remembers with its end', async t => {
  const session = { id: 's1', issuer: 'https://id.test', isRemembered: true }
  t.match(claims({ session }), { sid: 's1', sid_iss: 'https://id.test', sid_gen: 3 })
  t.equal(claims({ session }, { endsAt: SECONDS + 60 }).exp, SECONDS + 60)
  const remember = (caller: Caller): object | null => authenticationToRemember(USER, caller, authentication, 600, PEPPERS)
  t.match(remember({ ...first, session }), {
    issuer: 'https://id.test',
    session: 's1',
    ...authentication,
    epoch: 7,
    endsAt: authentication.authTime + 600,
    mac: /^[0-9a-f]{64}$/
  })
  t.equal(remember(first), null)
  t.equal(remember({ ...first, session: undefined }), null)
})

t.test('a token for an application of a user who is allowed without MFA says no more than that', async t => {
  const allowed = (caller: Partial<Caller>, decision: { reason: string, deadline?: string }) =>
    allowedTokenClaims({ ...first, ...caller }, { userId: 'u1', epoch: 7, generation: 0 }, decision, NOW, { ...settings, audience: 'app' })
  t.match(allowed({ amr: ['pwd', 'otp', 'mfa'] }, { reason: 'not_required' }), {
    aud: 'app',
    acr: 'none',
    mfa_reason: 'not_required',
    amr: ['pwd'],
    auth_time: SECONDS - 60,
    exp: SECONDS + 300
  })
  t.equal(allowed({}, { reason: 'idp_mfa' }).acr, 'idp-mfa')
  t.notOk('auth_time' in allowed({ authTime: undefined }, { reason: 'not_required' }))
  t.equal(allowed({}, { reason: 'grace', deadline: '2026-11-24T12:01:00.000Z' }).exp, SECONDS + 60, 'never past the grace')
  t.equal(allowed({ expiresAt: SECONDS + 5 }, { reason: 'grace', deadline: '2026-11-24T12:01:00.000Z' }).exp, SECONDS + 5)
})

t.test('a thousand tokens have a thousand ids', async t => {
  t.equal(new Set(Array.from({ length: 1000 }, () => claims().jti)).size, 1000)
})

t.test('carrying an authentication on makes it no stronger and no fresher', async t => {
  const mfa: Caller = {
    ...first,
    kind: 'mfa',
    amr: ['pwd', 'recovery', 'mfa'],
    authTime: SECONDS - 500,
    mfa: { userId: 'u1', epoch: 7, acr: 'mfa-recovery', factorId: 'set', generation: 0, isBypass: false }
  }
  t.same(authenticationOf(mfa, settings.secondMethods), {
    acr: 'mfa-recovery',
    methods: ['recovery'],
    factorId: 'set',
    authTime: SECONDS - 500,
    isBypass: false
  })
  t.match(
    mfaTokenClaims(
      mfa,
      { userId: 'u1', epoch: 8, generation: 0 },
      authenticationOf(mfa, settings.secondMethods) as NonNullable<ReturnType<typeof authenticationOf>>,
      NOW,
      settings
    ),
    {
      acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'], auth_time: SECONDS - 500, fid: 'set', epoch: 8
    })
  t.equal(authenticationOf(first, settings.secondMethods), null)
})

t.test('what rests on a code of an administrator says so in every token, also by way of a remembered session, and nothing else ' +
  'does', async t => {
  const bypass: Authentication = { ...authentication, acr: 'mfa-recovery', methods: ['recovery'], isBypass: true }
  t.match(claims({}, bypass), { bypass: true, amr: ['pwd', 'recovery', 'mfa'] })
  t.notOk('bypass' in claims())
  const session = { id: 's', issuer: 'i', isRemembered: true }
  const kept = (of: Authentication): string[] =>
    (authenticationToRemember(USER, { ...first, session }, of, 60, PEPPERS) as { methods: string[] }).methods
  t.same(kept(bypass), ['recovery', 'bypass'])
  t.same(kept(authentication), authentication.methods)
  const remembered = { acr: 'mfa-recovery' as const, factorId: 'f', authTime: SECONDS, endsAt: SECONDS + 60 }
  t.match(rememberedAuthentication({ ...remembered, methods: ['recovery', 'bypass'] }), { methods: ['recovery'], isBypass: true })
  t.match(rememberedAuthentication({ ...remembered, methods: ['recovery'] }), { methods: ['recovery'], isBypass: false })
})

t.test('the cap of the first token is lifted where its issuer says so, and never for what is only renewed', async t => {
  const short = { expiresAt: SECONDS + 120 }
  t.equal(claims(short).exp, SECONDS + 120)
  t.equal(claims({ ...short, isTokenCapped: false }).exp, SECONDS + 900)
  t.equal(claims({ ...short, isTokenCapped: false }, { endsAt: SECONDS + 5000 }).exp, SECONDS + 120, 'a remembered authentication')
})

t.test('the identity provider\'s own MFA is told on where it counted, and nothing twice', async t => {
  const amr = ['pwd', 'mfa', 'otp', 'recovery']
  t.same(claims({ amr }).amr, ['pwd', 'otp', 'mfa'])
  t.same(claims({ amr, isIdpMfa: true }).amr, amr)
  const allowed = (isIdpMfa: boolean): string[] =>
    allowedTokenClaims(
      { ...first, amr, isIdpMfa },
      { userId: 'u1', epoch: 7, generation: 3 },
      { reason: isIdpMfa ? 'idp_mfa' : 'not_required' },
      NOW,
      settings
    ).amr
  t.same(allowed(false), ['pwd'])
  t.same(allowed(true), amr)
})
