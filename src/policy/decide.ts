import type { Acr, Caller, LoginType } from '../http/auth/caller.ts'
import { isFresh, type LoginAge, loginAge } from '../platform/time.ts'
import { areGroupsUnknown, groupsOf, isSsoOnly } from '../users/sources.ts'
import type { Factor, User } from '../users/user.ts'
import { type Floor, rulesOf, stricter } from './floor.ts'
import type { Decision, Rule } from './policy.ts'

/** What the decision takes from the token. */
export type Proof = Pick<Caller, 'mfa' | 'isIdpMfa' | 'isIdpPhr' | 'authTime'> & { issuerClaims: { loginType: LoginType } | undefined }

/** What of a factor says whether it can be proved. */
export type ProvableFactor = Pick<Factor, 'kind'> & { credential: { rpId: string } | null }

/** What the decision takes from the user. */
export type DecisionInput =
  & Pick<
    User,
    'tenant' | 'isDisabled' | 'isAdministrator' | 'sources' | 'policyMetAt' | 'graceUntil' | 'exemption' | 'readAt' | 'policy'
  >
  & { factors: readonly ProvableFactor[], session: Pick<User['session'], 'authentication'> }

export interface DecisionSettings {
  /** Sources that still count: the configured issuers, and what was synced. What any other source claims does not count. */
  issuers: ReadonlySet<string>
  loginFreshSeconds: number
  floor: Floor | null
  /** Has the user a factor that proves so much, as the service is configured now? */
  canProve: (acr: Acr, user: Pick<DecisionInput, 'tenant' | 'factors'>) => boolean
}

/**
 * May this session pass? The first rule that holds answers; of the tenant's policy and the deployment's floor, each by
 * itself, the stricter one. Then whether only what cannot be phished counts.
 * @param proof an MFA token in it is of the user's present epoch: the caller has checked that
 * @param now of the login's age alone: deadlines and exemptions end by the database's clock (`user.readAt`)
 */
export function decide (user: DecisionInput, proof: Proof, now: Date, settings: DecisionSettings): Decision {
  if (user.isDisabled) return { action: 'deny', reason: 'user_disabled' }
  const rules = rulesOf(user.policy, settings.floor)
  const decision = decideBy(rules, user, proof, now, settings)
  const required = rules.map(asRequired)
  const since = firstPhr(rules, user, proof, now, settings)
  const wouldBeSince = firstPhr(required, user, proof, now, settings)
  if (wouldBeSince === null || (since !== null && since <= wouldBeSince) || hasProvedPhr(user, proof)) return decision
  const wouldBe = decideBy(required, user, proof, now, settings)
  if (decision.reason === 'factor_enrolled') return { ...decision, wouldBe }
  const report: Decision = { action: 'allow', reason: 'report_only', wouldBe }
  return isProved(decision) ? { ...decision, ...report } : stricter(decision, report)
}

/** Of a draft or a report, report-only counts as if required. */
export const asRequired = (rule: Rule): Rule => ({ ...rule, ...(rule.enforcement === 'report_only' && { enforcement: 'required' }) })

function decideBy (rules: Rule[], user: DecisionInput, proof: Proof, now: Date, settings: DecisionSettings): Decision {
  const decision = decideByAny(rules, user, proof, now, settings)
  const since = firstPhr(rules, user, proof, now, settings)
  if (since === null || hasProvedPhr(user, proof)) return decision
  if (since > user.readAt) return withDeadline(decision, user, since.toISOString())
  if (settings.canProve('phr', user)) return { action: 'verify', reason: 'phishing_resistant_required', acr: 'phr' }
  return {
    action: 'enroll',
    reason: 'phishing_resistant_required',
    // A further factor takes no new login.
    ...(user.factors.length === 0 && LOGIN_HINT[loginAge(proof.authTime, now, settings.loginFreshSeconds)])
  }
}

/** Where any second factor counts. */
function decideByAny (rules: Rule[], user: DecisionInput, proof: Proof, now: Date, settings: DecisionSettings): Decision {
  const acrs = provedAcrs(user, proof, settings)
  if (acrs.some(acr => acr !== 'mfa-device')) return { action: 'allow', reason: 'mfa_verified' }
  if (proof.isIdpMfa) return { action: 'allow', reason: 'idp_mfa' }
  if (acrs.length > 0) return { action: 'allow', reason: 'trusted_device' }
  return rules.map(rule => decideUnder(rule, user, proof, now, settings)).reduce(stricter)
}

/** What a second factor of the session was worth, by its token and as it is remembered, as far as it counts still. */
const provedAcrs = (user: DecisionInput, { mfa, authTime }: Proof, settings: DecisionSettings): Acr[] =>
  [mfa === undefined ? null : { acr: mfa.acr, authTime }, user.session.authentication].flatMap(proved =>
    proved !== null && countsStill(proved, user, settings) ? [proved.acr] : []
  )

/**
 * For how many days this user may trust a device; 0: not at all, as where only a passkey counts of them. It is asked anew at each use,
 * and in each decision.
 */
