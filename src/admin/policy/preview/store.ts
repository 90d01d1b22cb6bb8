import type { Rule } from '../../../core/policy.ts'
import type { Database } from '../../../db/client.ts'

/** What the decision is, for somebody without a second factor in his session. */
export type Bucket = 'enrolled' | 'mustEnroll' | 'inGrace' | 'exempt' | 'notCovered'

export interface Counted { group: string | null, bucket: Bucket, users: number }

export interface Sampled { userId: string, subject: string, account: string, namespace: string }

export interface PreviewRow { counts: Counted[] | null, groupsUnknown: number, sample: Sampled[] | null }

/** The largest groups that are counted one by one. */
export const MAX_GROUPS = 1000
const MAX_SAMPLE = 20

/**
 * Counts everybody under one or two rules, of which the stricter counts: the decision function's rules for groups of
 * people instead of one. It is one pass over the tenant, which asks of each row no more than four comparisons: people of
 * whom the same is known are put together first, and only the few kinds that remain are judged by accounts and groups.
 */
export async function countPreview (db: Database, tenant: string, [rule, floor = rule]: Rule[], issuers: readonly string[]): Promise<PreviewRow> {
  const [one, two] = [toParameters(rule as Rule), toParameters(floor as Rule)]
  const [row] = await db.reports<PreviewRow>`
    WITH seen AS NOT MATERIALIZED (
      SELECT id, subject, account, namespace, sources,
        exempt_since IS NOT NULL
          AND coalesce(least(exempt_until, exempt_since + ${one.maxExemptionDays}::int * interval '24 hours'), 'infinity') > statement_timestamp() AS is_exempt_1,
        exempt_since IS NOT NULL
          AND coalesce(least(exempt_until, exempt_since + ${two.maxExemptionDays}::int * interval '24 hours'), 'infinity') > statement_timestamp() AS is_exempt_2,
        greatest(least(coalesce(grace_until, statement_timestamp() + ${one.gracePeriodDays}::int * interval '24 hours'),
            coalesce(policy_met_at, statement_timestamp()) + ${one.maxGraceDays}::int * interval '24 hours'),
          ${one.enforceFrom}::timestamptz) > statement_timestamp() AS is_graced_1,
        greatest(least(coalesce(grace_until, statement_timestamp() + ${two.gracePeriodDays}::int * interval '24 hours'),
            coalesce(policy_met_at, statement_timestamp()) + ${two.maxGraceDays}::int * interval '24 hours'),
          ${two.enforceFrom}::timestamptz) > statement_timestamp() AS is_graced_2
      FROM users
      WHERE tenant = ${tenant} AND disabled_at IS NULL
    ), kinds AS (
      SELECT sources, is_exempt_1, is_exempt_2, is_graced_1, is_graced_2, f.user_id IS NOT NULL AS is_enrolled, count(*) AS users
      FROM seen LEFT JOIN (SELECT DISTINCT user_id FROM factors WHERE tenant = ${tenant}) AS f ON f.user_id = id
      GROUP BY 1, 2, 3, 4, 5, 6
    ), judged AS MATERIALIZED (
      SELECT k.*, said.groups, said.is_unknown, CASE WHEN k.is_enrolled THEN 'enrolled'
        ELSE (ARRAY['notCovered', 'exempt', 'inGrace', 'mustEnroll'])[1 + greatest(
          CASE WHEN ${one.isSessionExempt} AND said.is_sso AND NOT said.is_local THEN 1
            WHEN NOT ${one.isOn} OR NOT (${one.isForAll} OR said.is_unknown OR said.groups && ${one.groups}::text[]) THEN 0
            WHEN k.is_exempt_1 OR (${one.isAccountExempt} AND said.is_sso AND NOT said.is_local) THEN 1
            WHEN k.is_graced_1 THEN 2 ELSE 3 END,
          CASE WHEN ${two.isSessionExempt} AND said.is_sso AND NOT said.is_local THEN 1
            WHEN NOT ${two.isOn} OR NOT (${two.isForAll} OR said.is_unknown OR said.groups && ${two.groups}::text[]) THEN 0
            WHEN k.is_exempt_2 OR (${two.isAccountExempt} AND said.is_sso AND NOT said.is_local) THEN 1
            WHEN k.is_graced_2 THEN 2 ELSE 3 END)] END AS bucket
      FROM kinds k CROSS JOIN LATERAL (
        SELECT coalesce(bool_or((s.value->>'local')::boolean), false) AS is_local,
          coalesce(bool_or((s.value->>'sso')::boolean), false) AS is_sso,
          coalesce(bool_or((s.value->>'groupsUnknown')::boolean), false) AS is_unknown,
          ARRAY(SELECT DISTINCT g FROM jsonb_each(k.sources) AS w, jsonb_array_elements_text(w.value->'groups') AS g
            WHERE w.key = ANY(${issuers}::text[])) AS groups
        FROM jsonb_each(k.sources) AS s WHERE s.key = ANY(${issuers}::text[])) said
    ), grouped AS (
      SELECT g AS name, bucket, sum(users) AS users FROM judged, unnest(groups) AS g GROUP BY 1, 2
    ), largest AS (
      SELECT name FROM grouped GROUP BY name ORDER BY sum(users) DESC, name LIMIT ${MAX_GROUPS}::int
    )
    SELECT
      (SELECT jsonb_agg(jsonb_build_object('group', c.name, 'bucket', c.bucket, 'users', c.users)) FROM (
        SELECT NULL AS name, bucket, sum(users) AS users FROM judged GROUP BY bucket
        UNION ALL SELECT name, bucket, users FROM grouped WHERE name IN (SELECT name FROM largest)) AS c) AS counts,
      (SELECT coalesce(sum(users), 0)::float8 FROM judged WHERE is_unknown) AS "groupsUnknown",
      (SELECT jsonb_agg(jsonb_build_object('userId', s.id, 'subject', s.subject, 'account', s.account, 'namespace', s.namespace)) FROM (
        SELECT * FROM (
          -- A set that is looked up: joined to what the planner knows nothing of, every row would meet every kind.
          SELECT * FROM seen WHERE ((sources, is_exempt_1, is_exempt_2, is_graced_1, is_graced_2) IN (
            SELECT sources, is_exempt_1, is_exempt_2, is_graced_1, is_graced_2 FROM judged WHERE bucket = 'mustEnroll')) IS TRUE
          OFFSET 0) AS p
        WHERE NOT EXISTS (SELECT 1 FROM factors WHERE tenant = ${tenant} AND user_id = p.id)
        LIMIT ${MAX_SAMPLE}::int) AS s) AS sample`
  return row as PreviewRow
}

/** A rule for SQL; report-only counts as if required. */
const toParameters = (rule: Rule): Parameters => ({
  isOn: rule.enforcement !== 'optional',
  isForAll: rule.groups === null,
  groups: rule.groups ?? [],
  // Whoever has SSO alone comes by it.
  isSessionExempt: rule.ssoRule === 'exempt_sso_session',
  isAccountExempt: rule.ssoRule === 'exempt_sso_only',
  gracePeriodDays: rule.gracePeriodDays,
  enforceFrom: rule.enforceFrom,
  maxGraceDays: rule.maxGraceDays ?? null,
  maxExemptionDays: rule.maxExemptionDays ?? null
})

interface Parameters {
  isOn: boolean
  isForAll: boolean
  groups: string[]
  isSessionExempt: boolean
  isAccountExempt: boolean
  gracePeriodDays: number
  enforceFrom: Date | null
  maxGraceDays: number | null
  maxExemptionDays: number | null
}
