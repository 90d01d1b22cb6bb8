import t from 'tap'
import type { Factor, User } from '../../src/users/user.ts'
import { decide, type DecisionSettings, firstGraceDays, isMfaRequired, type Proof, usualSession } from '../../src/policy/decide.ts'
import { DEFAULT_POLICY, type Policy } from '../../src/policy/policy.ts'
import { isFresh } from '../../src/platform/time.ts'
import { NOW, aUser } from '../helpers/snapshot.ts'

const SECONDS = NOW.getTime() / 1000
const canProve: DecisionSettings['canProve'] = (_acr, { factors }) => factors.some(({ kind }) => kind === 'passkey')
const settings: DecisionSettings = { issuers: new Set(['a', 'b']), loginFreshSeconds: 900, floor: null, canProve }
const mfa = { userId: 'u', epoch: 1, acr: 'mfa' as const, factorId: 'f', generation: 0, isBypass: false }
const days = (number: number): Date => new Date(NOW.getTime() + number * 86_400_000)

const ACCOUNTS: Record<string, User['sources']> = {
  '-': {}, local: { a: { local: true, sso: false } }, sso: { a: { local: false, sso: true } }, both: { a: { local: true, sso: true } }
}
const FACTORS: Record<string, Factor[]> = { '-': [], yes: [{} as Factor] }
const OWN_GRACE: Record<string, Partial<User>> = {
  unmet: {}, running: { policyMetAt: days(-3), graceUntil: days(2) }, over: { policyMetAt: days(-9), graceUntil: days(-2) }
}
const EXEMPTIONS: Record<string, User['exemption']> = {
  '-': null,
  endless: { since: days(-40), until: null, reason: 'r', by: 'admin' },
  running: { since: days(-40), until: days(5), reason: 'r', by: 'admin' },
  over: { since: days(-40), until: days(-1), reason: 'r', by: 'admin' }
}
const TOKENS: Record<string, Partial<Proof> & { authentication?: true }> = {
  login: { authTime: SECONDS - 900 },
  old: { authTime: SECONDS - 901 },
  ageless: { authTime: undefined },
  mfa: { mfa, issuerClaims: undefined },
  remembered: { authentication: true },
  idp: { isIdpMfa: true }
}

interface Row {
  policy: Partial<Policy>
  loginType: 'local' | 'sso' | 'api'
  token: keyof typeof TOKENS
  accounts: keyof typeof ACCOUNTS
  enrolled: keyof typeof FACTORS
  grace: keyof typeof OWN_GRACE
  exemption: keyof typeof EXEMPTIONS
}

function decided (
  { policy, loginType, token, accounts, enrolled, grace, exemption }: Row,
  known: Partial<User> = {},
  others: Partial<DecisionSettings> = {}
): string {
  const { authentication, ...proof } = TOKENS[token] as Partial<Proof> & { authentication?: true }
  const session = {
    generation: 0,
    authentication: authentication === undefined
      ? null
      : { acr: 'mfa' as const, methods: ['otp'], factorId: 'f', authTime: SECONDS, endsAt: SECONDS + 60 },
    isForged: false
  }
  const user = aUser({
    sources: ACCOUNTS[accounts] as User['sources'],
    factors: FACTORS[enrolled] as Factor[],
    ...OWN_GRACE[grace],
    exemption: EXEMPTIONS[exemption] ?? null,
    session,
    policy: { ...DEFAULT_POLICY, ...policy },
    ...known
  })
  return written(
    decide(user, { mfa: undefined, isIdpMfa: false, isIdpPhr: false, authTime: undefined, issuerClaims: { loginType }, ...proof }, NOW, {
      ...settings,
      ...others
    })
  )
}

/** A decision in a word or two: `enroll`, `allow grace +2`, `allow report_only (enroll)`. */
function written ({ action, reason, deadline, wouldBe, loginFirst, loginTimeUnknown }: ReturnType<typeof decide>): string {
  const wait = deadline === undefined ? '' : ` +${(Date.parse(deadline) - NOW.getTime()) / 86_400_000}`
  const name = action === 'enroll' && reason === 'required_by_policy' ? 'enroll' : `${action} ${reason}`
  const login = loginFirst === true ? ', log in first' : loginTimeUnknown === true ? ', login time unknown' : ''
  return `${name}${wait}${login}${wouldBe === undefined ? '' : ` (${written(wouldBe)})`}`
}

