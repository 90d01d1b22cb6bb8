import type { Caller, LoginType } from '../http/auth/caller.ts'
import { type LoginAge, loginAge } from '../platform/time.ts'
import { areGroupsUnknown, groupsOf, isSsoOnly } from '../users/sources.ts'
import type { User } from '../users/user.ts'
import { type Floor, rulesOf, stricter } from './floor.ts'
import type { Decision, Rule } from './policy.ts'

/** What the decision takes from the token. */
export type Proof = Pick<Caller, 'mfa' | 'isIdpMfa' | 'authTime'> & { issuerClaims: { loginType: LoginType } | undefined }

/** What the decision takes from the user. */
export type DecisionInput = Pick<User, 'isDisabled' | 'sources' | 'policyMetAt' | 'graceUntil' | 'exemption' | 'readAt' | 'policy'> &
  { factors: readonly unknown[], session: Pick<User['session'], 'authentication'> }

export interface DecisionSettings {
  /** Sources that still count: the configured issuers, and what was synced. What any other source claims does not count. */
  issuers: ReadonlySet<string>
  loginFreshSeconds: number
  floor: Floor | null
}

/**
 * May this session pass? The first rule that holds answers; of the tenant's policy and the deployment's floor, each by
 * itself, the stricter one.
 * @param proof an MFA token in it is of the user's present epoch: the caller has checked that
 * @param now of the login's age alone: deadlines and exemptions end by the database's clock (`user.readAt`)
 */
export function decide (user: DecisionInput, proof: Proof, now: Date, settings: DecisionSettings): Decision {
  if (user.isDisabled) return { action: 'deny', reason: 'user_disabled' }
  if (proof.mfa !== undefined || user.session.authentication !== null) return { action: 'allow', reason: 'mfa_verified' }
  if (proof.isIdpMfa) return { action: 'allow', reason: 'idp_mfa' }
  return rulesOf(user.policy, settings.floor).map(rule => decideUnder(rule, user, proof, now, settings)).reduce(stricter)
}

function decideUnder (rule: Rule, user: DecisionInput, proof: Proof, now: Date, settings: DecisionSettings): Decision {
  // A personal token came in by no session: its login type is `api` and never this one.
  if (rule.ssoRule === 'exempt_sso_session' && proof.issuerClaims?.loginType === 'sso') return { action: 'allow', reason: 'exempt_sso' }
  if (user.factors.length > 0) return { action: 'verify', reason: 'factor_enrolled' }
  if (rule.enforcement === 'optional' || !isCovered(rule, user, settings)) return { action: 'allow', reason: 'not_required' }
  if (rule.ssoRule === 'exempt_sso_only' && isSsoOnly(user.sources, settings.issuers)) return { action: 'allow', reason: 'exempt_sso' }
  if (isExempt(rule, user)) return { action: 'allow', reason: 'exempt_user' }
  if (rule.enforcement === 'report_only') {
    return {
      action: 'allow',
      reason: 'report_only',
      wouldBe: decideUnder({ ...rule, enforcement: 'required' }, user, proof, now, settings)
    }
  }
  const deadline = deadlineOf(rule, user)
  if (deadline > user.readAt) return { action: 'allow', reason: 'grace', deadline: deadline.toISOString() }
  return {
    action: 'enroll',
    reason: 'required_by_policy',
    ...LOGIN_HINT[loginAge(proof.authTime, now, settings.loginFreshSeconds)]
  }
}

const LOGIN_HINT: Record<LoginAge, Pick<Decision, 'loginFirst' | 'loginTimeUnknown'>> = {
  fresh: {},
  old: { loginFirst: true },
  unknown: { loginTimeUnknown: true }
}

/** A policy for groups covers the users in one of them, and those whose groups are not all known. */
function isCovered ({ groups }: Rule, { sources }: DecisionInput, { issuers }: DecisionSettings): boolean {
  return groups === null || areGroupsUnknown(sources, issuers) || groupsOf(sources, issuers).some(group => groups.includes(group))
}

const addDays = (date: Date, days: number): Date => new Date(date.getTime() + days * 86_400_000)
const earlier = (one: Date, other: Date): Date => one < other ? one : other

/** Until when an exemption counts: its own end, or the floor's; null for none. */
export function exemptionEnd (
  { maxExemptionDays }: Pick<Rule, 'maxExemptionDays'>,
  { since, until }: NonNullable<User['exemption']>
): Date | null {
  if (maxExemptionDays === undefined) return until
  const bound = addDays(since, maxExemptionDays)
  return until === null ? bound : earlier(until, bound)
}

function isExempt (rule: Rule, { exemption, readAt }: DecisionInput): boolean {
  if (exemption === null) return false
  const end = exemptionEnd(rule, exemption)
  return end === null || end > readAt
}

/**
 * The later of the user's own deadline and the policy's date. A user that no policy has met yet is met now, so that what is
 * answered before and after is the same. A floor's grace counts from that meeting, whatever the user was given.
 */
function deadlineOf ({ gracePeriodDays, enforceFrom, maxGraceDays }: Rule, { graceUntil, policyMetAt, readAt }: DecisionInput): Date {
  const given = graceUntil ?? addDays(readAt, gracePeriodDays)
  const own = maxGraceDays === undefined ? given : earlier(given, addDays(policyMetAt ?? readAt, maxGraceDays))
  return enforceFrom !== null && enforceFrom > own ? enforceFrom : own
}

/**
 * How many days a user is given if an enforcing policy meets them with this session for the first time; null if none
 * does. Factors play no part, so that a reset opens no new grace; an exemption does, as nothing is asked of them yet.
 */
export function firstGraceDays (user: User, proof: Proof, now: Date, settings: DecisionSettings): number | null {
  if (user.graceUntil !== null) return null
  const meeting = rulesOf(user.policy, settings.floor).filter(rule => rule.enforcement === 'required' &&
    ['grace', 'required_by_policy'].includes(decideUnder(rule, { ...user, factors: [] }, proof, now, settings).reason))
  return meeting.length === 0 ? null : Math.min(...meeting.map(rule => rule.gracePeriodDays))
}

/** The session of a user who has proved no second factor: by SSO if that is all they have, and just now. */
export const usualSession = ({ sources }: Pick<User, 'sources'>, now: Date, { issuers }: DecisionSettings): Proof => ({
  mfa: undefined,
  isIdpMfa: false,
  authTime: Math.floor(now.getTime() / 1000),
  issuerClaims: { loginType: isSsoOnly(sources, issuers) ? 'sso' : 'local' }
})

/** Would this user have to have a factor? What forbids the removal of the last one. */
export const isMfaRequired = (user: User, now: Date, settings: DecisionSettings): boolean =>
  decide({ ...user, factors: [], session: { authentication: null } }, usualSession(user, now, settings), now, settings).action === 'enroll'
