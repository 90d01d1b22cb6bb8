// Who needs a passkey, and from when: decisions by kinds of people. The rest of the policy is in decide.test.ts.
import t from 'tap'
import type { Acr } from '../../src/http/auth/caller.ts'
import { decide, type DecisionSettings, isMfaRequired, isPhrRequired, type Proof } from '../../src/policy/decide.ts'
import { DEFAULT_POLICY, type Policy } from '../../src/policy/policy.ts'
import type { Factor, User } from '../../src/users/user.ts'
import { NOW, aUser } from '../helpers/snapshot.ts'

const SECONDS = NOW.getTime() / 1000
const days = (number: number): Date => new Date(NOW.getTime() + number * 86_400_000)

const SETTINGS: DecisionSettings = {
  issuers: new Set(['a']),
  loginFreshSeconds: 900,
  floor: null,
  canProve: (_acr, { factors }) => factors.some(({ kind, credential }) => kind === 'passkey' && credential?.rpId === 'example.com')
}
const TOTP = { id: 't', kind: 'totp', credential: null } as Factor
const PASSKEY = { id: 'p', kind: 'passkey', credential: { rpId: 'example.com' } } as Factor
const OTHER_DOMAIN = { id: 'o', kind: 'passkey', credential: { rpId: 'old.example' } } as Factor

const LOCAL = { a: { local: true, groups: ['staff'] } }
const met = { policyMetAt: days(-9), graceUntil: days(-2) }

/** Kinds of people, each with what sets them apart. */
const PEOPLE = {
  nothing: {},
  totp: { factors: [TOTP] },
  passkey: { factors: [TOTP, PASSKEY] },
  otherDomain: { factors: [OTHER_DOMAIN] },
  ssoOnly: { factors: [TOTP], sources: { a: { sso: true, groups: ['staff'] } } },
  exempt: { factors: [TOTP], exemption: { since: days(-1), until: null, reason: 'r', by: 'b' } },
  inGrace: { factors: [TOTP], graceUntil: days(2) },
  newInGrace: { graceUntil: days(2) },
  guest: { factors: [TOTP], sources: { a: { local: true, groups: ['guests'] } } },
  administrator: { factors: [TOTP], isAdministrator: true },
  exemptAdministrator: { factors: [TOTP], isAdministrator: true, exemption: { since: days(-1), until: null, reason: 'r', by: 'b' } },
  newAdministrator: { isAdministrator: true, sources: { a: { sso: true } } }
} satisfies Record<string, Partial<User>>

const LOGIN: Proof = { mfa: undefined, isIdpMfa: false, isIdpPhr: false, authTime: SECONDS, issuerClaims: { loginType: 'local' } }
const token = (acr: Acr): Proof => ({
  ...LOGIN,
  mfa: { userId: 'u', epoch: 1, acr, factorId: 'f', generation: 0, isBypass: false },
  issuerClaims: undefined
})
const PROOFS = { login: LOGIN, code: token('mfa'), recovery: token('mfa-recovery'), passkey: token('phr') }

type Who = keyof typeof PEOPLE

const userOf = (who: Who, policy: Partial<Policy>, more: Partial<User> = {}): User =>
  aUser({ sources: LOCAL, ...met, ...PEOPLE[who], policy: { ...DEFAULT_POLICY, ...policy }, ...more })

/** A decision in a few words. */
function written ({ action, reason, acr, deadline, wouldBe, loginFirst }: ReturnType<typeof decide>): string {
  const wait = deadline === undefined ? '' : ` +${(Date.parse(deadline) - NOW.getTime()) / 86_400_000}`
  const name = reason === 'phishing_resistant_required' ? `${action} passkey` : `${action} ${reason}`
  const more = `${acr === undefined ? '' : ` ${acr}`}${loginFirst === true ? ', log in first' : ''}`
  return `${name}${wait}${more}${wouldBe === undefined ? '' : ` (${written(wouldBe)})`}`
}

