import sql, { join, type Sql } from 'sql-template-tag'
import type { Database } from '../../platform/db/client.ts'
import { findOpenUsers, type Judging, mustAddPasskey } from '../../users/open-users.sql.ts'
import {
  areGroupsUnknown,
  deadline,
  distinctGroups,
  firstDeadline,
  groupOf,
  hasPasskey,
  isAnyPhrDue,
  isExempt,
  isPhrAsked,
  STRICTNESS,
  strictness
} from '../decide.sql.ts'
import { asRequired } from '../decide.ts'
import type { Rule } from '../policy.ts'

/** What the decision is, for a user without a second factor in this session. */
export type Bucket = 'enrolled' | 'mustEnroll' | 'inGrace' | 'exempt' | 'notCovered'

/** `isPasskeyMissing`: they need one, now or later, and have none that can be used. */
export interface Counted { group: string | null, bucket: Bucket, isPasskeyMissing: boolean, users: number }

export interface Sampled { userId: string, subject: string, account: string, namespace: string }

export interface PreviewRow { counts: Counted[], groupsUnknown: number, sample: Sampled[] }

/** The largest groups that are counted one by one. */
export const MAX_GROUPS = 1000
const MAX_SAMPLE = 20

/** Counted as if they were groups: all users, and those whose groups a source left out. No group has these names. */
const ALL_USERS = '\n'
const UNKNOWN = '\n\n'

/** What is asked of those who are judged alone, for each rule: the draft's, and a floor's. */
const COLUMNS = [
  { isExempt: sql`is_exempt_1`, isGraced: sql`is_graced_1` },
  { isExempt: sql`is_exempt_2`, isGraced: sql`is_graced_2` }
]

/**
 * Counts all users under one or two rules, of which the stricter counts: the decision function's rules for cohorts instead of one user.
 * How many there are of each cohort is kept; only those who have a deadline or an exemption of their own or a role, and those who may
 * need a passkey, are counted one by one.
 */
export async function countPreview (db: Database, tenant: string, judging: Judging): Promise<PreviewRow> {
  const draft = { ...judging, rules: judging.rules.map(asRequired) }
  const counted = await countCohorts(db, tenant, draft)
  const mustSome = counted.counts.some(({ bucket }) => bucket === 'mustEnroll')
  return { ...counted, sample: mustSome ? await findSample(db, tenant, draft) : [] }
}

async function findSample (db: Database, tenant: string, judging: Judging): Promise<Sampled[]> {
  const wanted = { strictness: STRICTNESS.required }
  const open = await findOpenUsers(db, {
    ...judging,
    tenant,
    wanted,
    alsoInGroup: sql``,
    also: sql``,
    cursor: undefined,
    limit: MAX_SAMPLE
  })
  const mustAdd = mustAddPasskey(tenant, judging, {}, true)
  const others = mustAdd === null
    ? sql``
    : sql`UNION ALL (SELECT id FROM users WHERE tenant = ${tenant} AND ${mustAdd} LIMIT ${MAX_SAMPLE}::int)`
  return await db.reports<Sampled>`
    SELECT id::text AS "userId", subject, account, namespace FROM users WHERE tenant = ${tenant} AND id IN ((${open}) ${others})
    LIMIT ${MAX_SAMPLE}::int`
}

