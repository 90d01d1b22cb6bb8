/** `report_only`: no user must enroll, and each answer says what `required` would ask. */
export type Enforcement = 'optional' | 'report_only' | 'required'

/** `exempt_sso_only`: by the accounts that the user has; `exempt_sso_session`: by how this session came in. */
export type SsoRule = 'exempt_sso_only' | 'exempt_sso_session' | 'none'

export interface Policy {
  enforcement: Enforcement
  /** Null: all users. */
  groups: string[] | null
  /** From when the policy first meets a user; each has it once. */
  gracePeriodDays: number
  /** No user must enroll before. */
  enforceFrom: Date | null
  ssoRule: SsoRule
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
  version: 0,
  updatedAt: null,
  updatedBy: null
}

export interface Decision {
  action: 'allow' | 'verify' | 'enroll' | 'deny'
  reason:
    | 'mfa_verified'
    | 'idp_mfa'
    | 'not_required'
    | 'exempt_sso'
    | 'exempt_user'
    | 'grace'
    | 'report_only'
    | 'factor_enrolled'
    | 'required_by_policy'
    | 'user_disabled'
  /** With `grace`: until when, RFC 3339. */
  deadline?: string
  /** With `report_only`: what `required` would say. */
  wouldBe?: Omit<Decision, 'wouldBe'>
  /** With `enroll`: the login is too old to enroll now. */
  loginFirst?: true
  /** With `enroll`: the token does not say when the login was, and the next one will not say it either. */
  loginTimeUnknown?: true
}

/** A policy as `policy_json` and `find_users` have it. */
export interface PolicyRow extends Omit<Policy, 'enforceFrom' | 'updatedAt'> { enforceFrom: string | null, updatedAt: string | null }
