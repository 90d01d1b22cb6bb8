import { type Caller, isAtLeast } from '../http/auth/caller.ts'
import type { KeyRing } from '../keys/keys.ts'
import { unixSeconds } from '../platform/time.ts'
import { countsStill, type DecisionSettings, trustedDeviceDays } from '../policy/decide.ts'
import { type AssuranceSettings, hasFreshMfa, type StepUp } from '../sessions/assurance.ts'
import type { Authentication } from '../sessions/mfa-token.ts'
import type { User, WholeUser } from '../users/user.ts'
import { deviceEnd, isDevice, readDeviceToken } from './device.ts'

/** Only of a session that is remembered can it be ended what a device has lifted. */
const isOffered = ({ session }: Caller, days: number): boolean => days > 0 && session?.isRemembered === true

export type TrustDecision =
  | { outcome: 'not_offered' }
  | { outcome: 'not_enrolled' }
  | { outcome: 'step_up', stepUp: StepUp }
  | { outcome: 'trust', factorId: string, earnedAt: number, endsAt: number }

/**
 * May the caller trust the device that they use? That takes a factor of their own, proved in the last minutes: not a recovery code, the
 * identity provider's MFA or another device.
 */
export function decideTrust (user: User, caller: Caller, now: Date, settings: AssuranceSettings): TrustDecision {
  const days = trustedDeviceDays(user, settings)
  if (!isOffered(caller, days)) return { outcome: 'not_offered' }
  if (user.factors.length === 0) return { outcome: 'not_enrolled' }
  const { mfa, authTime } = caller
  if (mfa === undefined || authTime === undefined || !isAtLeast(mfa.acr, 'mfa') || !hasFreshMfa(caller, now, settings.mfaFreshSeconds)) {
    return { outcome: 'step_up', stepUp: { action: 'verify', maxAge: settings.mfaFreshSeconds } }
  }
  return { outcome: 'trust', factorId: mfa.factorId, earnedAt: authTime, endsAt: deviceEnd(authTime, days) }
}

/** Why a device is refused, for the audit alone: the caller is never told. */
export type RefusalCause = 'not_offered' | 'unknown' | 'expired'

export type UseDecision =
  | { outcome: 'refused', cause: RefusalCause }
  | { outcome: 'lift', deviceId: string, mac: Buffer, days: number, authentication: Authentication & { endsAt: number } }

export interface UseSettings extends DecisionSettings { sessionSeconds: number }

/**
 * Does this device lift the caller's login session? What it gives is worth what it was earned by, and as old; the session is lifted for no
 * longer than the device itself may be used.
 */
export function decideUse (user: WholeUser, caller: Caller, deviceToken: string, peppers: KeyRing, settings: UseSettings): UseDecision {
  const days = trustedDeviceDays(user, settings)
  if (!isOffered(caller, days)) return { outcome: 'refused', cause: 'not_offered' }
  const token = readDeviceToken(deviceToken)
  const device = user.devices.find(({ id }) => id === token?.id)
  if (token === null || device === undefined || !isDevice(peppers, { ...user, ...device }, token.secret)) {
    return { outcome: 'refused', cause: 'unknown' }
  }
  const { id, mac, factorId, earnedAt } = device
  if (!countsStill({ acr: 'mfa-device', authTime: earnedAt }, user, settings)) return { outcome: 'refused', cause: 'expired' }
  const endsAt = Math.min(unixSeconds(user.readAt) + settings.sessionSeconds, deviceEnd(earnedAt, days))
  return {
    outcome: 'lift',
    deviceId: id,
    mac,
    days,
    authentication: { acr: 'mfa-device', methods: [], factorId, authTime: earnedAt, endsAt }
  }
}