const decided = (
  who: Who,
  proof: keyof typeof PROOFS,
  policy: Partial<Policy>,
  floor: DecisionSettings['floor'] = null,
  more: Partial<User> = {}
): string => written(decide(userOf(who, policy, more), PROOFS[proof], NOW, { ...SETTINGS, floor }))

const REQUIRED: Partial<Policy> = { enforcement: 'required', groups: ['staff'], phishingResistant: 'required' }
const ADMINISTRATORS: Partial<Policy> = { phishingResistant: 'administrators' }

t.test('required: users who must have a factor need a passkey', async t => {
  const table: Record<Who, [login: string, code: string, recovery: string]> = {
    nothing: ['enroll passkey', 'enroll passkey', 'enroll passkey'],
    totp: ['enroll passkey', 'enroll passkey', 'enroll passkey'],
    passkey: ['verify passkey phr', 'verify passkey phr', 'verify passkey phr'],
    otherDomain: ['enroll passkey', 'enroll passkey', 'enroll passkey'],
    ssoOnly: ['verify factor_enrolled', 'allow mfa_verified', 'allow mfa_verified'],
    exempt: ['verify factor_enrolled', 'allow mfa_verified', 'allow mfa_verified'],
    inGrace: ['verify factor_enrolled +2', 'allow mfa_verified +2', 'allow mfa_verified +2'],
    newInGrace: ['allow grace +2', 'allow mfa_verified +2', 'allow mfa_verified +2'],
    guest: ['verify factor_enrolled', 'allow mfa_verified', 'allow mfa_verified'],
    administrator: ['enroll passkey', 'enroll passkey', 'enroll passkey'],
    exemptAdministrator: ['verify factor_enrolled', 'allow mfa_verified', 'allow mfa_verified'],
    newAdministrator: ['allow not_required', 'allow mfa_verified', 'allow mfa_verified']
  }
  for (const [who, [login, code, recovery]] of Object.entries(table) as Array<[Who, [string, string, string]]>) {
    const by = (['login', 'code', 'recovery'] as const).map(proof => decided(who, proof, REQUIRED))
    t.same(by, [login, code, recovery], who)
    t.equal(decided(who, 'passkey', REQUIRED), 'allow mfa_verified', who)
    t.equal(decided(who, 'passkey', REQUIRED, null, { isDisabled: true }), 'deny user_disabled', who)
  }
  t.equal(decided('totp', 'code', { ...REQUIRED, enforcement: 'optional' }), 'allow mfa_verified', 'where no one must have a factor')
  t.equal(decided('totp', 'code', { ...REQUIRED, enforceFrom: days(3) }), 'allow mfa_verified +3')
})

t.test('administrators: users who ever had a role need one, whatever the rest of the policy says', async t => {
  const table: Record<Who, [login: string, code: string]> = {
    nothing: ['allow not_required', 'allow mfa_verified'],
    totp: ['verify factor_enrolled', 'allow mfa_verified'],
    passkey: ['verify factor_enrolled', 'allow mfa_verified'],
    otherDomain: ['verify factor_enrolled', 'allow mfa_verified'],
    ssoOnly: ['verify factor_enrolled', 'allow mfa_verified'],
    exempt: ['verify factor_enrolled', 'allow mfa_verified'],
    inGrace: ['verify factor_enrolled', 'allow mfa_verified'],
    newInGrace: ['allow not_required', 'allow mfa_verified'],
    guest: ['verify factor_enrolled', 'allow mfa_verified'],
    administrator: ['enroll passkey', 'enroll passkey'],
    exemptAdministrator: ['enroll passkey', 'enroll passkey'],
    newAdministrator: ['enroll passkey', 'enroll passkey']
  }
  for (const [who, [login, code]] of Object.entries(table) as Array<[Who, [string, string]]>) {
    t.same([decided(who, 'login', ADMINISTRATORS), decided(who, 'code', ADMINISTRATORS)], [login, code], who)
  }
  for (const enforcement of ['report_only', 'required'] as const) {
    t.equal(decided('exemptAdministrator', 'code', { ...ADMINISTRATORS, enforcement, groups: ['x'] }), 'enroll passkey', enforcement)
  }
  const withPasskey = { factors: [TOTP, PASSKEY] }
  t.equal(decided('administrator', 'code', ADMINISTRATORS, null, withPasskey), 'verify passkey phr')
  t.equal(decided('administrator', 'passkey', ADMINISTRATORS, null, withPasskey), 'allow mfa_verified')
})

