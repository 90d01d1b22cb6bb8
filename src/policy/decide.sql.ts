import sql, { join, type Sql } from 'sql-template-tag'
import { PASSKEY_KIND } from '../factors/passkeys/passkey.ts'
import type { Rule } from './policy.ts'

/**
 * The decision function's rules as SQL, for many users at once: a test holds the two against each other. They are
 * about the columns of `users`, and as of the statement's time. Only what a rule asks stands in the statement.
 */

/** What is asked of a user without a factor, in a typical session: the reasons by how much they ask. */
export const STRICTNESS = { notRequired: 0, exempt: 1, reportOnly: 2, grace: 3, required: 4 } as const

/** What a user is judged by. Where it is not given, their own columns. */
export interface Facts { isCovered?: Sql, isExempt?: Sql, isGraced?: Sql, deadline?: Sql, isAdministrator?: Sql }

/** The entries in `accounts` and `groups` with which any of the sources claims one of the values. */
const entries = (sources: readonly string[], values: readonly string[]): string[] =>
  sources.flatMap(source => values.map(value => `${source}\n${value}`))

export const isSsoOnly = (sources: readonly string[]): Sql =>
  sql`(accounts && ${entries(sources, ['sso'])}::text[] AND NOT accounts && ${entries(sources, ['local'])}::text[])`

export const isInGroup = (sources: readonly string[], group: string): Sql => sql`groups && ${entries(sources, [group])}::text[]`

/**
 * The entries of a row's `groups`, each group once, for `groupOf`. Most users' groups are of one source; of two that name the
 * same group one entry remains, as if it were synced.
 */
export const distinctGroups = (sources: readonly string[]): Sql => sql`
  CASE WHEN split_part(groups[1], E'\n', 1) IS NOT DISTINCT FROM split_part(groups[cardinality(groups)], E'\n', 1) THEN groups
  ELSE ARRAY(SELECT DISTINCT E'\n' || split_part(w, E'\n', 2) FROM unnest(groups) AS w WHERE strpos(w, E'\n') > 0
    AND split_part(w, E'\n', 1) = ANY(${sources}::text[])) END`

/** The group that an `entry` names, if its source counts; else null. */
export const groupOf = (sources: readonly string[]): Sql =>
  sql`CASE WHEN split_part(entry, E'\n', 1) = ANY(${sources}::text[]) THEN nullif(split_part(entry, E'\n', 2), '') END`

/** A source left some out: the user may be in any. */
export const areGroupsUnknown = (sources: readonly string[]): Sql => sql`groups && ${sources}::text[]`

const isCovered = ({ groups }: Rule, sources: readonly string[]): Sql =>
  groups === null ? sql`true` : sql`groups && ${[...entries(sources, groups), ...sources]}::text[]`

const days = (count: number): Sql => sql`${count}::int * interval '24 hours'`

/** Does an administrator's exemption count? Until its own end, or the floor's. */
export const isExempt = ({ maxExemptionDays }: Rule): Sql => maxExemptionDays === undefined
  ? sql`(exempt_since IS NOT NULL AND coalesce(exempt_until, 'infinity') > statement_timestamp())`
  : sql`(exempt_since IS NOT NULL AND least(exempt_until, exempt_since + ${days(maxExemptionDays)}) > statement_timestamp())`

/** The later of the user's own deadline and the policy's date; a user that no policy has met yet is met now. */
export function deadline (
  { gracePeriodDays, enforceFrom, maxGraceDays }: Rule,
  graceUntil = sql`grace_until`,
  policyMetAt = sql`policy_met_at`
): Sql {
  const given = sql`coalesce(${graceUntil}, statement_timestamp() + ${days(gracePeriodDays)})`
  const own = maxGraceDays === undefined
    ? given
    : sql`least(${given}, coalesce(${policyMetAt}, statement_timestamp()) + ${days(maxGraceDays)})`
  return enforceFrom === null ? own : sql`greatest(${own}, ${enforceFrom}::timestamptz)`
}

/** The same for a user that no policy has met. */
export const firstDeadline = (rule: Rule): Sql => deadline(rule, sql`NULL::timestamptz`, sql`NULL::timestamptz`)

/**
 * One of STRICTNESS, of a user without a factor and under one rule. Where it asks for a passkey, it asks no more of them than that they
 * set something up; of an administrator it may be all that it asks.
 */
