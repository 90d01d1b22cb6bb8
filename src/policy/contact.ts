import { type Caller, hasRole } from '../http/auth/caller.ts'
import type { User } from '../users/user.ts'
import { decide, type DecisionSettings, firstGraceDays } from './decide.ts'
import type { Decision } from './policy.ts'

/** What a call saw of a user for the first time and is to be recorded, each part once. */
export interface PolicyContact {
  /** The days until the user's deadline, from the database's now. */
  graceDays: number | null
  /** What a report-only policy would ask, once for each version of it. */
  wouldBe: Decision['wouldBe'] | null
  isAdministrator: boolean
}

/** Null, and it costs nothing, where all is known. Only a login meets a policy: an MFA token comes after one. */
export function policyContactOf (user: User, caller: Caller, now: Date, settings: DecisionSettings): PolicyContact | null {
  if (user.isDisabled) return null
  const graceDays = caller.issuerClaims === undefined ? null : firstGraceDays(user, caller, now, settings)
  const isReported = user.reportedVersion === user.policy.version
  const wouldBe = isReported ? undefined : decide(user, caller, now, settings).wouldBe
  // Who has a passkey has nothing to set up.
  const isAsked = wouldBe !== undefined && !settings.canProve('phr', user)
  const isAdministrator = !user.isAdministrator && hasRole(caller)
  return graceDays === null && !isAsked && !isAdministrator
    ? null
    : { graceDays, wouldBe: isAsked ? wouldBe : null, isAdministrator }
}