t.test('may this session pass? the first rule that holds answers', async t => {
  const table: Array<[Policy['enforcement'], Policy['ssoRule'], ...string[]]> = [
    // enforcement  SSO rule              type     token         accounts enrolled grace      exemption   decision
    ['required', 'exempt_sso_only', 'local', 'mfa', 'local', 'yes', 'over', '-', 'allow mfa_verified'],
    ['required', 'none', 'api', 'mfa', 'local', 'yes', 'over', '-', 'allow mfa_verified'],
    ['required', 'exempt_sso_only', 'local', 'remembered', 'local', 'yes', 'over', '-', 'allow mfa_verified'],
    ['required', 'none', 'sso', 'idp', 'both', 'yes', 'over', '-', 'allow idp_mfa'],
    ['required', 'none', 'sso', 'idp', 'both', '-', 'over', '-', 'allow idp_mfa'],
    // With a factor the user is asked, whatever the policy; but not where the session's own rule leaves it to the identity provider.
    ['optional', 'exempt_sso_only', 'local', 'login', 'local', 'yes', 'unmet', '-', 'verify factor_enrolled'],
    ['required', 'exempt_sso_only', 'sso', 'login', 'sso', 'yes', 'unmet', '-', 'verify factor_enrolled'],
    ['required', 'exempt_sso_only', 'local', 'login', 'local', 'yes', 'running', 'endless', 'verify factor_enrolled'],
    ['required', 'exempt_sso_session', 'sso', 'login', 'both', 'yes', 'over', '-', 'allow exempt_sso'],
    ['required', 'exempt_sso_session', 'local', 'login', 'both', 'yes', 'over', '-', 'verify factor_enrolled'],
    // The rule of the guide, by accounts: whatever the login type.
    ['required', 'exempt_sso_only', 'sso', 'login', 'sso', '-', 'over', '-', 'allow exempt_sso'],
    ['required', 'exempt_sso_only', 'api', 'login', 'sso', '-', 'over', '-', 'allow exempt_sso'],
    ['required', 'exempt_sso_only', 'sso', 'login', 'both', '-', 'over', '-', 'enroll'],
    ['required', 'exempt_sso_only', 'local', 'login', '-', '-', 'over', '-', 'enroll'],
    // By the session: whatever the accounts. A personal token came in by none.
    ['required', 'exempt_sso_session', 'sso', 'login', 'local', '-', 'over', '-', 'allow exempt_sso'],
    ['required', 'exempt_sso_session', 'local', 'login', 'both', '-', 'over', '-', 'enroll'],
    ['required', 'exempt_sso_session', 'api', 'login', 'sso', '-', 'over', '-', 'enroll'],
    ['required', 'exempt_sso_session', 'api', 'login', '-', '-', 'over', '-', 'enroll'],
    ['required', 'none', 'sso', 'login', 'sso', '-', 'over', '-', 'enroll'],
    // Exempted by an administrator, until it ends.
    ['required', 'none', 'local', 'login', 'local', '-', 'over', 'endless', 'allow exempt_user'],
    ['required', 'none', 'api', 'login', 'local', '-', 'over', 'running', 'allow exempt_user'],
    ['required', 'none', 'local', 'login', 'local', '-', 'over', 'over', 'enroll'],
    // The deadline, given once; a user that no policy has met is met now, here with seven days.
    ['required', 'exempt_sso_only', 'local', 'login', 'local', '-', 'unmet', '-', 'allow grace +7'],
    ['required', 'exempt_sso_only', 'local', 'old', 'local', '-', 'running', '-', 'allow grace +2'],
    ['required', 'exempt_sso_only', 'local', 'login', 'local', '-', 'over', '-', 'enroll'],
    ['required', 'exempt_sso_only', 'local', 'old', 'local', '-', 'over', '-', 'enroll, log in first'],
    ['required', 'exempt_sso_only', 'local', 'ageless', 'local', '-', 'over', '-', 'enroll, login time unknown'],
    ['report_only', 'exempt_sso_only', 'local', 'ageless', 'local', '-', 'over', '-', 'allow report_only (enroll, login time unknown)'],
    // Report-only says what it would ask, and asks it of no one.
    ['report_only', 'exempt_sso_only', 'local', 'login', 'local', '-', 'over', '-', 'allow report_only (enroll)'],
    ['report_only', 'exempt_sso_only', 'local', 'login', 'local', '-', 'unmet', '-', 'allow report_only (allow grace +7)'],
    ['report_only', 'exempt_sso_only', 'local', 'login', 'local', 'yes', 'over', '-', 'verify factor_enrolled'],
    ['report_only', 'exempt_sso_only', 'sso', 'login', 'sso', '-', 'over', '-', 'allow exempt_sso'],
    ['optional', 'exempt_sso_only', 'local', 'login', 'local', '-', 'over', '-', 'allow not_required'],
    ['optional', 'none', 'api', 'ageless', '-', '-', 'over', 'endless', 'allow not_required']
  ]
  for (const [enforcement, ssoRule, loginType, token, accounts, enrolled, grace, exemption, wanted] of table) {
    const row = {
      policy: { enforcement, ssoRule, gracePeriodDays: 7 },
      loginType,
      token,
      accounts,
      enrolled,
      grace,
      exemption
    } as unknown as Row
    t.equal(decided(row), wanted, [enforcement, ssoRule, loginType, token, accounts, enrolled, grace, exemption].join(' '))
    t.equal(decided(row, { isDisabled: true }), 'deny user_disabled')
  }
})

