import t from 'tap'
import {
  type AdminRefusal,
  type AssuranceSettings,
  type CodeMode,
  type CodeRule,
  decideAdmin,
  decideChange,
  decideCodeRule,
  decideSetUp
} from '../../src/sessions/assurance.ts'
import type { Acr, Caller } from '../../src/http/auth/caller.ts'
import type { Factor, User } from '../../src/users/user.ts'
import { DEFAULT_POLICY } from '../../src/policy/policy.ts'
import { aUser } from '../helpers/snapshot.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const SECONDS = NOW.getTime() / 1000
const DAY = 86_400
const settings: AssuranceSettings = {
  issuers: new Set(),
  floor: null,
  canProve: (_acr, { factors }) => factors.some(({ kind }) => kind === 'passkey'),
  loginFreshSeconds: 900,
  mfaFreshSeconds: 600,
  adminFactorAgeSeconds: DAY
}
const VERIFY = { action: 'verify', maxAge: 600 }
const LOGIN = { action: 'login', maxAge: 900 }

/** Factors by id, with the seconds since the recovery that came before each was confirmed, or null. */
const userWith = (factors: Record<string, number | null>): User => aUser({
  factors: Object.entries(factors).map(([id, age]) =>
    ({ id, afterRecoveryAt: age === null ? null : new Date(NOW.getTime() - age * 1000) }) as Factor
  )
})

const caller = (kind: 'first' | Acr, age: number | undefined, factorId = 'A', isBypass = false): Caller => ({
  kind: kind === 'first' ? 'first' : 'mfa',
  authTime: age === undefined ? undefined : SECONDS - age,
  mfa: kind === 'first' ? undefined : { userId: 'u', epoch: 1, acr: kind, factorId, isBypass }
}) as Caller

t.test('who may set up a factor: the first takes a fresh login, a further one a fresh second factor', async t => {
  const table: Array<[factors: number, token: 'first' | Acr, age: number | undefined, missing: object | string | null]> = [
    [0, 'first', 0, null],
    [0, 'first', 900, null],
    [0, 'first', 901, LOGIN],
    [0, 'first', undefined, 'login_time_unknown'],
    [1, 'first', undefined, VERIFY],
    [1, 'first', 0, VERIFY],
    [1, 'mfa', 0, null],
    [1, 'mfa', 600, null],
    [1, 'mfa', 601, VERIFY],
    [1, 'mfa-recovery', 0, null],
    [1, 'mfa-recovery', 601, VERIFY]
  ]
  for (const [factors, token, age, missing] of table) {
    t.same(
      decideSetUp(userWith(factors === 0 ? {} : { A: null }), caller(token, age), false, NOW, settings),
      missing,
      `${factors} ${token} ${age}`
    )
  }
})

t.test('where a code of an administrator is due, it alone sets up the first factor, while it is fresh, however old the login ' +
  'is', async t => {
  const RECOVERY = { action: 'recovery', maxAge: 600 }
  const due = (token: Caller, factors: Record<string, null> = {}): unknown => decideSetUp(userWith(factors), token, true, NOW, settings)
  t.same(due(caller('first', 0)), RECOVERY)
  t.same(due(caller('first', 5000)), RECOVERY)
  t.same(due(caller('mfa-recovery', 0)), RECOVERY, 'a recovery code is none')
  t.same(due(caller('mfa-recovery', 0, 'b', true)), null)
  t.same(due(caller('mfa-recovery', 600, 'b', true)), null)
  t.same(due(caller('mfa-recovery', 601, 'b', true)), RECOVERY)
  t.same(due(caller('mfa', 0), { A: null }), null)
})

t.test('who may change what is active: a fresh second factor, which no code of an administrator is', async t => {
  const table: Array<[Caller, object | null]> = [
    [caller('first', 0), VERIFY],
    [caller('mfa', 600), null],
    [caller('mfa', 601), VERIFY],
    [caller('mfa-recovery', 0), null],
    [caller('mfa-recovery', 0, 'b', true), VERIFY]
  ]
  for (const [token, missing] of table) t.same(decideChange(userWith({ A: null }), token, NOW, settings), missing)
})

t.test('whose first factor needs a code', async t => {
  const table: Array<[mode: CodeMode, user: Partial<User>, hasAdministrator: boolean, rule: CodeRule]> = [
    ['never', {}, false, 'not_required'],
    ['never', { isAdministrator: true }, true, 'not_required'],
    ['never', { isCodeRequired: true }, false, 'required'],
    ['roles', {}, false, 'not_required'],
    ['roles', {}, true, 'probation'],
    ['roles', { isAdministrator: true }, false, 'first_administrator'],
    ['roles', { isAdministrator: true }, true, 'required'],
    ['roles', { isCodeRequired: true }, true, 'required'],
    ['always', {}, false, 'required'],
    ['always', { isAdministrator: true }, false, 'required']
  ]
  for (const [mode, user, hasAdministrator, rule] of table) {
    const aUser = { ...userWith({}), isAdministrator: false, isCodeRequired: false, ...user }
    t.equal(decideCodeRule(aUser, mode, hasAdministrator), rule, `${mode} ${JSON.stringify(user)}`)
    t.equal(decideCodeRule({ ...aUser, ...userWith({ A: null }) }, mode, hasAdministrator), 'not_required', 'a further one')
  }
})

