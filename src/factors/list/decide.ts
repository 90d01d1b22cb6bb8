import { type Caller, sessionKey } from '../../http/auth/caller.ts'
import { isMfaRequired, isPhrRequired } from '../../policy/decide.ts'
import { type AssuranceSettings, decideChange, type StepUp } from '../../sessions/assurance.ts'
import type { WholeUser } from '../../users/user.ts'

type Refused = { outcome: 'not_found' } | { outcome: 'step_up', stepUp: StepUp }

export type ChangeDecision = Refused | { outcome: 'active' } | { outcome: 'pending' }

/** May the caller change this factor? A pending one takes its owner's login alone, an active one a fresh second factor. */
export function decideFactorChange (
  user: WholeUser,
  caller: Caller,
  factorId: string,
  now: Date,
  settings: AssuranceSettings
): ChangeDecision {
  if (user.pending.some(pending => pending.factorId === factorId && pending.session === sessionKey(caller))) return { outcome: 'pending' }
  if (!user.factors.some(factor => factor.id === factorId)) return { outcome: 'not_found' }
  const stepUp = decideChange(user, caller, now, settings)
  return stepUp === null ? { outcome: 'active' } : { outcome: 'step_up', stepUp }
}

/**
 * May it be removed, and does the acting session go on? Where a factor is required, the last one that counts stays. The session does not
 * go on without a factor, and not where it is this factor that it was earned by.
 */
export function decideRemoval (
  user: WholeUser,
  caller: Caller,
  factorId: string,
  now: Date,
  settings: AssuranceSettings
): Refused | { outcome: 'pending' } | { outcome: 'required_by_policy' | 'last_passkey' } | { outcome: 'remove', isSessionKept: boolean } {
  const change = decideFactorChange(user, caller, factorId, now, settings)
  if (change.outcome !== 'active') return change
  const isLast = user.factors.length === 1
  if (isLast && isMfaRequired(user, now, settings)) return { outcome: 'required_by_policy' }
  const left = { ...user, factors: user.factors.filter(({ id }) => id !== factorId) }
  if (isPhrRequired(user, now, settings) && settings.canProve('phr', user) && !settings.canProve('phr', left)) {
    return { outcome: 'last_passkey' }
  }
  return { outcome: 'remove', isSessionKept: !isLast && caller.mfa?.factorId !== factorId }
}
