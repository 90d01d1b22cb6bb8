// The truth table of what a gateway asks beyond the policy. The policy's own is in test/policy/decide.test.ts.
import t from 'tap'
import type { Acr, Caller } from '../../src/http/auth/caller.ts'
import type { User, RememberedAuthentication } from '../../src/users/user.ts'
import { DEFAULT_POLICY } from '../../src/policy/policy.ts'
import { decideAuthorize, decideByToken, type Demands } from '../../src/gateway/decide.ts'
import type { DecisionSettings } from '../../src/policy/decide.ts'

const NOW = new Date('2026-11-25T12:00:00Z')
const ago = (seconds: number): number => NOW.getTime() / 1000 - seconds
const SETTINGS: DecisionSettings = {
  issuers: new Set(['https://id']),
  loginFreshSeconds: 900,
  floor: null,
  canProve: (_acr, { factors }) => factors.some(({ kind }) => kind === 'passkey')
}

const USER = {
  isDisabled: false,
  factors: [],
  session: { generation: 0, authentication: null },
  sources: {},
  exemption: null,
  graceUntil: null,
  policyMetAt: null,
  readAt: NOW,
  policy: DEFAULT_POLICY
} as unknown as User
const FACTORS = [{ id: 'f' }] as User['factors']
const REQUIRED = { ...DEFAULT_POLICY, enforcement: 'required' as const }
const authentication = (acr: Acr, seconds: number): User['session'] => ({
  generation: 0,
  authentication: { acr, methods: [], factorId: 'f', authTime: ago(seconds), endsAt: ago(-9) } satisfies RememberedAuthentication,
  isForged: false
})

const LOGIN = {
  kind: 'first',
  isIdpMfa: false,
  isIdpPhr: false,
  authTime: ago(60),
  issuerClaims: { loginType: 'local' }
} as unknown as Caller
const AGELESS = { ...LOGIN, authTime: undefined }
const OLD_LOGIN = { ...LOGIN, authTime: ago(901) }
const IDP = { ...LOGIN, isIdpMfa: true }
const IDP_PHR = { ...IDP, isIdpPhr: true }
const token = (acr: Acr, seconds: number): Caller => ({
  ...LOGIN,
  kind: 'mfa',
  issuerClaims: undefined,
  authTime: ago(seconds),
  mfa: { userId: 'u', epoch: 1, acr, factorId: 'f', generation: 0, isBypass: false }
})

const ENROLLED = { ...USER, factors: FACTORS }
const WITH_PASSKEY = { ...USER, factors: [{ id: 'f', kind: 'passkey' }] as User['factors'] }
const ACR: Demands = { acr: 'mfa' }
const PHR: Demands = { acr: 'phr' }
const AGE: Demands = { maxAge: 300 }

/** Under a policy by which they need a passkey. */
const bound = (user: User): User => ({ ...user, policy: { ...REQUIRED, phishingResistant: 'required' } })

