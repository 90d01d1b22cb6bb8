import sql, { join, type Sql } from 'sql-template-tag'
import type { Database } from '../../platform/db/client.ts'
import { findOpenUsers } from '../../users/open-users.sql.ts'
import { areGroupsUnknown, deadline, distinctGroups, firstDeadline, groupOf, isExempt, STRICTNESS, strictness } from '../decide.sql.ts'
import type { Rule } from '../policy.ts'

/** What the decision is, for a user without a second factor in this session. */
export type Bucket = 'enrolled' | 'mustEnroll' | 'inGrace' | 'exempt' | 'notCovered'

export interface Counted { group: string | null, bucket: Bucket, users: number }

export interface Sampled { userId: string, subject: string, account: string, namespace: string }

export interface PreviewRow { counts: Counted[], groupsUnknown: number, sample: Sampled[] }

/** The largest groups that are counted one by one. */
export const MAX_GROUPS = 1000
const MAX_SAMPLE = 20

/** Counted as if they were groups: all users, and those whose groups a source left out. No group has these names. */
const ALL_USERS = '\n'
const UNKNOWN = '\n\n'

/** What is asked of the timed ones for each rule: the draft's, and a floor's. */
const COLUMNS = [
  { isExempt: sql`is_exempt_1`, isGraced: sql`is_graced_1` },
  { isExempt: sql`is_exempt_2`, isGraced: sql`is_graced_2` }
]

/** Of a draft, report-only counts as if required. */
const asRequired = (rule: Rule): Rule => ({ ...rule, ...(rule.enforcement === 'report_only' && { enforcement: 'required' }) })

/**
 * Counts all users under one or two rules, of which the stricter counts: the decision function's rules for cohorts instead of one user.
 * How many there are of each cohort is kept; only those who have a deadline or an exemption of their own are counted one by one.
 */
export async function countPreview (db: Database, tenant: string, rules: Rule[], sources: readonly string[]): Promise<PreviewRow> {
  const drafts = rules.map(asRequired)
  const counted = await countCohorts(db, tenant, drafts, sources)
  const mustSome = counted.counts.some(({ bucket }) => bucket === 'mustEnroll')
  return { ...counted, sample: mustSome ? await findSample(db, tenant, drafts, sources) : [] }
}

async function findSample (db: Database, tenant: string, rules: Rule[], sources: readonly string[]): Promise<Sampled[]> {
  const wanted = { strictness: STRICTNESS.required }
  const found = await findOpenUsers(db, {
    tenant,
    rules,
    sources,
    wanted,
    alsoInGroup: sql``,
    also: sql``,
    cursor: undefined,
    limit: MAX_SAMPLE
  })
  return await db.reports<Sampled>`
    SELECT id::text AS "userId", subject, account, namespace FROM users WHERE tenant = ${tenant} AND id IN (${found})`
}

async function countCohorts (db: Database, tenant: string, rules: Rule[], sources: readonly string[]): Promise<Omit<PreviewRow, 'sample'>> {
  const timed =
    sql`tenant = ${tenant} AND enrolled_at IS NULL AND disabled_at IS NULL AND (grace_until IS NOT NULL OR exempt_since IS NOT NULL)`
  const columns = COLUMNS.slice(0, rules.length)
  const names = join(columns.flatMap(({ isExempt, isGraced }) => [isExempt, isGraced]))
  const facts = (of: (rule: Rule) => [isExempt: Sql, deadline: Sql]): Sql => join(rules.flatMap((rule, index) => {
    const [isExempt, deadline] = of(rule)
    return [sql`${isExempt} AS ${columns[index]?.isExempt}`, sql`${deadline} > statement_timestamp() AS ${columns[index]?.isGraced}`]
  }))
  const untimed = facts(rule => [sql`false`, firstDeadline(rule)])
  const [row] = await db.reports<Omit<PreviewRow, 'sample'>>`
    WITH timed AS MATERIALIZED (
      SELECT t.*, member.accounts, member.groups FROM (
        SELECT cohort, ${facts(rule => [isExempt(rule), deadline(rule)])}, count(*) AS users FROM users WHERE ${timed}
          GROUP BY cohort, ${names}) AS t
      CROSS JOIN LATERAL (SELECT accounts, groups FROM users WHERE ${timed} AND cohort = t.cohort LIMIT 1) AS member
    ), cohorts AS (
      SELECT accounts, groups, is_enrolled, ${untimed}, users FROM current_tallies WHERE tenant = ${tenant}
      UNION ALL SELECT accounts, groups, false, ${untimed}, -users FROM timed
      UNION ALL SELECT accounts, groups, false, ${names}, users FROM timed
    ), judged AS (
      -- Each cohort is judged once, and not once for each of its groups.
      SELECT users, CASE WHEN is_enrolled THEN 'enrolled' ELSE (ARRAY['notCovered', 'exempt', NULL, 'inGrace',
        'mustEnroll'])[1 + greatest(${join(rules.map((rule, index) => strictness(rule, sources, columns[index])))})] END AS bucket,
        ${distinctGroups(sources)} || ARRAY[${ALL_USERS}, CASE WHEN ${areGroupsUnknown(sources)} THEN ${UNKNOWN} END]::text[] AS entries
      FROM cohorts OFFSET 0
    ), counted AS MATERIALIZED (
      SELECT entry, bucket, sum(users) AS users FROM judged CROSS JOIN LATERAL unnest(entries) AS entry GROUP BY 1, 2
    ), grouped AS (
      SELECT ${groupOf(sources)} AS name, bucket, sum(users) AS users FROM counted GROUP BY 1, 2 HAVING sum(users) <> 0
    ), largest AS (
      SELECT name FROM grouped WHERE name IS NOT NULL GROUP BY name ORDER BY sum(users) DESC, name LIMIT ${MAX_GROUPS}::int
    )
    SELECT
      (SELECT coalesce(jsonb_agg(jsonb_build_object('group', c.name, 'bucket', c.bucket, 'users', c.users)), '[]') FROM (
        SELECT NULL AS name, bucket, users FROM counted WHERE entry = ${ALL_USERS} AND users <> 0
        UNION ALL SELECT name, bucket, users FROM grouped WHERE name IN (SELECT name FROM largest)) AS c) AS counts,
      (SELECT coalesce(sum(users), 0)::float8 FROM counted WHERE entry = ${UNKNOWN}) AS "groupsUnknown"`
  return row as Omit<PreviewRow, 'sample'>
}