t.test('before the time it is as ever, and says until when', async t => {
  const later = { ...REQUIRED, phishingResistantFrom: days(5) }
  t.equal(decided('totp', 'login', later), 'verify factor_enrolled +5')
  t.equal(decided('totp', 'code', later), 'allow mfa_verified +5')
  t.equal(decided('passkey', 'passkey', later), 'allow mfa_verified', 'who has proved a passkey is told of no deadline')
  t.equal(decided('nothing', 'login', later), 'enroll required_by_policy', 'any factor is required before')
  t.equal(decided('newInGrace', 'login', later), 'allow grace +2', 'the earlier of the two')
  t.equal(decided('exempt', 'code', later), 'allow mfa_verified')
  const administrators = { ...ADMINISTRATORS, phishingResistantFrom: days(5) }
  t.equal(decided('administrator', 'code', administrators), 'allow mfa_verified +5')
  t.equal(decided('newAdministrator', 'login', administrators), 'allow grace +5')
  const ofEveryone = { ...administrators, enforcement: 'required' as const, ssoRule: 'none' as const }
  t.equal(decided('newAdministrator', 'login', ofEveryone), 'enroll required_by_policy')
  for (const from of [NOW, days(-1)]) t.equal(decided('totp', 'code', { ...REQUIRED, phishingResistantFrom: from }), 'enroll passkey')
  t.equal(decided('totp', 'code', later, null, { readAt: days(5) }), 'enroll passkey', "by the database's clock")
})

t.test('a login that is too old sets up a first factor only after a new one, and a further one at once', async t => {
  const old = (who: Who): string => written(decide(userOf(who, REQUIRED), { ...LOGIN, authTime: SECONDS - 901 }, NOW, SETTINGS))
  t.equal(old('nothing'), 'enroll passkey, log in first')
  t.equal(old('totp'), 'enroll passkey')
})

t.test('what a session remembers counts as its token would', async t => {
  for (const [acr, wanted] of [['phr', 'allow mfa_verified'], ['mfa', 'verify passkey phr']] as const) {
    const authentication = { acr, methods: [], factorId: 'f', authTime: SECONDS, endsAt: SECONDS + 1 }
    t.equal(decided('passkey', 'login', REQUIRED, null, { session: { generation: 0, authentication, isForged: false } }), wanted)
  }
})

t.test("the identity provider's own MFA counts only where its issuer is configured to be phishing-resistant", async t => {
  const by = (isIdpPhr: boolean): string =>
    written(decide(userOf('nothing', REQUIRED), { ...LOGIN, isIdpMfa: true, isIdpPhr }, NOW, SETTINGS))
  t.equal(by(true), 'allow idp_mfa')
  t.equal(by(false), 'enroll passkey')
  const before = userOf('nothing', { ...REQUIRED, phishingResistantFrom: days(5) })
  t.equal(written(decide(before, { ...LOGIN, isIdpMfa: true }, NOW, SETTINGS)), 'allow idp_mfa +5')
})

