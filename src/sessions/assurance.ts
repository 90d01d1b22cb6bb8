import type { Caller } from '../http/auth/caller.ts'
import { isFresh, loginAge } from '../platform/time.ts'
import type { User } from '../users/user.ts'

/** What is missing: RFC 9470's challenge, the login itself, or a code of an administrator. */
export interface StepUp { action: 'verify' | 'login' | 'recovery', maxAge: number }

export interface AssuranceSettings { loginFreshSeconds: number, mfaFreshSeconds: number, adminFactorAgeSeconds: number }

/**
 * May the caller change an active factor or the codes? That takes a second factor of the last minutes: a recovery code's
 * too, but not what an administrator gave, which is for setting up alone.
 */
export const decideChange = (caller: Caller, now: Date, { mfaFreshSeconds }: AssuranceSettings): StepUp | null =>
  hasFreshMfa(caller, now, mfaFreshSeconds) && caller.mfa?.isBypass === false ? null : { action: 'verify', maxAge: mfaFreshSeconds }

/** A new login would not help where the issuer's tokens do not say when a login was. */
export type SetUpRefusal = StepUp | 'login_time_unknown'

/** May the caller set up a factor? With an active one that takes a second factor of the last minutes; the first one takes a login of the last minutes. */
export function decideSetUp (user: User, caller: Caller, isCodeDue: boolean, now: Date, { loginFreshSeconds, mfaFreshSeconds }: AssuranceSettings): SetUpRefusal | null {
  if (user.factors.length > 0) return hasFreshMfa(caller, now, mfaFreshSeconds) ? null : { action: 'verify', maxAge: mfaFreshSeconds }
  if (isCodeDue) return hasFreshMfa(caller, now, mfaFreshSeconds) && caller.mfa?.isBypass === true ? null : { action: 'recovery', maxAge: mfaFreshSeconds }
  switch (loginAge(caller.authTime, now, loginFreshSeconds)) {
    case 'fresh': return null
    case 'old': return { action: 'login', maxAge: loginFreshSeconds }
    case 'unknown': return 'login_time_unknown'
  }
}

/** Whose first enrollment needs a code of an administrator. */
export type CodeMode = 'never' | 'roles' | 'always'

/**
 * What a first factor rests on. `due`: a code. `lone`: that nobody is there yet who could give one. `young`: on nothing,
 * where administrators need a code: who becomes one does not administer by it at once. `free`: nothing is asked.
 */
export type CodeRule = 'due' | 'lone' | 'young' | 'free'

/** @param hasAdministrator the tenant has an administrator who has enrolled; asked only where the mode is `roles` */
export function decideCodeRule ({ factors, isAdministrator, isCodeRequired }: User, mode: CodeMode, hasAdministrator: boolean): CodeRule {
  if (factors.length > 0) return 'free'
  if (isCodeRequired || mode === 'always') return 'due'
  if (mode === 'never') return 'free'
  if (isAdministrator) return hasAdministrator ? 'due' : 'lone'
  return hasAdministrator ? 'young' : 'free'
}

export const hasFreshMfa = (caller: Caller, now: Date, maxAgeSeconds: number): boolean =>
  caller.mfa !== undefined && isFresh(caller.authTime, now, maxAgeSeconds)

export type AdminRefusal = 'not_enrolled' | 'forbidden' | StepUp

/**
 * May the caller administer? That takes a fresh second factor which is not a recovery code, nor a factor that was set up
 * after one was accepted, for a day: else one stolen code would make an administrator.
 */
export function decideAdmin (user: User, caller: Caller, now: Date, settings: AssuranceSettings): AdminRefusal | null {
  if (user.factors.length === 0) return 'not_enrolled'
  const stepUp: StepUp = { action: 'verify', maxAge: settings.mfaFreshSeconds }
  if (!hasFreshMfa(caller, now, settings.mfaFreshSeconds) || caller.mfa?.acr !== 'mfa') return stepUp
  const isYoung = ({ afterRecoveryAt }: { afterRecoveryAt: Date | null }): boolean =>
    afterRecoveryAt !== null && now.getTime() - afterRecoveryAt.getTime() < settings.adminFactorAgeSeconds * 1000
  const used = user.factors.find(factor => factor.id === caller.mfa?.factorId)
  if (used !== undefined && !isYoung(used)) return null
  return user.factors.every(isYoung) ? 'forbidden' : stepUp
}
