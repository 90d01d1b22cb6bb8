import type { Caller } from './caller.ts'
import type { Person } from './person.ts'
import { isFresh } from './policy.ts'

/** What is missing: RFC 9470's challenge, or the login itself. */
export interface StepUp { action: 'verify' | 'login', maxAge: number }

export interface AssuranceSettings { loginFreshSeconds: number, mfaFreshSeconds: number, adminFactorAgeSeconds: number }

/**
 * May the caller change factors? With an active one that takes a second factor of the last minutes (a recovery code's
 * too); the first one takes a login of the last minutes.
 */
export function decideChange (person: Person, caller: Caller, now: Date, settings: AssuranceSettings): StepUp | null {
  if (person.factors.length === 0) {
    return isFresh(caller.authTime, now, settings.loginFreshSeconds) ? null : { action: 'login', maxAge: settings.loginFreshSeconds }
  }
  return hasFreshMfa(caller, now, settings.mfaFreshSeconds) ? null : { action: 'verify', maxAge: settings.mfaFreshSeconds }
}

export const hasFreshMfa = (caller: Caller, now: Date, maxAgeSeconds: number): boolean =>
  caller.mfa !== undefined && isFresh(caller.authTime, now, maxAgeSeconds)

export type AdminRefusal = 'not_enrolled' | 'forbidden' | StepUp

/**
 * May the caller administer? That takes a fresh second factor which is not a recovery code, nor a factor that was set up
 * after one was accepted, for a day: else one stolen code would make an administrator.
 */
export function decideAdmin (person: Person, caller: Caller, now: Date, settings: AssuranceSettings): AdminRefusal | null {
  if (person.factors.length === 0) return 'not_enrolled'
  const stepUp: StepUp = { action: 'verify', maxAge: settings.mfaFreshSeconds }
  if (!hasFreshMfa(caller, now, settings.mfaFreshSeconds) || caller.mfa?.acr !== 'mfa') return stepUp
  const isYoung = ({ afterRecoveryAt }: { afterRecoveryAt: Date | null }): boolean =>
    afterRecoveryAt !== null && now.getTime() - afterRecoveryAt.getTime() < settings.adminFactorAgeSeconds * 1000
  const used = person.factors.find(factor => factor.id === caller.mfa?.factorId)
  if (used !== undefined && !isYoung(used)) return null
  return person.factors.every(isYoung) ? 'forbidden' : stepUp
}
