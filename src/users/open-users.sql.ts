import sql, { join, type Sql } from 'sql-template-tag'
import type { Database } from '../platform/db/client.ts'
import {
  deadlineOfOpen,
  type Facts,
  firstDeadline,
  hasPasskey,
  isAnyPhrDue,
  phrSince,
  STRICTNESS,
  strictness
} from '../policy/decide.sql.ts'
import type { Rule } from '../policy/policy.ts'
import { after, findFirstUsers } from './first-users.sql.ts'

/** What users are judged by: the rules, of which the stricter counts, the sources whose claims count, and which passkeys can be used. */
export interface Judging { rules: readonly Rule[], sources: readonly string[], rpId: string | undefined }

/** What the rules ask of those without a factor: all that is given must hold. */
export interface Wanted {
  strictness?: typeof STRICTNESS[keyof typeof STRICTNESS] | undefined
  /** They must enroll, now or at a deadline that is earlier. */
  deadlineBefore?: Date | undefined
}

export interface OpenUsers extends Judging {
  tenant: string
  wanted: Wanted
  /** More conditions, each with its AND: on the users' groups, and on their rows. */
  alsoInGroup: Sql
  also: Sql
  /** Not those up to this id. */
  cursor: string | undefined
  limit: number
}

/** Up to so many cohorts it is cheaper to judge each cohort than each user. */
export const MAX_COHORTS = 20_000

/**
 * The ids of those in the tenant who have no factor and are not disabled, the first ones in their order, as a query. Where
 * they are rare it finds them by their cohorts, and does not read all users. It does read them in a tenant where nearly each user
 * is a cohort of their own, as by their groups.
 */
export async function findOpenUsers (db: Database, open: OpenUsers): Promise<Sql> {
  const { tenant, cursor, limit } = open
  const conditions = ofRow(open)
  const first = await findFirstUsers(db, { tenant, conditions, cursor, limit })
  if (first !== null) return first
  const [row] = await db.reports<{ cohorts: number }>`
    SELECT count(*)::int AS cohorts FROM (SELECT 1 FROM user_tallies WHERE tenant = ${open.tenant} AND NOT is_enrolled
      LIMIT ${MAX_COHORTS + 1}::int) AS first`
  return (row as { cohorts: number }).cohorts <= MAX_COHORTS
    ? byCohort(open)
    : sql`SELECT id FROM users WHERE ${conditions} ${after(cursor)} ORDER BY id LIMIT ${limit}::int`
}

const isOpen = (tenant: string): Sql => sql`tenant = ${tenant} AND enrolled_at IS NULL AND disabled_at IS NULL`

const ofRow = ({ tenant, rules, sources, wanted, alsoInGroup, also }: OpenUsers): Sql =>
  sql`${isOpen(tenant)} AND ${judge(rules, sources, wanted, rules.map(() => ({})))} ${alsoInGroup} ${also}`

/** A user without a deadline or an exemption of their own, or a role, is asked what all of their cohort are asked. */
function byCohort ({ tenant, rules, sources, wanted, alsoInGroup, also, cursor, limit }: OpenUsers): Sql {
  const untimed = sql`${isOpen(tenant)} AND grace_until IS NULL AND exempt_since IS NULL AND administrator_at IS NULL`
  const timed = sql`${isOpen(tenant)} AND (grace_until IS NOT NULL OR exempt_since IS NOT NULL OR administrator_at IS NOT NULL)`
  const ofCohort = judge(
    rules,
    sources,
    wanted,
    rules.map(rule => ({ isExempt: sql`false`, deadline: firstDeadline(rule), isAdministrator: sql`false` }))
  )
  const ofUser = judge(rules, sources, wanted, rules.map(() => ({})))
  // Each of the two has an index by cohort and id. Accounts and groups are read once for a cohort, the rest is in the index.
  const some = (users: Sql, isCohortWanted: Sql, isUserWanted: Sql): Sql => sql`
    WITH RECURSIVE cohorts (cohort) AS (
      (SELECT cohort FROM users WHERE ${users} ORDER BY cohort LIMIT 1)
      UNION ALL
      SELECT (SELECT cohort FROM users WHERE ${users} AND users.cohort > cohorts.cohort ORDER BY cohort LIMIT 1) FROM cohorts
        WHERE cohorts.cohort IS NOT NULL
    )
    SELECT found.id FROM cohorts
    CROSS JOIN LATERAL (SELECT accounts, groups FROM users WHERE ${users} AND cohort = cohorts.cohort LIMIT 1) AS member
    CROSS JOIN LATERAL (
      SELECT id FROM (
        SELECT id, policy_met_at, grace_until, exempt_since, exempt_until, administrator_at FROM users WHERE ${users}
          AND cohort = cohorts.cohort ${after(cursor)} ${also}) AS timed
      WHERE ${isUserWanted} ORDER BY id LIMIT ${limit}::int) AS found
    WHERE ${isCohortWanted} ${alsoInGroup}`
  return sql`
    SELECT id FROM ((${some(untimed, ofCohort, sql`true`)}) UNION ALL (${some(timed, canBe(rules, sources, wanted), ofUser)})) AS open_users
    ORDER BY id LIMIT ${limit}::int`
}

/** May the rules ask this of some user of a cohort? They ask most of an administrator whose deadline and exemption are over. */
function canBe (rules: readonly Rule[], sources: readonly string[], { strictness: level = 0, deadlineBefore }: Wanted): Sql {
  const most = rules.map(rule => strictness(rule, sources, { isExempt: sql`false`, isGraced: sql`false`, isAdministrator: sql`true` }))
  return sql`greatest(${join(most)}) >= ${deadlineBefore === undefined ? level : Math.max(level, STRICTNESS.grace)}::int`
}

function judge (rules: readonly Rule[], sources: readonly string[], wanted: Wanted, facts: Facts[]): Sql {
  const levels = rules.map((rule, index) => strictness(rule, sources, facts[index]))
  const conditions = [sql`true`]
  if (wanted.strictness !== undefined) conditions.push(sql`greatest(${join(levels)}) = ${wanted.strictness}::int`)
  if (wanted.deadlineBefore !== undefined) {
    const deadlines = rules.map((rule, index) => deadlineOfOpen(rule, sources, facts[index]))
    // The earliest is the stricter rule's.
    conditions.push(sql`least(${join(deadlines)}) < ${wanted.deadlineBefore}::timestamptz`)
  }
  return sql`(${join(conditions, ' AND ')})`
}

/**
 * The condition on a row of those who have a factor and must set up a passkey, now and before a time, as far as that is wanted; null
 * where the rules ask that of no one.
 */
export function mustAddPasskey (tenant: string, { rules, sources, rpId }: Judging, { deadlineBefore }: Wanted, isNow: boolean): Sql | null {
  const asking = rules.filter(({ phishingResistant }) => phishingResistant !== 'off')
  if (asking.length === 0) return null
  const conditions = [sql`enrolled_at IS NOT NULL AND disabled_at IS NULL AND NOT ${hasPasskey(tenant, rpId)}`]
  if (isNow) conditions.push(isAnyPhrDue({ rules: asking, sources }))
  if (deadlineBefore !== undefined) {
    conditions.push(sql`least(${join(asking.map(rule => phrSince(rule, sources)))}) < ${deadlineBefore}::timestamptz`)
  }
  return sql`(${join(conditions, ' AND ')})`
}
