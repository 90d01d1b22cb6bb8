import type { Rule } from '../core/policy.ts'
import { type Fragment, fragment } from './fragment.ts'

/**
 * The decision function's rules as SQL, for many people at once: a test holds the two against each other. They are
 * about the columns of `users`, and as of the statement's time. Only what a rule asks stands in the statement.
 */

/** What is asked of somebody without a factor who comes as he usually does: the reasons by how much they ask. */
export const STRICTNESS = { notRequired: 0, exempt: 1, reportOnly: 2, grace: 3, required: 4 } as const

/** What somebody is judged by; where it is not given, his own columns. */
export interface Facts { isCovered?: Fragment, isExempt?: Fragment, isGraced?: Fragment, deadline?: Fragment }

/** The words in `accounts` and `groups` with which any of the sources says it. */
const words = (sources: readonly string[], said: readonly string[]): string[] => sources.flatMap(source => said.map(word => `${source}\n${word}`))

export const isSsoOnly = (sources: readonly string[]): Fragment =>
  fragment`(accounts && ${words(sources, ['sso'])}::text[] AND NOT accounts && ${words(sources, ['local'])}::text[])`

export const isInGroup = (sources: readonly string[], group: string): Fragment => fragment`groups && ${words(sources, [group])}::text[]`

/**
 * The words of a row's `groups`, each group once, for `groupOf`. Most people's groups are of one source; of two that name the
 * same group one word remains, as if it were synced.
 */
export const distinctGroups = (sources: readonly string[]): Fragment => fragment`
  CASE WHEN split_part(groups[1], E'\n', 1) IS NOT DISTINCT FROM split_part(groups[cardinality(groups)], E'\n', 1) THEN groups
  ELSE ARRAY(SELECT DISTINCT E'\n' || split_part(w, E'\n', 2) FROM unnest(groups) AS w WHERE strpos(w, E'\n') > 0 AND split_part(w, E'\n', 1) = ANY(${sources}::text[])) END`

/** The group that a `word` names, if its source counts; else null. */
export const groupOf = (sources: readonly string[]): Fragment =>
  fragment`CASE WHEN split_part(word, E'\n', 1) = ANY(${sources}::text[]) THEN nullif(split_part(word, E'\n', 2), '') END`

/** A source left some out: he may be in any. */
export const areGroupsUnknown = (sources: readonly string[]): Fragment => fragment`groups && ${sources}::text[]`

const isCovered = ({ groups }: Rule, sources: readonly string[]): Fragment =>
  groups === null ? fragment`true` : fragment`groups && ${[...words(sources, groups), ...sources]}::text[]`

const days = (count: number): Fragment => fragment`${count}::int * interval '24 hours'`

/** Does an administrator's exemption count? Until its own end, or the floor's. */
export const isExempt = ({ maxExemptionDays }: Rule): Fragment => maxExemptionDays === undefined
  ? fragment`(exempt_since IS NOT NULL AND coalesce(exempt_until, 'infinity') > statement_timestamp())`
  : fragment`(exempt_since IS NOT NULL AND least(exempt_until, exempt_since + ${days(maxExemptionDays)}) > statement_timestamp())`

/** The later of somebody's own deadline and the policy's date; whom no policy has met yet is met now. */
export function deadline ({ gracePeriodDays, enforceFrom, maxGraceDays }: Rule, graceUntil = fragment`grace_until`, policyMetAt = fragment`policy_met_at`): Fragment {
  const given = fragment`coalesce(${graceUntil}, statement_timestamp() + ${days(gracePeriodDays)})`
  const own = maxGraceDays === undefined ? given : fragment`least(${given}, coalesce(${policyMetAt}, statement_timestamp()) + ${days(maxGraceDays)})`
  return enforceFrom === null ? own : fragment`greatest(${own}, ${enforceFrom}::timestamptz)`
}

/** The same for somebody whom no policy has met. */
export const firstDeadline = (rule: Rule): Fragment => deadline(rule, fragment`NULL::timestamptz`, fragment`NULL::timestamptz`)

/** One of STRICTNESS, under one rule. */
export function strictness (rule: Rule, sources: readonly string[], facts: Facts = {}): Fragment {
  const asked = rule.enforcement === 'report_only'
    ? fragment`${STRICTNESS.reportOnly}::int`
    : fragment`CASE WHEN ${facts.isGraced ?? fragment`${facts.deadline ?? deadline(rule)} > statement_timestamp()`} THEN ${STRICTNESS.grace}::int ELSE ${STRICTNESS.required}::int END`
  const byAccounts = rule.ssoRule === 'exempt_sso_only' ? fragment` OR ${isSsoOnly(sources)}` : fragment``
  const covered = rule.enforcement === 'optional'
    ? fragment`${STRICTNESS.notRequired}::int`
    : fragment`CASE WHEN NOT (${facts.isCovered ?? isCovered(rule, sources)}) THEN ${STRICTNESS.notRequired}::int
        WHEN ${facts.isExempt ?? isExempt(rule)}${byAccounts} THEN ${STRICTNESS.exempt}::int ELSE ${asked} END`
  return rule.ssoRule === 'exempt_sso_session' ? fragment`CASE WHEN ${isSsoOnly(sources)} THEN ${STRICTNESS.exempt}::int ELSE ${covered} END` : covered
}
