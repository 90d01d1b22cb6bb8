import { type AssuranceSettings, decideSetUp, type SetUpRefusal, type StepUp } from '../../core/assurance.ts'
import { type Caller, sessionKey } from '../../core/caller.ts'
import { MAX_FACTORS, nextLabel } from '../../core/factors.ts'
import type { KeyRing } from '../../core/keys.ts'
import type { Pending, User, WholeUser } from '../../core/user.ts'
import { open } from '../../core/seal.ts'
import { type Throttled, throttledBy } from '../../core/throttle.ts'
import { DEFAULT_PARAMETERS, matchStep, stepsAway, type TotpWindow } from '../../core/totp.ts'
import { readTyped } from '../../core/typed-code.ts'

type Refused = { outcome: 'step_up', stepUp: StepUp } | { outcome: 'login_time_unknown' }

export type StartDecision = { outcome: 'start' } | Refused | Conflict

export type Conflict = { outcome: 'too_many_factors' } | { outcome: 'label_taken' }

/** May the caller start to set up a further authenticator, or the first? `isCodeDue`: the first needs a code of an administrator. */
export function decideStart (user: User, caller: Caller, label: string | undefined, isCodeDue: boolean, now: Date, settings: AssuranceSettings): StartDecision {
  const refusal = decideSetUp(user, caller, isCodeDue, now, settings)
  return refusal === null ? conflict(user, label) ?? { outcome: 'start' } : refused(refusal)
}

const refused = (refusal: SetUpRefusal): Refused => typeof refusal === 'string' ? { outcome: refusal } : { outcome: 'step_up', stepUp: refusal }

function conflict ({ factors }: User, label: string | null | undefined): Conflict | null {
  if (factors.length >= MAX_FACTORS) return { outcome: 'too_many_factors' }
  return factors.some(factor => factor.label === label) ? { outcome: 'label_taken' } : null
}

export interface ConfirmSettings extends AssuranceSettings { window: TotpWindow, ring: KeyRing }

export type ConfirmDecision = { outcome: 'not_found' } | Refused | Conflict | Throttled |
  /** `stepsAway`: for the audit, when the code would have been right. */
  { outcome: 'refused', stepsAway: number | null } |
  { outcome: 'match', pending: Pending, step: number, label: string, isFirst: boolean }

/**
 * Does the code prove the pending factor, and may it become active? The first factor's login was asked at its start, to
 * which the session is bound; a further one needs the second factor still, and so does a first one that needs a code.
 * @throws SealError if the secret does not open
 */
export function decideConfirm (user: WholeUser, caller: Caller, { factorId, code }: { factorId: string, code: string }, isCodeDue: boolean, now: Date, settings: ConfirmSettings): ConfirmDecision {
  const { pending, factors } = user
  if (pending === null || pending.factorId !== factorId || pending.session !== sessionKey(caller)) return { outcome: 'not_found' }
  const isFirst = factors.length === 0
  const refusal = isFirst && !isCodeDue ? null : decideSetUp(user, caller, isCodeDue, now, settings)
  if (refusal !== null) return refused(refusal)
  const impediment = conflict(user, pending.label) ?? throttledBy(user.throttles.totp)
  if (impediment !== null) return impediment
  return open(settings.ring, { ...DEFAULT_PARAMETERS, tenant: user.tenant, userId: user.userId, factorId }, pending, secret => {
    const step = matchStep(secret, readTyped(code), now, settings.window)
    return step === null
      ? { outcome: 'refused', stepsAway: stepsAway(secret, readTyped(code), now) }
      : { outcome: 'match', pending, step, label: pending.label ?? nextLabel(factors), isFirst }
  })
}
