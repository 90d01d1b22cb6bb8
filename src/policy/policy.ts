/** `report_only`: no user must enroll, and each answer says what `required` would ask. */
export type Enforcement = 'optional' | 'report_only' | 'required'

/** `exempt_sso_only`: by the accounts that the user has; `exempt_sso_session`: by how this session came in. */
export type SsoRule = 'exempt_sso_only' | 'exempt_sso_session' | 'none'

/** Who must prove what cannot be phished: users who were ever seen with an `mfa:` role, or all who must have a factor. */
export type PhishingResistant = 'off' | 'administrators' | 'required'

export interface Policy {
  enforcement: Enforcement
  /** Null: all users. */
  groups: string[] | null
  /** From when the policy first meets a user; each has it once. */
  gracePeriodDays: number
  /** No user must enroll before. */
  enforceFrom: Date | null
  ssoRule: SsoRule
  phishingResistant: PhishingResistant
  /** It binds no one before. */
  phishingResistantFrom: Date | null
  /** For how many days a user may trust a device; 0: not at all. */
  trustedDeviceDays: number
  version: number
  updatedAt: Date | null
  updatedBy: string | null
}

/** A policy as it decides; the bounds are a floor's alone. */
export interface Rule extends Policy { maxGraceDays?: number, maxExemptionDays?: number }

/** What counts for a tenant whose administrators have set nothing. */
export const DEFAULT_POLICY: Readonly<Policy> = {
  enforcement: 'optional',
  groups: null,
  gracePeriodDays: 0,
  enforceFrom: null,
  ssoRule: 'exempt_sso_only',
  phishingResistant: 'off',
  phishingResistantFrom: null,
  trustedDeviceDays: 0,
  version: 0,
  updatedAt: null,
  updatedBy: null
}

export interface Decision {
  action: 'allow' | 'verify' | 'enroll' | 'deny'
  reason:
    | 'mfa_verified'
    | 'idp_mfa'
    | 'trusted_device'
    | 'not_required'
    | 'exempt_sso'
    | 'exempt_user'
    | 'grace'
    | 'report_only'
    | 'factor_enrolled'
    | 'required_by_policy'
    | 'phishing_resistant_required'
    | 'user_disabled'
  /** With `verify`: only this will do. */
  acr?: 'phr'
  /** Until when it is so, RFC 3339: then a factor is required, or only a passkey counts. */
  deadline?: string
  /** What `required` would say, where a report-only policy asks less. */
  wouldBe?: Omit<Decision, 'wouldBe'>
  /** With `enroll`: the login is too old to enroll now. */
  loginFirst?: true
  /** With `enroll`: the token does not say when the login was, and the next one will not say it either. */
  loginTimeUnknown?: true
}

type Time = 'enforceFrom' | 'phishingResistantFrom' | 'updatedAt'

/** A policy as `policy_json` and `find_users` have it. */
export type PolicyRow = Omit<Policy, Time> & Record<Time, string | null>
