import t from 'tap'
import type { Factor, Person, SourceWord } from '../../src/core/person.ts'
import { decide, DEFAULT_POLICY, isFresh, isMfaRequired, isSsoOnly, type Policy } from '../../src/core/policy.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const SECONDS = NOW.getTime() / 1000
const settings = { issuers: new Set(['a', 'b']), loginFreshSeconds: 900 }
const mfa = { userId: 'u', epoch: 1, acr: 'mfa' as const, factorId: 'f', generation: 0 }

const LOCAL: Record<string, SourceWord> = { a: { local: true, sso: false } }
const SSO: Record<string, SourceWord> = { a: { local: false, sso: true } }
const BOTH: Record<string, SourceWord> = { a: { local: true, sso: true } }

function person ({ isDisabled = false, factors = 0, enforcement = 'optional', sources = LOCAL }: { isDisabled?: boolean, factors?: number, enforcement?: Policy['enforcement'], sources?: Record<string, SourceWord> }): Person {
  return {
    tenant: 't',
    userId: 'u',
    namespace: 'a',
    subject: 's',
    account: 's',
    epoch: 1,
    revision: 1,
    sources,
    isDisabled,
    factors: Array.from({ length: factors }, () => ({}) as Factor),
    pending: null,
    recovery: null,
    session: { generation: 0, act: null },
    throttles: { totp: { waitSeconds: null, lockedAt: null }, recovery: { waitSeconds: null, lockedAt: null } },
    policy: { ...DEFAULT_POLICY, enforcement }
  }
}

t.test('may this session pass? the first rule that holds answers', async t => {
  const table: Array<[disabled: 'disabled' | '-', token: 'mfa' | 'idp' | 'first', factors: number, policy: Policy['enforcement'], accounts: Record<string, SourceWord>, loginAge: number | undefined, action: string, reason: string]> = [
    // disabled    token    factors policy      accounts login age   action    reason
    ['disabled', 'mfa', 1, 'required', LOCAL, 0, 'deny', 'user_disabled'],
    ['disabled', 'first', 0, 'optional', SSO, 0, 'deny', 'user_disabled'],
    ['-', 'mfa', 1, 'required', LOCAL, 0, 'allow', 'mfa_verified'],
    ['-', 'mfa', 0, 'required', LOCAL, 0, 'allow', 'mfa_verified'],
    ['disabled', 'idp', 0, 'optional', SSO, 0, 'deny', 'user_disabled'],
    ['-', 'idp', 1, 'required', LOCAL, 0, 'allow', 'idp_mfa'],
    ['-', 'idp', 0, 'optional', SSO, 0, 'allow', 'idp_mfa'],
    ['-', 'first', 1, 'optional', LOCAL, 0, 'verify', 'factor_enrolled'],
    ['-', 'first', 1, 'required', LOCAL, 0, 'verify', 'factor_enrolled'],
    ['-', 'first', 1, 'required', SSO, 0, 'verify', 'factor_enrolled'],
    ['-', 'first', 5, 'optional', {}, 5000, 'verify', 'factor_enrolled'],
    ['-', 'first', 0, 'optional', LOCAL, 0, 'allow', 'not_required'],
    ['-', 'first', 0, 'optional', {}, undefined, 'allow', 'not_required'],
    ['-', 'first', 0, 'required', SSO, 0, 'allow', 'exempt_sso'],
    ['-', 'first', 0, 'required', SSO, undefined, 'allow', 'exempt_sso'],
    ['-', 'first', 0, 'required', LOCAL, 0, 'enroll', 'required_by_policy'],
    ['-', 'first', 0, 'required', LOCAL, 900, 'enroll', 'required_by_policy'],
    ['-', 'first', 0, 'required', BOTH, 0, 'enroll', 'required_by_policy'],
    ['-', 'first', 0, 'required', {}, 0, 'enroll', 'required_by_policy'],
    ['-', 'first', 0, 'required', LOCAL, 901, 'enroll', 'required_by_policy, log in first'],
    ['-', 'first', 0, 'required', LOCAL, undefined, 'enroll', 'required_by_policy, log in first']
  ]
  for (const [disabled, token, factors, enforcement, sources, loginAge, action, reason] of table) {
    const proof = { mfa: token === 'mfa' ? mfa : undefined, isIdpMfa: token === 'idp', authTime: loginAge === undefined ? undefined : SECONDS - loginAge }
    const decision = decide(person({ isDisabled: disabled === 'disabled', factors, enforcement, sources }), proof, NOW, settings)
    const [wanted, loginFirst] = reason.split(', ')
    t.same(decision, { action, reason: wanted, ...(loginFirst !== undefined && { loginFirst: true }) }, `${disabled} ${token} ${factors} ${enforcement} ${JSON.stringify(sources)} ${loginAge}`)
  }
})

t.test('SSO alone: every source that counts says SSO, none says local, and one at least is there', async t => {
  const table: Array<[sources: Record<string, SourceWord>, isSsoOnly: boolean]> = [
    [{}, false],
    [{ a: {} }, false],
    [{ a: { local: false, sso: false } }, false],
    [{ a: { sso: true } }, true],
    [{ a: { sso: true, local: false }, b: {} }, true],
    [{ a: { sso: true }, b: { sso: true } }, true],
    [{ a: { sso: true }, b: { local: true } }, false],
    [{ a: { sso: true, local: true } }, false],
    [{ a: { sso: true }, gone: { local: true } }, true],
    [{ gone: { sso: true } }, false],
    [{ a: { local: false }, gone: { sso: true } }, false]
  ]
  for (const [sources, expected] of table) t.equal(isSsoOnly(sources, settings.issuers), expected, JSON.stringify(sources))
})

t.test('the last factor may go where the person without it might pass', async t => {
  t.equal(isMfaRequired(person({ factors: 1, enforcement: 'required' }), NOW, settings), true)
  t.equal(isMfaRequired(person({ factors: 1, enforcement: 'required', sources: SSO }), NOW, settings), false)
  t.equal(isMfaRequired(person({ factors: 1, enforcement: 'optional' }), NOW, settings), false)
})

t.test('fresh is up to the limit, and a time that is not known is not', async t => {
  t.equal(isFresh(SECONDS - 900, NOW, 900), true)
  t.equal(isFresh(SECONDS - 901, NOW, 900), false)
  t.equal(isFresh(SECONDS + 30, NOW, 900), true, 'the clocks of two machines differ')
  t.equal(isFresh(undefined, NOW, 900), false)
})