async function countCohorts (db: Database, tenant: string, { rules, sources, rpId }: Judging): Promise<Omit<PreviewRow, 'sample'>> {
  const timed = sql`tenant = ${tenant} AND enrolled_at IS NULL AND disabled_at IS NULL
    AND (grace_until IS NOT NULL OR exempt_since IS NOT NULL OR administrator_at IS NOT NULL)`
  const isPasskeyAsked = rules.some(({ phishingResistant }) => phishingResistant !== 'off')
  const columns = COLUMNS.slice(0, rules.length).map(each => ({ ...each, isAdministrator: sql`is_administrator` }))
  const names = join([...columns.flatMap(({ isExempt, isGraced }) => [isExempt, isGraced]), sql`is_administrator`])
  const facts = (isAdministrator: Sql, of: (rule: Rule) => [isExempt: Sql, deadline: Sql]): Sql => join([...rules.flatMap((rule, index) => {
    const [isExempt, deadline] = of(rule)
    return [sql`${isExempt} AS ${columns[index]?.isExempt}`, sql`${deadline} > statement_timestamp() AS ${columns[index]?.isGraced}`]
  }), sql`${isAdministrator} AS is_administrator`])
  const untimed = facts(sql`false`, rule => [sql`false`, firstDeadline(rule)])
  const own = facts(sql`administrator_at IS NOT NULL`, rule => [isExempt(rule), deadline(rule)])
  // Those who have a factor and no passkey: whether they need one.
  const [bare, theBare] = isPasskeyAsked
    ? [
        sql`, bare AS MATERIALIZED (
          SELECT accounts, groups, ${own}, count(*) AS users FROM users
          WHERE tenant = ${tenant} AND enrolled_at IS NOT NULL AND disabled_at IS NULL AND NOT ${hasPasskey(tenant, rpId)}
          GROUP BY accounts, groups, ${names})`,
        sql`UNION ALL SELECT accounts, groups, true, false, ${untimed}, -users FROM bare
          UNION ALL SELECT accounts, groups, true, true, ${names}, users FROM bare`
      ]
    : [sql``, sql``]
  const isAsked = join(rules.map((rule, index) => isPhrAsked(rule, sources, columns[index])), ' OR ')
  const [row] = await db.reports<Omit<PreviewRow, 'sample'>>`
    WITH timed AS MATERIALIZED (
      SELECT t.*, member.accounts, member.groups FROM (
        SELECT cohort, ${own}, count(*) AS users FROM users WHERE ${timed}
          GROUP BY cohort, ${names}) AS t
      CROSS JOIN LATERAL (SELECT accounts, groups FROM users WHERE ${timed} AND cohort = t.cohort LIMIT 1) AS member
    )${bare}, cohorts AS (
      SELECT accounts, groups, is_enrolled, NOT is_enrolled AS is_bare, ${untimed}, users FROM current_tallies WHERE tenant = ${tenant}
      UNION ALL SELECT accounts, groups, false, true, ${untimed}, -users FROM timed
      UNION ALL SELECT accounts, groups, false, true, ${names}, users FROM timed
      ${theBare}
    ), judged AS (
      -- Each cohort is judged once, and not once for each of its groups.
      SELECT users, CASE WHEN NOT is_enrolled THEN (ARRAY['notCovered', 'exempt', NULL, 'inGrace',
        'mustEnroll'])[1 + greatest(${join(rules.map((rule, index) => strictness(rule, sources, columns[index])))})]
        WHEN is_bare AND ${isAnyPhrDue({ rules, sources }, columns)} THEN 'mustEnroll' ELSE 'enrolled' END AS bucket,
        is_bare AND (${isAsked}) AS is_missing,
        ${distinctGroups(sources)} || ARRAY[${ALL_USERS}, CASE WHEN ${areGroupsUnknown(sources)} THEN ${UNKNOWN} END]::text[] AS entries
      FROM cohorts OFFSET 0
    ), counted AS MATERIALIZED (
      SELECT entry, bucket, is_missing, sum(users) AS users FROM judged CROSS JOIN LATERAL unnest(entries) AS entry GROUP BY 1, 2, 3
    ), grouped AS (
      SELECT ${groupOf(sources)} AS name, bucket, is_missing, sum(users) AS users FROM counted GROUP BY 1, 2, 3 HAVING sum(users) <> 0
    ), largest AS (
      SELECT name FROM grouped WHERE name IS NOT NULL GROUP BY name ORDER BY sum(users) DESC, name LIMIT ${MAX_GROUPS}::int
    )
    SELECT
      (SELECT coalesce(jsonb_agg(jsonb_build_object('group', c.name, 'bucket', c.bucket, 'isPasskeyMissing', c.is_missing,
        'users', c.users)), '[]') FROM (
        SELECT NULL AS name, bucket, is_missing, users FROM counted WHERE entry = ${ALL_USERS} AND users <> 0
        UNION ALL SELECT name, bucket, is_missing, users FROM grouped WHERE name IN (SELECT name FROM largest)) AS c) AS counts,
      (SELECT coalesce(sum(users), 0)::float8 FROM counted WHERE entry = ${UNKNOWN}) AS "groupsUnknown"`
  return row as Omit<PreviewRow, 'sample'>
}
