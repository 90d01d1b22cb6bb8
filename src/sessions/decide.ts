import type { Acr, Caller } from '../http/auth/caller.ts'
import { decide, type DecisionSettings } from '../policy/decide.ts'
import type { Decision } from '../policy/policy.ts'
import type { User } from '../users/user.ts'
import { type Authentication, renewableAuthentication } from './mfa-token.ts'

export type RenewDecision =
  | { outcome: 'renew', authentication: Authentication }
  /** For an application, of a user who is allowed without a second factor. */
  | { outcome: 'allow', decision: Decision }
  | { outcome: 'not_enrolled' }
  | { outcome: 'step_up' }

export interface RenewSettings extends DecisionSettings { secondMethods: ReadonlySet<string>, canProve: (acr: Acr, user: User) => boolean }

/**
 * What token does this session get? Renewing never makes the authentication fresh: it is the authentication's own time that goes on.
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
  const authentication = renewableAuthentication(caller, user.session.authentication, acr, settings.secondMethods)
  if (authentication !== null) return { outcome: 'renew', authentication }
  if (acr !== undefined) return { outcome: settings.canProve(acr, user) ? 'step_up' : 'not_enrolled' }
  const decision = decide(user, caller, now, settings)
  if (audience !== undefined && decision.action === 'allow') return { outcome: 'allow', decision }
  return user.factors.length === 0 ? { outcome: 'not_enrolled' } : { outcome: 'step_up' }
}
