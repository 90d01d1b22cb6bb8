import type { Caller } from './caller.ts'
import type { Person, SourceWord } from './person.ts'

export type Enforcement = 'optional' | 'required'

export interface Policy {
  enforcement: Enforcement
  ssoRule: 'exempt_sso_only'
  version: number
  updatedAt: Date | null
  updatedBy: string | null
}

/** What counts for a tenant whose administrators have set nothing. */
export const DEFAULT_POLICY: Readonly<Policy> = { enforcement: 'optional', ssoRule: 'exempt_sso_only', version: 0, updatedAt: null, updatedBy: null }

export interface Decision {
  action: 'allow' | 'verify' | 'enroll' | 'deny'
  reason: 'mfa_verified' | 'idp_mfa' | 'not_required' | 'exempt_sso' | 'factor_enrolled' | 'required_by_policy' | 'user_disabled'
  /** With `enroll`: the login is too old to enroll now. */
  loginFirst?: true
}

/** What the decision takes from the token. */
export type Proof = Pick<Caller, 'mfa' | 'isIdpMfa' | 'authTime'>

export interface DecisionSettings {
  /** Issuers that still count; the word of any other says nothing. */
  issuers: ReadonlySet<string>
  loginFreshSeconds: number
}

/**
 * May this session pass? The first rule that holds answers.
 * @param proof an MFA token in it is of the person's present epoch: the caller has checked that
 */
export function decide (person: Person, proof: Proof, now: Date, settings: DecisionSettings): Decision {
  if (person.isDisabled) return { action: 'deny', reason: 'user_disabled' }
  if (proof.mfa !== undefined || person.session.act !== null) return { action: 'allow', reason: 'mfa_verified' }
  if (proof.isIdpMfa) return { action: 'allow', reason: 'idp_mfa' }
  if (person.factors.length > 0) return { action: 'verify', reason: 'factor_enrolled' }
  if (person.policy.enforcement === 'optional') return { action: 'allow', reason: 'not_required' }
  if (isSsoOnly(person.sources, settings.issuers)) return { action: 'allow', reason: 'exempt_sso' }
  return {
    action: 'enroll',
    reason: 'required_by_policy',
    ...(!isFresh(proof.authTime, now, settings.loginFreshSeconds) && { loginFirst: true })
  }
}

/** Would this person have to have a factor? What forbids the removal of the last one. */
export const isMfaRequired = (person: Person, now: Date, settings: DecisionSettings): boolean =>
  decide({ ...person, factors: [], session: { generation: 0, act: null } }, { mfa: undefined, isIdpMfa: false, authTime: undefined }, now, settings).action === 'enroll'

/** Every source that still counts says SSO and none says local. Of whom no account is known, this exempts nobody. */
export function isSsoOnly (sources: Record<string, SourceWord>, issuers: ReadonlySet<string>): boolean {
  const words = Object.entries(sources).filter(([issuer]) => issuers.has(issuer)).map(([, word]) => word)
  return words.some(word => word.sso === true) && !words.some(word => word.local === true)
}

/** Seconds of clock difference that two machines may have. */
export const CLOCK_SKEW_SECONDS = 60

export const isFresh = (authTime: number | undefined, now: Date, maxAgeSeconds: number): boolean =>
  authTime !== undefined && now.getTime() / 1000 - authTime <= maxAgeSeconds
