import type { AuditMemory } from './audit/memory.ts'
import type { Secrets, Settings } from './config/secrets.ts'
import type { FactorKinds } from './factors/registry.ts'
import { MAX_WAIT_SECONDS, type ThrottleLimits } from './factors/throttle/throttle.ts'
import type { Guard } from './guard.ts'
import type { Auth } from './http/auth/auth.ts'
import type { Caller } from './http/auth/caller.ts'
import type { Refusals } from './http/auth/refusals.ts'
import type { Metrics } from './http/plugins/metrics.ts'
import type { Hashing } from './platform/bcrypt/hashing.ts'
import type { Database } from './platform/db/client.ts'
import type { DecisionSettings } from './policy/decide.ts'
import type { AssuranceSettings } from './sessions/assurance.ts'
import type { RevocationPoll } from './sessions/revocations.sql.ts'
import { SYNCED } from './users/sources.ts'

/** What routes are given. */
export interface Services {
  config: Settings
  /** The keys as they are now: ask at each use. */
  secrets: Secrets
  db: Database
  kinds: FactorKinds
  auth: Auth
  clock: () => Date
  guard: Guard
  hasher: Hashing
  metrics: Metrics
  revocations: RevocationPoll
  memory: AuditMemory
  /** Tells the operator why a token is refused, where that is no error that is answered. */
  refusals: Refusals
  /** Tells the operator that no user can set up a first factor by the tokens of this caller's issuer. */
  warnOfLoginTime: (caller: Caller) => void
}

export const assuranceSettings = (config: Settings, kinds: FactorKinds): AssuranceSettings => ({
  ...decisionSettings(config, kinds),
  mfaFreshSeconds: config.MFA_FRESH_SECONDS,
  adminFactorAgeSeconds: config.ADMIN_FACTOR_AGE_SECONDS
})

export const decisionSettings = (
  config: Pick<Settings, 'ISSUERS' | 'LOGIN_FRESH_SECONDS' | 'POLICY_FLOOR' | 'PASSKEYS'>,
  kinds: FactorKinds
): DecisionSettings => ({
  issuers: new Set([SYNCED, ...config.ISSUERS.map(({ issuer }) => issuer)]),
  loginFreshSeconds: config.LOGIN_FRESH_SECONDS,
  floor: config.POLICY_FLOOR ?? null,
  canProve: (acr, user) => kinds.canProve(acr, user, config)
})

export const throttleLimits = (config: Settings): ThrottleLimits => ({
  waits: config.THROTTLE_WAITS,
  maxWait: MAX_WAIT_SECONDS,
  lock: config.THROTTLE_LOCK,
  day: config.THROTTLE_DAY,
  month: config.THROTTLE_MONTH
})
