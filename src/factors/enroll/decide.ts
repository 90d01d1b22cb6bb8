import { type Caller, sessionKey } from '../../http/auth/caller.ts'
import { type AssuranceSettings, decideSetUp, type SetUpRefusal, type StepUp } from '../../sessions/assurance.ts'
import type { Pending, User, WholeUser } from '../../users/user.ts'
import { type Throttled, throttledBy, throttleOf } from '../throttle/throttle.ts'

type Refused = { outcome: 'step_up', stepUp: StepUp } | { outcome: 'login_time_unknown' }

export type StartDecision = { outcome: 'start' } | Refused | Conflict

export type Conflict = { outcome: 'too_many_factors' } | { outcome: 'label_taken' }

/** What the kind says of it: its name, whether it is throttled, and whether a user's factors leave room for one more. */
export interface KindRules { kind: string, isThrottled: boolean, hasRoom: (factors: User['factors']) => boolean }

/** May the caller start to set up a further factor, or the first? `needsCode`: the first needs a code of an administrator. */
export function decideStart (
  user: User,
  caller: Caller,
  rules: KindRules,
  label: string | undefined,
  needsCode: boolean,
  now: Date,
  settings: AssuranceSettings
): StartDecision {
  const refusal = decideSetUp(user, caller, needsCode, now, settings)
  return refusal === null ? conflict(user, rules, label) ?? { outcome: 'start' } : refused(refusal)
}

const refused = (refusal: SetUpRefusal): Refused =>
  typeof refusal === 'string' ? { outcome: refusal } : { outcome: 'step_up', stepUp: refusal }

function conflict ({ factors }: User, { hasRoom }: KindRules, label: string | null | undefined): Conflict | null {
  if (!hasRoom(factors)) return { outcome: 'too_many_factors' }
  return factors.some(factor => factor.label === label) ? { outcome: 'label_taken' } : null
}

export type ConfirmDecision = { outcome: 'not_found' } |
  /** It is active already: what was sent counts no more. */
  { outcome: 'spent' } | Refused | Conflict | Throttled |
  /** Its kind says whether it is proved. */
  { outcome: 'prove', pending: Pending, isFirst: boolean }

/**
 * May the pending factor of this kind become active, once it is proved? The first factor's login was asked at its start, to
 * which the session is bound; a further one needs the second factor still, and so does a first one that needs a code.
 */
export function decideConfirm (
  user: WholeUser,
  caller: Caller,
  rules: KindRules,
  factorId: string,
  needsCode: boolean,
  now: Date,
  settings: AssuranceSettings
): ConfirmDecision {
  const { factors } = user
  const pending = user.pending.find(each => each.kind === rules.kind && each.factorId === factorId)
  const isActive = factors.some(({ id, kind }) => kind === rules.kind && id === factorId)
  // A code that is sent again is told that its set-up is over, as it is for whatever else is not pending.
  if (isActive && !rules.isThrottled) return { outcome: 'spent' }
  if (pending === undefined || pending.session !== sessionKey(caller)) return { outcome: 'not_found' }
  const isFirst = factors.length === 0
  const refusal = isFirst && !needsCode ? null : decideSetUp(user, caller, needsCode, now, settings)
  if (refusal !== null) return refused(refusal)
  const impediment = conflict(user, rules, pending.label) ?? (rules.isThrottled ? throttledBy(throttleOf(user, rules.kind)) : null)
  return impediment ?? { outcome: 'prove', pending, isFirst }
}