const local: Row = {
  policy: { enforcement: 'required' },
  loginType: 'local',
  token: 'login',
  accounts: 'local',
  enrolled: '-',
  grace: 'over',
  exemption: '-'
}

t.test('a policy for groups covers the users in one of them, and users whose groups were left out', async t => {
  const inGroups = (sources: User['sources']): string =>
    decided({ ...local, policy: { enforcement: 'required', groups: ['x', 'y'] } }, { sources })
  t.equal(inGroups({ a: { local: true, groups: ['y', 'z'] } }), 'enroll')
  t.equal(inGroups({ a: { local: true, groups: ['z'] }, b: { groups: ['x'] } }), 'enroll', 'any source')
  t.equal(inGroups({ a: { local: true, groups: ['z'] } }), 'allow not_required')
  t.equal(inGroups({ a: { local: true } }), 'allow not_required')
  t.equal(inGroups({ a: { local: true, groups: ['z'], groupsUnknown: true } }), 'enroll')
  t.equal(
    inGroups({ a: { local: true }, gone: { groups: ['x'], groupsUnknown: true } }),
    'allow not_required',
    'not of an issuer that is gone'
  )
})

t.test('the deadline is the later of the user\'s own and the policy\'s date, and one that has come is over', async t => {
  const by = (grace: Row['grace'], enforceFrom: Date): string =>
    decided({ ...local, grace, policy: { enforcement: 'required', enforceFrom } })
  t.equal(by('over', days(4)), 'allow grace +4', 'a second roll-out has a date')
  t.equal(by('running', days(4)), 'allow grace +4')
  t.equal(by('running', days(1)), 'allow grace +2')
  t.equal(by('over', days(-1)), 'enroll')
  t.equal(by('over', NOW), 'enroll')
  t.equal(decided({ ...local, grace: 'unmet' }), 'enroll', 'no days at all')
})

t.test('deadlines and exemptions end by the database\'s clock, a login grows old by the service\'s', async t => {
  t.equal(decided({ ...local, grace: 'running' }, { readAt: days(3) }), 'enroll')
  t.equal(decided({ ...local, exemption: 'running' }, { readAt: days(6) }), 'enroll')
})