t.test('who may administer: a fresh second factor, not a recovery\'s, by a factor that no recovery set up today', async t => {
  const table: Array<
    [factors: Record<string, number | null>, token: 'first' | Acr, usedFactor: string, age: number, refusal: AdminRefusal | null | object]
  > = [
    // factors and their recovery   token     by   age  refusal
    [{}, 'first', 'A', 0, 'not_enrolled'],
    [{}, 'mfa', 'A', 0, 'not_enrolled'],
    [{ A: null }, 'first', 'A', 0, VERIFY],
    [{ A: null }, 'mfa', 'A', 0, null],
    [{ A: null }, 'mfa', 'A', 600, null],
    [{ A: null }, 'mfa', 'A', 601, VERIFY],
    [{ A: null }, 'mfa-recovery', 'A', 0, VERIFY],
    [{ A: null }, 'mfa-recovery', 'set', 0, VERIFY],
    [{ A: null }, 'mfa', 'gone', 0, VERIFY],
    [{ A: 0 }, 'mfa', 'A', 0, 'forbidden'],
    [{ A: DAY - 1 }, 'mfa', 'A', 0, 'forbidden'],
    [{ A: DAY }, 'mfa', 'A', 0, null],
    [{ A: 0 }, 'mfa', 'A', 601, VERIFY],
    [{ A: 0, B: null }, 'mfa', 'A', 0, VERIFY],
    [{ A: 0, B: null }, 'mfa', 'B', 0, null],
    [{ A: 0, B: DAY }, 'mfa', 'A', 0, VERIFY],
    [{ A: 0, B: 10 }, 'mfa', 'B', 0, 'forbidden'],
    [{ A: 0, B: null }, 'mfa-recovery', 'A', 0, VERIFY]
  ]
  for (const [factors, token, usedFactor, age, refusal] of table) {
    t.same(
      decideAdmin(userWith(factors), caller(token, age, usedFactor), NOW, settings),
      refusal,
      `${JSON.stringify(factors)} ${token} ${usedFactor} ${age}`
    )
  }
})

t.test('with ADMIN_FACTOR_AGE_SECONDS=0 a factor administers at once', async t => {
  t.equal(decideAdmin(userWith({ A: 0 }), caller('mfa', 0), NOW, { ...settings, adminFactorAgeSeconds: 0 }), null)
})

t.test('a user who needs a passkey: it opens what any factor opens for others, and a recovery opens what sets one up', async t => {
  const bound = (...kinds: Array<'totp' | 'passkey'>): User => ({
    ...aUser({ factors: kinds.map((kind, index) => ({ id: `${kind}${index}`, kind, afterRecoveryAt: null }) as Factor) }),
    policy: { ...DEFAULT_POLICY, enforcement: 'required', phishingResistant: 'required' }
  })
  const [withPasskey, without] = [bound('totp', 'passkey'), bound('totp')]
  const PASSKEY = { ...VERIFY, acr: 'phr' }
  const RECOVERY = { action: 'recovery', maxAge: 600 }
  const table: Array<[User, Caller, setUp: object | null, change: object | null, admin: object | string | null]> = [
    [withPasskey, caller('phr', 0, 'passkey1'), null, null, null],
    [withPasskey, caller('phr', 601, 'passkey1'), PASSKEY, PASSKEY, PASSKEY],
    [withPasskey, caller('mfa', 0, 'totp0'), PASSKEY, PASSKEY, PASSKEY],
    [withPasskey, caller('mfa-recovery', 0), null, null, PASSKEY],
    [withPasskey, caller('mfa-recovery', 601), PASSKEY, PASSKEY, PASSKEY],
    [withPasskey, caller('mfa-recovery', 0, 'b', true), null, PASSKEY, PASSKEY],
    [withPasskey, caller('first', 0), PASSKEY, PASSKEY, PASSKEY],
    [without, caller('mfa', 0, 'totp0'), RECOVERY, RECOVERY, 'no_passkey'],
    [without, caller('mfa-recovery', 0), null, null, 'no_passkey'],
    [without, caller('mfa-recovery', 0, 'b', true), null, RECOVERY, 'no_passkey'],
    [without, caller('first', 0), RECOVERY, RECOVERY, 'no_passkey'],
    [bound(), caller('first', 0), null, RECOVERY, 'not_enrolled']
  ]
  for (const [index, [user, token, setUp, change, admin]] of table.entries()) {
    const seen = [
      decideSetUp(user, token, false, NOW, settings),
      decideChange(user, token, NOW, settings),
      decideAdmin(user, token, NOW, settings)
    ]
    t.match(seen, [setUp, change, admin].map(each => each ?? null), String(index))
    t.same(seen.map(each => each === null), [setUp, change, admin].map(each => each === null), String(index))
  }
})

t.test('a passkey that was set up after a recovery does not administer for a day, whatever other factors there are', async t => {
  const user = {
    ...aUser({
      factors: [{ id: 'T', kind: 'totp', afterRecoveryAt: null }, { id: 'P', kind: 'passkey', afterRecoveryAt: NOW }] as Factor[],
      isAdministrator: true
    }),
    policy: { ...DEFAULT_POLICY, phishingResistant: 'administrators' as const }
  }
  t.equal(decideAdmin(user, caller('phr', 0, 'P'), NOW, settings), 'forbidden')
  t.match(decideAdmin(user, caller('mfa', 0, 'T'), NOW, settings), { ...VERIFY, acr: 'phr' })
  const old = user.factors.map(factor => ({ ...factor, afterRecoveryAt: new Date(NOW.getTime() - DAY * 1000) }))
  t.equal(decideAdmin({ ...user, factors: old }, caller('phr', 0, 'P'), NOW, settings), null)
})
