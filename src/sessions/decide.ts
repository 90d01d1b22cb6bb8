import type { Acr, Caller } from '../http/auth/caller.ts'
import { decide, type DecisionSettings, isPhrRequired } from '../policy/decide.ts'
import type { Decision } from '../policy/policy.ts'
import type { User } from '../users/user.ts'
import { type Authentication, renewableAuthentication } from './mfa-token.ts'

export type RenewDecision =
  | { outcome: 'renew', authentication: Authentication }
  /** For an application, of a user who is allowed without a second factor. */
  | { outcome: 'allow', decision: Decision }
  /** `acr`: what is missing, where that is not any second factor. */
  | { outcome: 'not_enrolled', acr: Acr | undefined }
  | { outcome: 'step_up', acr: Acr | undefined }

export interface RenewSettings extends DecisionSettings { secondMethods: ReadonlySet<string> }

/**
 * What token does this session get? Renewing never makes the authentication fresh: it is the authentication's own time that goes on.
 * For an application it is one that counts of the user.
 * @param acr only an authentication of this rank will do
 */
export function decideRenew (
  user: User,
  caller: Caller,
  audience: string | undefined,
  acr: Acr | undefined,
  now: Date,
  settings: RenewSettings
): RenewDecision {
  const isPhrWanted = audience !== undefined && isPhrRequired(user, now, settings, caller)
  const wanted = acr ?? (isPhrWanted ? 'phr' : undefined)
  const authentication = renewableAuthentication(user, caller, wanted, settings)
  if (authentication !== null) return { outcome: 'renew', authentication }
  const decision = decide(user, caller, now, settings)
  if (acr === undefined && audience !== undefined && decision.action === 'allow') return { outcome: 'allow', decision }
  const canProve = wanted === undefined ? user.factors.length > 0 : settings.canProve(wanted, user)
  return { outcome: canProve ? 'step_up' : 'not_enrolled', acr: wanted }
}