t.test('the floor: of the two decisions the stricter counts', async t => {
  const under = (row: Row, floor: DecisionSettings['floor'], known: Partial<User> = {}): string => decided(row, known, { floor })
  const optional = { ...local, policy: {} }
  t.equal(under(optional, { enforcement: 'required' }), 'enroll')
  t.equal(under(optional, { enforcement: 'report_only' }), 'allow report_only (enroll)')
  t.equal(under(local, { enforcement: 'report_only' }), 'enroll', 'the tenant\'s own is stricter')
  t.equal(under(optional, { ssoRule: 'none' }), 'allow not_required', 'what it omits binds nothing')
  t.equal(under({ ...local, accounts: 'sso' }, { ssoRule: 'none' }), 'enroll')
  t.equal(
    under({ ...local, accounts: 'sso', policy: { enforcement: 'required', ssoRule: 'none' } }, { ssoRule: 'exempt_sso_only' }),
    'enroll'
  )
  t.equal(under(optional, { enforcement: 'required', groups: ['x'] }), 'allow not_required')
  t.equal(under(optional, { enforcement: 'required', groups: ['x'] }, { sources: { a: { groups: ['x'] } } }), 'enroll')
  t.equal(under({ ...local, policy: { enforcement: 'required', groups: ['y'] } }, { groups: null }), 'enroll')
  t.equal(
    under({ ...local, enrolled: 'yes', loginType: 'sso', policy: { enforcement: 'required', ssoRule: 'exempt_sso_session' } }, {
      ssoRule: 'exempt_sso_only'
    }),
    'verify factor_enrolled'
  )
})

t.test('the floor bounds grace from the first meeting and exemptions from their beginning, even if an administrator gave them', async t => {
  const under = (row: Row, floor: DecisionSettings['floor'], known: Partial<User> = {}): string => decided(row, known, { floor })
  const seven: Row = { ...local, policy: { enforcement: 'required', gracePeriodDays: 7 } }
  t.equal(under({ ...seven, grace: 'unmet' }, { gracePeriodDays: 3 }), 'allow grace +3')
  t.equal(under({ ...seven, grace: 'unmet' }, { gracePeriodDays: 30 }), 'allow grace +7')
  t.equal(
    under(seven, { gracePeriodDays: 5 }, { policyMetAt: days(-3), graceUntil: days(300) }),
    'allow grace +2',
    "an administrator's extension, too"
  )
  t.equal(under(seven, { gracePeriodDays: 5 }, { policyMetAt: days(-6), graceUntil: days(300) }), 'enroll')
  t.equal(
    under({ ...local, grace: 'over', policy: { enforcement: 'required', enforceFrom: days(9) } }, { enforceFrom: days(4) }),
    'allow grace +4'
  )
  t.equal(under({ ...local, grace: 'over', policy: { enforcement: 'required', enforceFrom: days(9) } }, { enforceFrom: null }), 'enroll')
  t.equal(under({ ...local, exemption: 'endless' }, { maxExemptionDays: 41 }), 'allow exempt_user')
  t.equal(under({ ...local, exemption: 'endless' }, { maxExemptionDays: 40 }), 'enroll')
  t.equal(under({ ...local, exemption: 'running' }, { maxExemptionDays: 300 }), 'allow exempt_user')
  t.equal(under({ ...local, exemption: 'over' }, { maxExemptionDays: 300 }), 'enroll')
  t.equal(
    under({ ...local, policy: { enforcement: 'report_only', gracePeriodDays: 7 }, grace: 'unmet' }, { gracePeriodDays: 3 }),
    'allow report_only (allow grace +3)'
  )
})