export function strictness (rule: Rule, sources: readonly string[], facts: Facts = {}): Sql {
  const asked = strictnessByAny(rule, sources, facts)
  if (rule.phishingResistant !== 'administrators') return asked
  return sql`CASE WHEN ${facts.isAdministrator ?? IS_ADMINISTRATOR} THEN greatest(${asked}, CASE WHEN ${hasCome(rule)}
    THEN ${STRICTNESS.required}::int ELSE ${STRICTNESS.grace}::int END) ELSE ${asked} END`
}

const IS_ADMINISTRATOR = sql`administrator_at IS NOT NULL`

const phrFrom = ({ phishingResistantFrom }: Rule): Sql => sql`coalesce(${phishingResistantFrom}::timestamptz, '-infinity')`

const hasCome = (rule: Rule): Sql => sql`${phrFrom(rule)} <= statement_timestamp()`

/** By when they must set up a factor, if that is so at all. */
export function deadlineOfOpen (rule: Rule, sources: readonly string[], facts: Facts = {}): Sql {
  const own = sql`CASE WHEN ${strictnessByAny(rule, sources, facts)} >= ${STRICTNESS.grace}::int
    THEN ${facts.deadline ?? deadline(rule)} END`
  return rule.phishingResistant === 'administrators'
    ? sql`least(${own}, CASE WHEN ${facts.isAdministrator ?? IS_ADMINISTRATOR} THEN ${phrFrom(rule)} END)`
    : own
}

/** Does only what cannot be phished count of them under one rule, now or later? */
export function isPhrAsked (rule: Rule, sources: readonly string[], facts: Facts = {}): Sql {
  if (rule.phishingResistant === 'administrators') return facts.isAdministrator ?? IS_ADMINISTRATOR
  return rule.phishingResistant === 'required' && rule.enforcement === 'required'
    ? sql`(${strictnessByAny(rule, sources, facts)} >= ${STRICTNESS.grace}::int)`
    : sql`false`
}

/** Does one of the rules count only that by now? `facts` of each rule, in their order. */
export const isAnyPhrDue = (
  { rules, sources }: { rules: readonly Rule[], sources: readonly string[] },
  facts: readonly Facts[] = []
): Sql => sql`(${join(rules.map((rule, index) => isPhrDue(rule, sources, facts[index])), ' OR ')})`

const isPhrDue = (rule: Rule, sources: readonly string[], facts: Facts = {}): Sql =>
  sql`(${hasCome(rule)} AND ${isPhrAsked(rule, sources, facts)}${
    rule.phishingResistant === 'required' ? sql` AND NOT ${facts.isGraced ?? sql`${deadline(rule)} > statement_timestamp()`}` : sql``})`

/** From when on; null if that is never. */
export const phrSince = (rule: Rule, sources: readonly string[]): Sql =>
  sql`CASE WHEN ${isPhrAsked(rule, sources)} THEN ${
    rule.phishingResistant === 'required' ? sql`greatest(${deadline(rule)}, ${phrFrom(rule)})` : phrFrom(rule)} END`

/** Has the row's user a passkey that can be used, which is one of this relying party? */
export const hasPasskey = (tenant: string, rpId: string | undefined): Sql => rpId === undefined
  ? sql`false`
  : sql`EXISTS (SELECT 1 FROM (SELECT user_id FROM factors WHERE tenant = ${tenant} AND kind = ${PASSKEY_KIND} AND rp_id = ${rpId})
    AS passkeys WHERE user_id = id)`

/** Where any factor will do. */
function strictnessByAny (rule: Rule, sources: readonly string[], facts: Facts): Sql {
  const asked = rule.enforcement === 'report_only'
    ? sql`${STRICTNESS.reportOnly}::int`
    : sql`CASE WHEN ${facts.isGraced ?? sql`${facts.deadline ?? deadline(rule)} > statement_timestamp()`} THEN ${STRICTNESS.grace}::int
      ELSE ${STRICTNESS.required}::int END`
  const byAccounts = rule.ssoRule === 'exempt_sso_only' ? sql` OR ${isSsoOnly(sources)}` : sql``
  const covered = rule.enforcement === 'optional'
    ? sql`${STRICTNESS.notRequired}::int`
    : sql`CASE WHEN NOT (${facts.isCovered ?? isCovered(rule, sources)}) THEN ${STRICTNESS.notRequired}::int
        WHEN ${facts.isExempt ?? isExempt(rule)}${byAccounts} THEN ${STRICTNESS.exempt}::int ELSE ${asked} END`
  return rule.ssoRule === 'exempt_sso_session'
    ? sql`CASE WHEN ${isSsoOnly(sources)} THEN ${STRICTNESS.exempt}::int ELSE ${covered} END`
    : covered
}
