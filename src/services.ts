import type { Secrets, Settings } from './config/secrets.ts'
import type { AuditMemory } from './core/audit-memory.ts'
import type { Caller } from './core/caller.ts'
import type { AssuranceSettings } from './core/assurance.ts'
import type { Hashing } from './core/hashing.ts'
import { type Act, actToRemember, mfaTokenClaims, type TokenSubject } from './core/mfa-token.ts'
import type { User } from './core/user.ts'
import type { DecisionSettings } from './core/policy.ts'
import { SYNCED } from './core/sources.ts'
import { MAX_WAIT_SECONDS, type ThrottleLimits } from './core/throttle.ts'
import type { Database } from './db/client.ts'
import type { FactorKinds } from './factors/registry.ts'
import type { RevocationPoll } from './db/revocations.ts'
import type { Auth } from './http/auth.ts'
import type { Gate } from './gate.ts'
import type { Metrics } from './http/metrics.ts'
import { Problem } from './http/problem.ts'
import type { Refusals } from './http/refusals.ts'

/** What features are given; nothing in them is made by a feature. */
export interface Services {
  config: Settings
  /** The keys as they are now: ask at each use. */
  secrets: Secrets
  db: Database
  kinds: FactorKinds
  auth: Auth
  clock: () => Date
  gate: Gate
  hasher: Hashing
  metrics: Metrics
  revocations: RevocationPoll
  memory: AuditMemory
  /** Tells whoever runs the service why a token is refused, where that is no error that is answered. */
  refusals: Refusals
  /** Tells the operator that nobody can set up a first factor by the tokens of this caller's issuer. */
  warnOfLoginTime: (caller: Caller) => void
}

export const assuranceSettings = (config: Settings): AssuranceSettings => ({
  loginFreshSeconds: config.LOGIN_FRESH_SECONDS,
  mfaFreshSeconds: config.MFA_FRESH_SECONDS,
  adminFactorAgeSeconds: config.ADMIN_FACTOR_AGE_SECONDS
})

export const decisionSettings = (config: Pick<Settings, 'ISSUERS' | 'LOGIN_FRESH_SECONDS' | 'POLICY_FLOOR'>): DecisionSettings => ({
  issuers: new Set([SYNCED, ...config.ISSUERS.map(({ issuer }) => issuer)]),
  loginFreshSeconds: config.LOGIN_FRESH_SECONDS,
  floor: config.POLICY_FLOOR ?? null
})

export const throttleLimits = (config: Settings): ThrottleLimits => ({
  waits: config.THROTTLE_WAITS,
  maxWait: MAX_WAIT_SECONDS,
  lock: config.THROTTLE_LOCK,
  day: config.THROTTLE_DAY,
  month: config.THROTTLE_MONTH
})

export interface TokenAnswer { token: string, tokenType: 'Bearer', expiresIn: number, acr: string, amr: string[] }

/** An MFA token for the caller after `act`, as every call answers it, for us or for an application. */
export function issueToken ({ auth, config, clock, kinds, metrics }: Services, caller: Caller, subject: TokenSubject, act: Act, audience = config.MFA_AUDIENCE): TokenAnswer {
  const claims = mfaTokenClaims(caller, subject, act, clock(), {
    issuer: config.MFA_ISSUER, audience, tokenSeconds: config.MFA_TOKEN_SECONDS, secondMethods: kinds.methods
  })
  const token = metrics.time('sign_token', () => auth.sign(claims))
  return { token, tokenType: 'Bearer', expiresIn: claims.exp - claims.iat, acr: claims.acr, amr: claims.amr }
}

/** The act as its settlement is to remember it, or null; `epoch` is the user's once it is settled. */
export const remembered = ({ config, secrets }: Services, { tenant, userId, epoch }: Pick<User, 'tenant' | 'userId' | 'epoch'>, caller: Caller, act: Act): object | null =>
  actToRemember({ tenant, userId, epoch }, caller, act, config.MFA_SESSION_MAX_AGE_SECONDS, secrets.peppers)

/** The token of a settlement that has remembered `act`. */
export const issueSettled = (services: Services, caller: Caller, { userId, epoch }: { userId: string, epoch: number }, act: Act, { generation }: { generation: number | null }, audience?: string): TokenAnswer =>
  issueToken(services, caller, { userId, epoch, generation: generation ?? 0 }, act, audience)

/** Whom a token is for: us, or one of the configured applications. */
export function checkAudience ({ config }: Services, audience: string | undefined): void {
  if (audience !== undefined && !config.MFA_APPLICATION_AUDIENCES.includes(audience)) {
    throw new Problem('invalid_request', { errors: [{ field: 'audience', message: 'is none of the configured applications (MFA_APPLICATION_AUDIENCES)' }] })
  }
}