/** who · their token · what is asked → the answer */
const TABLE: Array<[string, Partial<User>, Caller, Demands, string]> = [
  ['nothing is asked', USER, LOGIN, {}, 'allow none not_required'],
  ['a factor', ENROLLED, LOGIN, {}, 'verify'],
  ['must enroll', { ...USER, policy: REQUIRED }, LOGIN, {}, 'enroll'],
  ['must enroll, and log in first', { ...USER, policy: REQUIRED }, OLD_LOGIN, {}, 'enroll after login'],
  ['must enroll, by a login of an unknown time', { ...USER, policy: REQUIRED }, AGELESS, {}, 'enroll by no login'],
  ['acr: the same where no user must have MFA', USER, AGELESS, ACR, 'enroll by no login'],
  ['acr: a factor, and a login of an unknown time', ENROLLED, AGELESS, ACR, 'verify'],
  ['disabled', { ...ENROLLED, isDisabled: true }, token('mfa', 1), {}, 'deny'],
  ['disabled, whatever is asked', { ...ENROLLED, isDisabled: true }, token('mfa', 1), { ...ACR, ...AGE }, 'deny'],
  ['an MFA token', ENROLLED, token('mfa', 800), {}, 'allow mfa mfa_verified'],
  ['a recovery\'s', ENROLLED, token('mfa-recovery', 800), {}, 'allow mfa-recovery mfa_verified'],
  ['a remembered authentication', { ...ENROLLED, session: authentication('mfa', 9000) }, LOGIN, {}, 'allow mfa mfa_verified'],
  ['a remembered recovery', { ...ENROLLED, session: authentication('mfa-recovery', 9000) }, LOGIN, {}, 'allow mfa-recovery mfa_verified'],
  ['the identity provider\'s', ENROLLED, IDP, {}, 'allow idp-mfa idp_mfa'],

  ['acr: no user must have MFA, and there is no factor', USER, LOGIN, ACR, 'enroll'],
  ['acr: the same after an old login', USER, OLD_LOGIN, ACR, 'enroll after login'],
  ['acr: a factor', ENROLLED, LOGIN, ACR, 'verify'],
  ['acr: an MFA token', ENROLLED, token('mfa', 800), ACR, 'allow mfa mfa_verified'],
  ['acr: a recovery\'s', ENROLLED, token('mfa-recovery', 1), ACR, 'verify'],
  ['acr: a remembered authentication', { ...ENROLLED, session: authentication('mfa', 9000) }, LOGIN, ACR, 'allow mfa mfa_verified'],
  ['acr: a remembered recovery', { ...ENROLLED, session: authentication('mfa-recovery', 1) }, LOGIN, ACR, 'verify'],
  [
    "acr: a remembered authentication beside a recovery's token",
    { ...ENROLLED, session: authentication('mfa', 9000) },
    token('mfa-recovery', 1),
    ACR,
    'allow mfa mfa_verified'
  ],
  ['acr: the identity provider\'s', ENROLLED, IDP, ACR, 'verify'],
  ['acr: the identity provider\'s, without a factor', USER, IDP, ACR, 'enroll'],

  ['maxAge: who would pass without', USER, LOGIN, AGE, 'enroll'],
  ['maxAge: a factor', ENROLLED, LOGIN, AGE, 'verify'],
  ['maxAge: an MFA token of its last second', ENROLLED, token('mfa', 300), AGE, 'allow mfa mfa_verified'],
  ['maxAge: one a second older', ENROLLED, token('mfa', 301), AGE, 'verify'],
  ['maxAge: a fresh recovery\'s', ENROLLED, token('mfa-recovery', 1), AGE, 'allow mfa-recovery mfa_verified'],
  ['maxAge: a fresh remembered authentication', { ...ENROLLED, session: authentication('mfa', 300) }, LOGIN, AGE, 'allow mfa mfa_verified'],
  ['maxAge: an old remembered authentication', { ...ENROLLED, session: authentication('mfa', 301) }, LOGIN, AGE, 'verify'],
  [
    'maxAge: a fresh remembered authentication beside an old token',
    { ...ENROLLED, session: authentication('mfa', 1) },
    token('mfa', 301),
    AGE,
    'allow mfa mfa_verified'
  ],
  ['maxAge: the identity provider\'s, just now', ENROLLED, IDP, AGE, 'allow idp-mfa idp_mfa'],
  ['maxAge: the identity provider\'s, of then', ENROLLED, { ...IDP, authTime: ago(301) }, AGE, 'verify'],
  ['maxAge: none can be so young', ENROLLED, token('mfa', 1), { maxAge: 0 }, 'verify'],
  ['both: each by another authentication is not both', { ...ENROLLED, session: authentication('mfa', 301) }, token('mfa-recovery', 1), {
    ...ACR,
    ...AGE
  }, 'verify'],
  ['both: a fresh one of ours', ENROLLED, token('mfa', 1), { ...ACR, ...AGE }, 'allow mfa mfa_verified'],

  ['a passkey, and it was not asked for', WITH_PASSKEY, token('phr', 800), {}, 'allow mfa mfa_verified'],
  ['acr=mfa: a passkey is enough', WITH_PASSKEY, token('phr', 800), ACR, 'allow mfa mfa_verified'],
  ['acr=phr: a passkey', WITH_PASSKEY, token('phr', 800), PHR, 'allow phr mfa_verified'],
  ['acr=phr: a remembered passkey', { ...WITH_PASSKEY, session: authentication('phr', 9000) }, LOGIN, PHR, 'allow phr mfa_verified'],
  [
    "acr=phr: a remembered passkey beside a code's token",
    { ...WITH_PASSKEY, session: authentication('phr', 9000) },
    token('mfa', 1),
    PHR,
    'allow phr mfa_verified'
  ],
  ['acr=phr: a code', WITH_PASSKEY, token('mfa', 1), PHR, 'verify phr'],
  ['acr=phr: a recovery', WITH_PASSKEY, token('mfa-recovery', 1), PHR, 'verify phr'],
  ['acr=phr: the identity provider\'s own', WITH_PASSKEY, IDP, PHR, 'verify phr'],
  ['acr=phr: the identity provider\'s own, without a factor', USER, IDP, PHR, 'enroll phr'],
  ['acr=phr: no passkey', ENROLLED, token('mfa', 1), PHR, 'enroll phr'],
  ['acr=phr: no passkey, and an old login', ENROLLED, OLD_LOGIN, PHR, 'enroll phr'],
  ['acr=phr: no factor, and an old login', USER, OLD_LOGIN, PHR, 'enroll phr after login'],
  ['acr=phr: a passkey that is too old', WITH_PASSKEY, token('phr', 301), { ...PHR, ...AGE }, 'verify phr'],

  ['only a passkey counts: a code', bound(WITH_PASSKEY), token('mfa', 1), {}, 'verify phr'],
  ['only a passkey counts: a recovery', bound(WITH_PASSKEY), token('mfa-recovery', 1), {}, 'verify phr'],
  ['only a passkey counts: a login', bound(WITH_PASSKEY), LOGIN, ACR, 'verify phr'],
  ['only a passkey counts: a passkey', bound(WITH_PASSKEY), token('phr', 800), {}, 'allow mfa mfa_verified'],
  ['only a passkey counts: a passkey, and it is asked for', bound(WITH_PASSKEY), token('phr', 800), PHR, 'allow phr mfa_verified'],
  ['only a passkey counts: none is there', bound(ENROLLED), token('mfa', 1), {}, 'enroll phr'],
  ['only a passkey counts: nothing is there', bound(USER), OLD_LOGIN, {}, 'enroll phr after login'],
  ["only a passkey counts: the identity provider's own", bound(ENROLLED), IDP, {}, 'enroll phr'],
  ["only a passkey counts: the identity provider's own, of that kind", bound(ENROLLED), IDP_PHR, {}, 'allow idp-mfa idp_mfa'],
  ["only a passkey counts: the same for a gateway's own demand", bound(WITH_PASSKEY), IDP_PHR, PHR, 'verify phr'],
  [
    'only a passkey counts: a fresh code beside a passkey that is too old',
    { ...bound(WITH_PASSKEY), session: authentication('phr', 301) },
    token('mfa', 1),
    AGE,
    'verify phr'
  ]
]

