import { type Acr, type Caller, isAtLeast } from '../http/auth/caller.ts'
import { DETAILS } from '../http/problem.ts'
import { isFresh, loginAge } from '../platform/time.ts'
import { type DecisionSettings, isPhrRequired } from '../policy/decide.ts'
import type { User } from '../users/user.ts'

/** What is missing: RFC 9470's challenge, the login itself, or a code of an administrator; `detail` where that alone does not say it. */
export interface StepUp { action: 'verify' | 'login' | 'recovery', maxAge: number, acr?: 'phr', detail?: string }

export interface AssuranceSettings extends DecisionSettings { mfaFreshSeconds: number, adminFactorAgeSeconds: number }

/**
 * May the caller change an active factor or the codes? That takes a second factor of the last minutes: a recovery code's
 * too, but not what an administrator gave, which is for setting up alone.
 */
export function decideChange (user: User, caller: Caller, now: Date, settings: AssuranceSettings): StepUp | null {
  const isProved = hasFreshMfa(caller, now, settings.mfaFreshSeconds) && caller.mfa?.isBypass === false
  return decideByFactor(user, caller, isProved, now, settings, DETAILS.phrChange)
}

/**
 * What a second factor of the last minutes opens. A user who needs a passkey needs it here, or a recovery: else one code that was
 * phished would set up the thief's own passkey.
 */
function decideByFactor (
  user: User,
  { mfa }: Caller,
  isProved: boolean,
  now: Date,
  settings: AssuranceSettings,
  detail: string
): StepUp | null {
  const maxAge = settings.mfaFreshSeconds
  const isPhrWanted = isPhrRequired(user, now, settings)
  if (isProved && !(isPhrWanted && mfa?.acr === 'mfa')) return null
  if (!isPhrWanted) return { action: 'verify', maxAge }
  return settings.canProve('phr', user) ? { action: 'verify', maxAge, acr: 'phr', detail } : { action: 'recovery', maxAge, detail }
}

/** A new login would not help where the issuer's tokens do not say when a login was. */
export type SetUpRefusal = StepUp | 'login_time_unknown'

/**
 * May the caller set up a factor? With an active one that takes a second factor of the last minutes; the first one takes a login
 * of the last minutes.
 */
export function decideSetUp (
  user: User,
  caller: Caller,
  needsCode: boolean,
  now: Date,
  settings: AssuranceSettings
): SetUpRefusal | null {
  const { loginFreshSeconds, mfaFreshSeconds } = settings
  if (user.factors.length > 0) {
    return decideByFactor(user, caller, hasFreshMfa(caller, now, mfaFreshSeconds), now, settings, DETAILS.phrSetUp)
  }
  if (needsCode) {
    return hasFreshMfa(caller, now, mfaFreshSeconds) && caller.mfa?.isBypass === true
      ? null
      : { action: 'recovery', maxAge: mfaFreshSeconds }
  }
  switch (loginAge(caller.authTime, now, loginFreshSeconds)) {
    case 'fresh': return null
    case 'old': return { action: 'login', maxAge: loginFreshSeconds }
    case 'unknown': return 'login_time_unknown'
  }
}

/** Whose first enrollment needs a code of an administrator. */
export type CodeMode = 'never' | 'roles' | 'always'

/**
 * What a first factor needs. `required`: a code of an administrator. `first_administrator`: none, as no one is there yet who could give
 * one. `probation`: none, though administrators need one; a user who becomes an administrator can't administer with it at once.
 * `not_required`: none.
 */
export type CodeRule = 'required' | 'first_administrator' | 'probation' | 'not_required'

/** @param hasAdministrator the tenant has an administrator who has enrolled; asked only where the mode is `roles` */
export function decideCodeRule ({ factors, isAdministrator, isCodeRequired }: User, mode: CodeMode, hasAdministrator: boolean): CodeRule {
  if (factors.length > 0) return 'not_required'
  if (isCodeRequired || mode === 'always') return 'required'
  if (mode === 'never') return 'not_required'
  if (isAdministrator) return hasAdministrator ? 'required' : 'first_administrator'
  return hasAdministrator ? 'probation' : 'not_required'
}

/** Was a second factor proved, by a code or what else a factor answers? Not where a trusted device stands for one. */
export const isProved = ({ mfa }: Caller): boolean => mfa !== undefined && mfa.acr !== 'mfa-device'

/** A trusted device is never fresh: its `auth_time` is of another login. */
export const hasFreshMfa = (caller: Caller, now: Date, maxAgeSeconds: number): boolean =>
  isProved(caller) && isFresh(caller.authTime, now, maxAgeSeconds)

export type AdminRefusal = 'not_enrolled' | 'no_passkey' | 'forbidden' | StepUp

/**
 * May the caller administer? That takes a fresh second factor which is not a recovery code, nor a factor that was set up
 * after one was accepted, for a day: else one stolen code would make an administrator. If they need a passkey, it is that.
 */
export function decideAdmin (user: User, caller: Caller, now: Date, settings: AssuranceSettings): AdminRefusal | null {
  if (user.factors.length === 0) return 'not_enrolled'
  const wanted: Acr = isPhrRequired(user, now, settings) ? 'phr' : 'mfa'
  const proving = user.factors.filter(factor => wanted === 'mfa' || settings.canProve(wanted, { ...user, factors: [factor] }))
  if (proving.length === 0) return 'no_passkey'
  const stepUp: StepUp = {
    action: 'verify',
    maxAge: settings.mfaFreshSeconds,
    ...(wanted === 'phr' && { acr: wanted, detail: DETAILS.phr })
  }
  const { mfa } = caller
  if (mfa === undefined || !isAtLeast(mfa.acr, wanted) || !hasFreshMfa(caller, now, settings.mfaFreshSeconds)) return stepUp
  const isOnProbation = ({ afterRecoveryAt }: { afterRecoveryAt: Date | null }): boolean =>
    afterRecoveryAt !== null && now.getTime() - afterRecoveryAt.getTime() < settings.adminFactorAgeSeconds * 1000
  const used = proving.find(factor => factor.id === mfa.factorId)
  if (used !== undefined && !isOnProbation(used)) return null
  return proving.every(isOnProbation) ? 'forbidden' : stepUp
}