export function trustedDeviceDays (user: DecisionInput, settings: DecisionSettings): number {
  if (user.isAdministrator || isPhrRequired(user, user.readAt, settings)) return 0
  return Math.min(...rulesOf(user.policy, settings.floor).map(rule => rule.trustedDeviceDays))
}

/** Does what was proved count still? Of a device's the age is asked, by the database's clock and the policy of now. */
export function countsStill (
  { acr, authTime }: { acr: Acr | 'idp-mfa', authTime: number | undefined },
  user: DecisionInput,
  settings: DecisionSettings
): boolean {
  if (acr !== 'mfa-device') return true
  const days = trustedDeviceDays(user, settings)
  return days > 0 && isFresh(authTime, user.readAt, days * DAY_SECONDS)
}

export const DAY_SECONDS = 86_400

const hasProvedPhr = ({ session }: Pick<DecisionInput, 'session'>, { mfa, isIdpPhr }: Proof): boolean =>
  [mfa?.acr, session.authentication?.acr].includes('phr') || isIdpPhr

const isProved = ({ reason }: Decision): boolean => reason === 'mfa_verified' || reason === 'idp_mfa'

/** Who has no second factor yet has until then to set one up; of any other the same is asked as before, and until then. */
const withDeadline = (decision: Decision, { factors }: DecisionInput, deadline: string): Decision =>
  factors.length > 0 || isProved(decision)
    ? { ...decision, deadline }
    : stricter(decision, { action: 'allow', reason: 'grace', deadline })

const BEGINNING = new Date(0)

/** From when on only what cannot be phished counts of this user in this session; null if that is never. */
function firstPhr (rules: Rule[], user: DecisionInput, proof: Proof, now: Date, settings: DecisionSettings): Date | null {
  const times = rules.flatMap(rule => phrUnder(rule, user, proof, now, settings) ?? [])
  return times.length === 0 ? null : times.reduce(earlier)
}

/** An administrator is bound whatever else the rule says; any other user where they must have a factor, and from then on. */
function phrUnder (rule: Rule, user: DecisionInput, proof: Proof, now: Date, settings: DecisionSettings): Date | null {
  const from = rule.phishingResistantFrom ?? BEGINNING
  switch (rule.phishingResistant) {
    case 'off': return null
    case 'administrators': return user.isAdministrator ? from : null
    case 'required': {
      // An MFA token does not say how its session came in.
      const session = proof.issuerClaims === undefined ? usualSession(user, now, settings) : proof
      return doesAsk(rule, user, session, now, settings) ? later(deadlineOf(rule, user), from) : null
    }
  }
}

/** Does an enforcing rule ask a second factor of them, now or once their grace is over? Whether they have one plays no part. */
const doesAsk = (rule: Rule, user: DecisionInput, proof: Proof, now: Date, settings: DecisionSettings): boolean =>
  rule.enforcement === 'required' &&
  ['grace', 'required_by_policy'].includes(decideUnder(rule, { ...user, factors: [] }, proof, now, settings).reason)

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
const later = (one: Date, other: Date): Date => one > other ? one : other

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
  return later(own, enforceFrom ?? BEGINNING)
}

/**
 * How many days a user is given if an enforcing policy meets them with this session for the first time; null if none
 * does. Factors play no part, so that a reset opens no new grace; an exemption does, as nothing is asked of them yet.
 */
export function firstGraceDays (user: User, proof: Proof, now: Date, settings: DecisionSettings): number | null {
  if (user.graceUntil !== null) return null
  const meeting = rulesOf(user.policy, settings.floor).filter(rule => doesAsk(rule, user, proof, now, settings))
  return meeting.length === 0 ? null : Math.min(...meeting.map(rule => rule.gracePeriodDays))
}

/** The session of a user who has proved no second factor: by SSO if that is all they have, and just now. */
export const usualSession = ({ sources }: Pick<User, 'sources'>, now: Date, { issuers }: DecisionSettings): Proof => ({
  mfa: undefined,
  isIdpMfa: false,
  isIdpPhr: false,
  authTime: Math.floor(now.getTime() / 1000),
  issuerClaims: { loginType: isSsoOnly(sources, issuers) ? 'sso' : 'local' }
})

/** Would this user have to have a factor? What forbids the removal of the last one. */
export const isMfaRequired = (user: User, now: Date, settings: DecisionSettings): boolean =>
  decide({ ...user, factors: [], session: { authentication: null } }, usualSession(user, now, settings), now, settings).action === 'enroll'

/**
 * From when on only what cannot be phished counts of this user in a usual session; null if that is never. With another policy than
 * theirs, from when it would.
 */
export const phrSince = (user: DecisionInput, now: Date, settings: DecisionSettings, policy = user.policy): Date | null =>
  firstPhr(rulesOf(policy, settings.floor), user, usualSession(user, now, settings), now, settings)

/** Does only that count by now, of the user or of the session that asks? */
export function isPhrRequired (
  user: DecisionInput,
  now: Date,
  settings: DecisionSettings,
  proof = usualSession(user, now, settings)
): boolean {
  const since = firstPhr(rulesOf(user.policy, settings.floor), user, proof, now, settings)
  return since !== null && since <= user.readAt
}
