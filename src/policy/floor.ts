import type { Decision, Enforcement, PhishingResistant, Policy, Rule, SsoRule } from './policy.ts'

/** What the deployment asks of every tenant at least. A field that is left out binds nothing: there the tenant's counts. */
export interface Floor {
  enforcement?: Enforcement
  groups?: string[] | null
  gracePeriodDays?: number
  enforceFrom?: Date | null
  ssoRule?: SsoRule
  phishingResistant?: PhishingResistant
  phishingResistantFrom?: Date | null
  trustedDeviceDays?: number
  /** How long an administrator may exempt a user. */
  maxExemptionDays?: number
}

/** The rules that each decide by themselves: the tenant's, and the floor's where there is one. */
export function rulesOf (policy: Policy, floor: Floor | null): Rule[] {
  if (floor === null) return [policy]
  const { maxExemptionDays, ...fields } = floor
  return [policy, {
    ...policy,
    ...fields,
    ...(floor.gracePeriodDays !== undefined && { maxGraceDays: floor.gracePeriodDays }),
    ...(maxExemptionDays !== undefined && { maxExemptionDays })
  }]
}

type Allowance = Omit<Decision, 'wouldBe'>

/** Reasons by how much they ask. A user with a factor and one without are never compared. */
const BY_STRICTNESS: Array<Decision['reason']> = [
  'not_required',
  'exempt_sso',
  'exempt_user',
  'report_only',
  'grace',
  'factor_enrolled',
  'required_by_policy',
  'phishing_resistant_required'
]

/** The stricter of two decisions about the same session; the first where they ask the same. */
export function stricter (one: Decision, other: Decision): Decision {
  const difference = BY_STRICTNESS.indexOf(other.reason) - BY_STRICTNESS.indexOf(one.reason)
  if (difference !== 0) return difference > 0 ? other : one
  if (one.deadline !== undefined && other.deadline !== undefined) return other.deadline < one.deadline ? other : one
  if (one.wouldBe === undefined || other.wouldBe === undefined) return one
  return { ...one, wouldBe: stricter(one.wouldBe, other.wouldBe) as Allowance }
}

const ENFORCEMENTS: Enforcement[] = ['optional', 'report_only', 'required']
const SSO_RULES: SsoRule[] = ['exempt_sso_session', 'exempt_sso_only', 'none']
const PHISHING_RESISTANT: PhishingResistant[] = ['off', 'administrators', 'required']

export type PolicyFields = Omit<Policy, 'version' | 'updatedAt' | 'updatedBy'>

/** Which fields of a change ask less than the floor does. */
export function fieldsBelow (change: Partial<PolicyFields>, floor: Floor | null): Array<keyof PolicyFields> {
  if (floor === null) return []
  const isLater = (given: Date | null, least: Date | null): boolean => given !== null && (least === null || given > least)
  const isBelow: { [F in keyof PolicyFields]: (given: PolicyFields[F], least: PolicyFields[F]) => boolean } = {
    enforcement: (given, least) => ENFORCEMENTS.indexOf(given) < ENFORCEMENTS.indexOf(least),
    groups: (given, least) => given !== null && (least === null || least.some(group => !given.includes(group))),
    gracePeriodDays: (given, least) => given > least,
    enforceFrom: isLater,
    ssoRule: (given, least) => SSO_RULES.indexOf(given) < SSO_RULES.indexOf(least),
    phishingResistant: (given, least) => PHISHING_RESISTANT.indexOf(given) < PHISHING_RESISTANT.indexOf(least),
    // All users may have longer than the floor's administrators, who are bound by the floor itself.
    phishingResistantFrom: (given, least) =>
      !(change.phishingResistant === 'required' && floor.phishingResistant === 'administrators') && isLater(given, least),
    trustedDeviceDays: (given, least) => given > least
  }
  const isFieldBelow = <F extends keyof PolicyFields>(field: F): boolean => {
    const [given, least] = [change[field], (floor as Partial<PolicyFields>)[field]]
    return given !== undefined && least !== undefined && isBelow[field](given as PolicyFields[F], least as PolicyFields[F])
  }
  return (Object.keys(isBelow) as Array<keyof PolicyFields>).filter(isFieldBelow)
}