t.test('a session that the policy leaves to the identity provider is asked nothing; an MFA token does not say how it came in', async t => {
  const policy: Partial<Policy> = { ...REQUIRED, ssoRule: 'exempt_sso_session' }
  const bySso = { ...LOGIN, issuerClaims: { loginType: 'sso' as const } }
  t.equal(written(decide(userOf('totp', policy), bySso, NOW, SETTINGS)), 'allow exempt_sso')
  t.equal(decided('totp', 'login', policy), 'enroll passkey')
  t.equal(decided('totp', 'code', policy), 'enroll passkey', 'they may have come by their password')
  t.equal(decided('ssoOnly', 'code', policy), 'allow mfa_verified', 'they can only come by SSO')
  const administrators = { ...ADMINISTRATORS, ssoRule: 'exempt_sso_session' as const }
  const administrator = userOf('administrator', { ...administrators, phishingResistantFrom: days(5) })
  t.equal(written(decide(administrator, bySso, NOW, SETTINGS)), 'allow exempt_sso +5')
  t.equal(written(decide(userOf('administrator', administrators), bySso, NOW, SETTINGS)), 'enroll passkey')
})

t.test('report-only asks no one, and says what required would', async t => {
  const report: Partial<Policy> = { ...REQUIRED, enforcement: 'report_only' }
  t.equal(decided('nothing', 'login', report), 'allow report_only (enroll passkey)')
  t.equal(decided('totp', 'login', report), 'verify factor_enrolled (enroll passkey)')
  t.equal(decided('totp', 'code', report), 'allow report_only (enroll passkey)')
  t.equal(decided('passkey', 'code', report), 'allow report_only (verify passkey phr)')
  t.equal(decided('passkey', 'passkey', report), 'allow mfa_verified')
  t.equal(decided('exempt', 'code', report), 'allow mfa_verified')
  t.equal(decided('totp', 'code', { ...report, phishingResistantFrom: days(5) }), 'allow report_only (allow mfa_verified +5)')
  t.equal(decided('nothing', 'login', { ...report, phishingResistantFrom: days(5) }), 'allow report_only (enroll required_by_policy)')
  const floor = { phishingResistant: 'administrators' as const }
  t.equal(decided('administrator', 'code', report, floor), 'enroll passkey', 'who is bound by another rule is told of that')
  t.equal(
    decided('administrator', 'code', report, { ...floor, phishingResistantFrom: days(3) }),
    'allow report_only +3 (enroll passkey)',
    'or of both'
  )
})

t.test('who needs a passkey by the policy or by the floor needs one', async t => {
  const administrators = { phishingResistant: 'administrators' as const, phishingResistantFrom: null }
  t.equal(decided('newAdministrator', 'login', REQUIRED, administrators), 'enroll passkey', "outside the policy's groups")
  t.equal(decided('totp', 'code', REQUIRED, administrators), 'enroll passkey', "by the tenant's own")
  t.equal(decided('guest', 'code', REQUIRED, administrators), 'allow mfa_verified')
  t.equal(decided('totp', 'code', {}, { enforcement: 'required', groups: null, phishingResistant: 'required' }), 'enroll passkey')
  t.equal(
    decided(
      'administrator',
      'code',
      { ...REQUIRED, phishingResistantFrom: days(9) },
      { ...administrators, phishingResistantFrom: days(4) }
    ),
    'allow mfa_verified +4',
    'the earlier time'
  )
  t.equal(
    decided('totp', 'code', { ...REQUIRED, enforcement: 'optional' }, { enforcement: 'required' }),
    'enroll passkey',
    'the policy counts for the users that the floor covers'
  )
})

t.test('who could not pass without a factor keeps one', async t => {
  const required = (who: Who, policy: Partial<Policy>): boolean => isMfaRequired(userOf(who, policy), NOW, SETTINGS)
  t.equal(required('administrator', ADMINISTRATORS), true)
  t.equal(required('administrator', { ...ADMINISTRATORS, phishingResistantFrom: days(1) }), false)
  t.equal(required('totp', ADMINISTRATORS), false)
  const bound = (who: Who, policy: Partial<Policy>): boolean => isPhrRequired(userOf(who, policy), NOW, SETTINGS)
  t.equal(bound('totp', REQUIRED), true)
  t.equal(bound('totp', { ...REQUIRED, phishingResistantFrom: days(1) }), false)
  t.equal(bound('guest', REQUIRED), false)
})
