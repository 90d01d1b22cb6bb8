import type { Rule } from '../../../core/policy.ts'
import { type Database, fragment } from '../../../db/client.ts'
import { findOpenUsers } from '../../../db/open-users.ts'
import { areGroupsUnknown, deadline, firstDeadline, groupNames, isExempt, STRICTNESS, strictness } from '../../../db/standing.ts'

/** What the decision is, for somebody without a second factor in his session. */
export type Bucket = 'enrolled' | 'mustEnroll' | 'inGrace' | 'exempt' | 'notCovered'

export interface Counted { group: string | null, bucket: Bucket, users: number }

export interface Sampled { userId: string, subject: string, account: string, namespace: string }

export interface PreviewRow { counts: Counted[], groupsUnknown: number, sample: Sampled[] }

/** The largest groups that are counted one by one. */
export const MAX_GROUPS = 1000
const MAX_SAMPLE = 20

/** Of a draft, report-only counts as if required. */
const asRequired = (rule: Rule): Rule => ({ ...rule, ...(rule.enforcement === 'report_only' && { enforcement: 'required' }) })

/**
 * Counts everybody under one or two rules, of which the stricter counts: the decision function's rules for kinds of people
 * instead of one. How many there are of each kind is kept; only those who have a deadline or an exemption of their own
 * are counted one by one.
 */
export async function countPreview (db: Database, tenant: string, [first, second = first]: Rule[], sources: readonly string[]): Promise<PreviewRow> {
  const [one, two] = [asRequired(first as Rule), asRequired(second as Rule)]
  const [row] = await db.reports<Omit<PreviewRow, 'sample'>>`
    WITH timed AS MATERIALIZED (
      SELECT kind, ${isExempt(one)} AS is_exempt_1, ${isExempt(two)} AS is_exempt_2,
        ${deadline(one)} > statement_timestamp() AS is_graced_1, ${deadline(two)} > statement_timestamp() AS is_graced_2, count(*) AS users
      FROM users WHERE tenant = ${tenant} AND enrolled_at IS NULL AND disabled_at IS NULL AND (grace_until IS NOT NULL OR exempt_since IS NOT NULL) GROUP BY 1, 2, 3, 4, 5
    ), tallied AS (
      SELECT kind, is_enrolled, accounts, groups, sum(users) AS users FROM user_tallies_v1 WHERE tenant = ${tenant} GROUP BY 1, 2, 3, 4
    ), kinds AS (
      SELECT t.accounts, t.groups, t.is_enrolled, false AS is_exempt_1, false AS is_exempt_2, ${firstDeadline(one)} > statement_timestamp() AS is_graced_1,
        ${firstDeadline(two)} > statement_timestamp() AS is_graced_2, t.users - coalesce(d.users, 0) AS users
      FROM tallied t LEFT JOIN (SELECT kind, sum(users) AS users FROM timed GROUP BY kind) AS d ON d.kind = t.kind AND NOT t.is_enrolled
      UNION ALL
      SELECT t.accounts, t.groups, false, d.is_exempt_1, d.is_exempt_2, d.is_graced_1, d.is_graced_2, d.users FROM timed d JOIN tallied t ON t.kind = d.kind AND NOT t.is_enrolled
    ), judged AS MATERIALIZED (
      SELECT groups, users, CASE WHEN is_enrolled THEN 'enrolled' ELSE (ARRAY['notCovered', 'exempt', NULL, 'inGrace', 'mustEnroll'])[1 + greatest(
        ${strictness(one, sources, { isExempt: fragment`is_exempt_1`, isGraced: fragment`is_graced_1` })},
        ${strictness(two, sources, { isExempt: fragment`is_exempt_2`, isGraced: fragment`is_graced_2` })})] END AS bucket
      FROM kinds WHERE users <> 0
    ), grouped AS (
      SELECT name, bucket, sum(users) AS users FROM judged CROSS JOIN LATERAL (${groupNames(sources)}) AS named GROUP BY 1, 2
    ), largest AS (
      SELECT name FROM grouped GROUP BY name ORDER BY sum(users) DESC, name LIMIT ${MAX_GROUPS}::int
    )
    SELECT
      (SELECT coalesce(jsonb_agg(jsonb_build_object('group', c.name, 'bucket', c.bucket, 'users', c.users)), '[]') FROM (
        SELECT NULL AS name, bucket, sum(users) AS users FROM judged GROUP BY bucket
        UNION ALL SELECT name, bucket, users FROM grouped WHERE name IN (SELECT name FROM largest)) AS c) AS counts,
      (SELECT coalesce(sum(users), 0)::float8 FROM judged WHERE ${areGroupsUnknown(sources)}) AS "groupsUnknown"`
  const rules = first === second ? [one] : [one, two]
  const open = await findOpenUsers(db, { tenant, rules, sources, wanted: { strictness: STRICTNESS.required }, alsoSaid: fragment``, also: fragment``, limit: MAX_SAMPLE })
  const sample = await db.reports<Sampled>`
    SELECT id::text AS "userId", subject, account, namespace FROM users
    WHERE tenant = ${tenant} AND id IN (${open})`
  return { ...row as Omit<PreviewRow, 'sample'>, sample }
}
