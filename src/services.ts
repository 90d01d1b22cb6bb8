import type { Config } from './config.ts'
import type { Caller } from './core/caller.ts'
import type { AssuranceSettings } from './core/assurance.ts'
import type { Hasher } from './core/hashing.ts'
import { type Act, mfaTokenClaims } from './core/mfa-token.ts'
import type { DecisionSettings } from './core/policy.ts'
import { MAX_WAIT_SECONDS, type ThrottleLimits } from './core/throttle.ts'
import type { Database } from './db/client.ts'
import type { Auth } from './http/auth.ts'
import type { Gate } from './gate.ts'

/** What features are given; nothing in them is made by a feature. */
export interface Services {
  config: Config
  db: Database
  auth: Auth
  clock: () => Date
  gate: Gate
  hasher: Hasher
}

export const assuranceSettings = (config: Config): AssuranceSettings => ({
  loginFreshSeconds: config.LOGIN_FRESH_SECONDS,
  mfaFreshSeconds: config.MFA_FRESH_SECONDS,
  adminFactorAgeSeconds: config.ADMIN_FACTOR_AGE_SECONDS
})

export const decisionSettings = (config: Config): DecisionSettings => ({
  issuers: new Set(config.ISSUERS.map(({ issuer }) => issuer)),
  loginFreshSeconds: config.LOGIN_FRESH_SECONDS
})

export const throttleLimits = (config: Config): ThrottleLimits => ({
  waits: config.THROTTLE_WAITS,
  maxWait: MAX_WAIT_SECONDS,
  lock: config.THROTTLE_LOCK,
  day: config.THROTTLE_DAY,
  month: config.THROTTLE_MONTH
})

export interface TokenAnswer { token: string, tokenType: 'Bearer', expiresIn: number, acr: string, amr: string[] }

/** An MFA token for the caller after `act`, as every call answers it. `person` gives user and epoch. */
export function issueToken ({ auth, config, clock }: Services, caller: Caller, person: { userId: string, epoch: number }, act: Act): TokenAnswer {
  const claims = mfaTokenClaims(caller, person.userId, person.epoch, act, clock(), {
    issuer: config.MFA_ISSUER, audience: config.MFA_AUDIENCE, tokenSeconds: config.MFA_TOKEN_SECONDS
  })
  return { token: auth.sign(claims), tokenType: 'Bearer', expiresIn: claims.exp - claims.iat, acr: claims.acr, amr: claims.amr }
}