const shown = (answer: ReturnType<typeof decideAuthorize> | null): string => {
  if (answer === null) return 'ask'
  if (answer.action === 'allow') return `allow ${answer.acr} ${answer.reason}`
  const action = answer.action === 'deny' || answer.acr !== 'phr' ? answer.action : `${answer.action} phr`
  return answer.action === 'enroll' ? `${action}${{ fresh: '', old: ' after login', unknown: ' by no login' }[answer.login]}` : action
}

t.test('the answer is what the table says', async t => {
  for (const [name, user, caller, demands, expected] of TABLE) {
    t.equal(shown(decideAuthorize(user as User, caller, demands, NOW, SETTINGS)), expected, name)
  }
})

t.test('the token alone allows only what the snapshot would allow too, if the user is not disabled', async t => {
  for (const [name, user, caller, demands, expected] of TABLE.filter(([, { isDisabled }]) => isDisabled === false)) {
    // Where a policy asks for passkeys, what is known of the tenants lets no other token be enough.
    const isEnough = user.policy?.phishingResistant === 'off' || caller.mfa?.acr === 'phr'
    const byToken = isEnough ? shown(decideByToken(caller, demands, NOW)) : 'ask'
    t.ok(byToken === 'ask' || byToken === expected, name)
    t.equal(shown(decideAuthorize(user as User, caller, demands, NOW, SETTINGS)), expected)
  }
  t.equal(shown(decideByToken(token('mfa', 1), ACR, NOW)), 'allow mfa mfa_verified', 'and it does allow')
})