t.test('every combination keeps the promises', async t => {
  const cases: Row[] = []
  for (const enforcement of ['optional', 'report_only', 'required'] as const) {
    for (const ssoRule of ['exempt_sso_only', 'exempt_sso_session', 'none'] as const) {
      for (const loginType of ['local', 'sso', 'api'] as const) {
        for (const accounts of Object.keys(ACCOUNTS)) {
          for (const enrolled of Object.keys(FACTORS)) {
            for (const grace of Object.keys(OWN_GRACE)) {
              for (const exemption of Object.keys(EXEMPTIONS)) {
                for (const token of Object.keys(TOKENS)) {
                  cases.push({
                    policy: { enforcement, ssoRule, gracePeriodDays: 7 },
                    loginType,
                    token,
                    accounts,
                    enrolled,
                    grace,
                    exemption
                  })
                }
              }
            }
          }
        }
      }
    }
  }
  t.equal(cases.length, 3 * 3 * 3 * 4 * 2 * 3 * 4 * 6)
  /** What is promised, each apart from the others: [which users it is about, what they may be told]. */
  const promises: Array<[string, (row: Row) => boolean, (decision: string, row: Row) => boolean]> = [
    [
      'who proved a second factor passes, and no one else is told so',
      ({ token }) => token === 'mfa' || token === 'remembered',
      decision => decision === 'allow mfa_verified'
    ],
    [
      'whose identity provider proved one passes by that, whatever the policy',
      ({ token }) => token === 'idp',
      decision => decision === 'allow idp_mfa'
    ],
    [
      'a first-factor token alone was no second factor',
      ({ token }) => token !== 'mfa' && token !== 'remembered',
      decision => decision !== 'allow mfa_verified'
    ],
    [
      'with a factor a first-factor token is asked, or came by SSO where that decides',
      isPlain(({ enrolled }) => enrolled === 'yes'),
      (decision, { policy, loginType }) =>
        decision === (policy.ssoRule === 'exempt_sso_session' && loginType === 'sso' ? 'allow exempt_sso' : 'verify factor_enrolled')
    ],
    [
      'without a factor no user is asked for a code',
      isPlain(({ enrolled }) => enrolled === '-'),
      decision => !decision.startsWith('verify')
    ],
    [
      'no user must enroll but by a policy that is required',
      isPlain(({ policy }) => policy.enforcement !== 'required'),
      decision => !decision.startsWith('enroll') && !decision.startsWith('allow grace')
    ],
    [
      'what is not required exempts no one, as there is nothing to be exempt from',
      isPlain(({ policy, loginType }) =>
        policy.enforcement === 'optional' && !(policy.ssoRule === 'exempt_sso_session' && loginType === 'sso')
      ),
      decision => ['allow not_required', 'verify factor_enrolled'].includes(decision)
    ],
    [
      'a personal token is never exempt by the session',
      isPlain(({ policy, loginType }) => loginType === 'api' && policy.ssoRule === 'exempt_sso_session'),
      decision => decision !== 'allow exempt_sso'
    ],
    [
      "the accounts' rule does not exempt a user without a known account",
      isPlain(({ policy, accounts }) => accounts === '-' && policy.ssoRule === 'exempt_sso_only'),
      decision => decision !== 'allow exempt_sso'
    ],
    [
      'who has a local account too is enforced',
      isPlain(({ policy, accounts }) => accounts === 'both' && policy.ssoRule === 'exempt_sso_only'),
      decision => decision !== 'allow exempt_sso'
    ],
    [
      'without an SSO rule SSO exempts no one',
      isPlain(({ policy }) => policy.ssoRule === 'none'),
      decision => decision !== 'allow exempt_sso'
    ],
    [
      'an exemption that is over exempts no one',
      isPlain(({ exemption }) => exemption === 'over' || exemption === '-'),
      decision => !decision.includes('exempt_user')
    ],
    [
      'required, without factor, exemption, SSO or grace: enroll',
      isPlain(({ policy, accounts, loginType, enrolled, grace, exemption }) =>
        policy.enforcement === 'required' && ['local', 'both', '-'].includes(accounts as string) && loginType !== 'sso' &&
        enrolled === '-' && grace === 'over' && ['over', '-'].includes(exemption as string)
      ),
      decision => decision.startsWith('enroll')
    ],
    [
      "a deadline is the user's own, or that of a user who is met now",
      isPlain(() => true),
      (decision, { grace }) => !decision.includes('grace') || decision.includes(grace === 'unmet' ? 'grace +7' : 'grace +2')
    ],
    ['a deadline that is over is over', isPlain(({ grace }) => grace === 'over'), decision => !decision.includes('grace')],
    ['report-only says what required would', isPlain(({ policy }) => policy.enforcement === 'report_only'), (decision, row) => {
      const would = decided({ ...row, policy: { ...row.policy, enforcement: 'required' } })
      return decision === (/^(enroll|allow grace)/.test(would) ? `allow report_only (${would})` : would)
    }]
  ]
  for (const [promise, isAbout, isKept] of promises) {
    const about = cases.filter(isAbout)
    t.ok(about.length > 20)
    t.same(about.filter(row => !isKept(decided(row), row)).slice(0, 3), [], promise)
  }
})

function isPlain (condition: (row: Row) => boolean): (row: Row) => boolean {
  return row => row.token !== 'mfa' && row.token !== 'remembered' && row.token !== 'idp' && condition(row)
}

t.test('the last factor may go where the user without it might pass', async t => {
  const required = (known: Partial<User>, policy: Partial<Policy> = {}): boolean =>
    isMfaRequired(
      aUser({
        factors: [{} as Factor],
        sources: ACCOUNTS.local as User['sources'],
        ...known,
        policy: { ...DEFAULT_POLICY, enforcement: 'required', ...policy }
      }),
      NOW,
      settings
    )
  t.equal(required({}), true)
  t.equal(required({ sources: ACCOUNTS.sso as User['sources'] }), false)
  t.equal(required({ sources: ACCOUNTS.sso as User['sources'] }, { ssoRule: 'exempt_sso_session' }), false, 'they come by SSO')
  t.equal(
    required({ sources: ACCOUNTS.both as User['sources'] }, { ssoRule: 'exempt_sso_session' }),
    true,
    'they may come by their password'
  )
  t.equal(required(OWN_GRACE.running as Partial<User>), false)
  t.equal(
    required({
      session: {
        generation: 0,
        authentication: { acr: 'mfa', methods: ['otp'], factorId: 'f', authTime: SECONDS, endsAt: SECONDS + 1 },
        isForged: false
      }
    }),
    true,
    'a remembered session is no reason'
  )
  t.equal(required({}, { enforcement: 'optional' }), false)
})

t.test('a policy meets a user when it first asks something of them', async t => {
  const meets = (
    known: Partial<User>,
    policy: Partial<Policy>,
    floor: DecisionSettings['floor'] = null,
    loginType: 'local' | 'sso' | 'api' = 'local'
  ): number | null =>
    firstGraceDays(
      aUser({ sources: ACCOUNTS.local as User['sources'], ...known, policy: { ...DEFAULT_POLICY, gracePeriodDays: 7, ...policy } }),
      { mfa: undefined, isIdpMfa: false, isIdpPhr: false, authTime: SECONDS, issuerClaims: { loginType } },
      NOW,
      { ...settings, floor }
    )
  t.equal(meets({}, { enforcement: 'required' }), 7)
  t.equal(meets({ factors: [{} as Factor] }, { enforcement: 'required' }), 7, 'with a factor too: a reset opens no new grace')
  t.equal(meets({}, { enforcement: 'required', gracePeriodDays: 0 }), 0)
  t.equal(meets(OWN_GRACE.over as Partial<User>, { enforcement: 'required' }), null, 'once')
  t.equal(meets({}, { enforcement: 'optional' }), null)
  t.equal(meets({}, { enforcement: 'report_only' }), null)
  t.equal(meets({}, { enforcement: 'required', groups: ['x'] }), null)
  t.equal(meets({ sources: ACCOUNTS.sso as User['sources'] }, { enforcement: 'required' }), null)
  t.equal(meets({ exemption: EXEMPTIONS.endless ?? null }, { enforcement: 'required' }), null)
  t.equal(meets({}, { enforcement: 'required', ssoRule: 'exempt_sso_session' }, null, 'sso'), null)
  t.equal(meets({}, { enforcement: 'required', ssoRule: 'exempt_sso_session' }, null, 'api'), 7)
  t.equal(meets({}, { enforcement: 'optional' }, { enforcement: 'required', gracePeriodDays: 3 }), 3)
  t.equal(meets({}, { enforcement: 'required' }, { gracePeriodDays: 3 }), 3)
})

t.test('as a user usually comes: by SSO if that is all they have, and just now', async t => {
  for (const [accounts, loginType] of [['sso', 'sso'], ['both', 'local'], ['local', 'local'], ['-', 'local']] as const) {
    t.same(usualSession(aUser({ sources: ACCOUNTS[accounts] as User['sources'] }), NOW, settings), {
      mfa: undefined,
      isIdpMfa: false,
      isIdpPhr: false,
      authTime: SECONDS,
      issuerClaims: { loginType }
    })
  }
})

t.test('fresh is up to the limit, and a time that is not known is not', async t => {
  t.equal(isFresh(SECONDS - 900, NOW, 900), true)
  t.equal(isFresh(SECONDS - 901, NOW, 900), false)
  t.equal(isFresh(SECONDS + 30, NOW, 900), true, 'the clocks of two machines differ')
  t.equal(isFresh(undefined, NOW, 900), false)
})
