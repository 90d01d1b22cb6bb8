import sql from 'sql-template-tag'
import { PASSKEY_KIND } from '../../../factors/passkeys/passkey.ts'
import { CODES } from '../../../factors/recovery-codes/recovery-code.ts'
import type { Database } from '../../../platform/db/client.ts'
import { distinctGroups, groupOf } from '../../../policy/decide.sql.ts'

export interface StatsRow {
  users: number
  enrolled: number
  groups: Array<{ group: string, users: number, enrolled: number }>
  locked: number
  codesRunningLow: number
  enrolledPerDay: Array<{ day: string, enrolled: number }>
  administrators: { enrolled: number, notEnrolled: number }
  passkeys: { users: number, synced: number }
}

/** The largest groups that are told one by one. */
const MAX_GROUPS = 1000
const DAYS = 30
/** All users are counted as if they were a group; no group has this name. */
const ALL_USERS = '\n'
/** As many codes left are few: `recovery.low` says so first with them. */
const FEW_CODES = 3

/** Of all in the tenant who are not disabled, as of now; users in groups are counted by their cohorts, and no other user is read. */
export async function countStats (db: Database, tenant: string, sources: readonly string[]): Promise<StatsRow> {
  const isNotDisabled = sql`user_id NOT IN (SELECT id FROM users WHERE tenant = ${tenant} AND disabled_at IS NOT NULL)`
  const [row] = await db.reports<StatsRow>`
    WITH counted AS MATERIALIZED (
      SELECT entry, sum(users) AS users, coalesce(sum(users) FILTER (WHERE is_enrolled), 0) AS enrolled FROM (
        SELECT is_enrolled, users, ${distinctGroups(sources)} || ${ALL_USERS}::text AS entries FROM current_tallies
          WHERE tenant = ${tenant} OFFSET 0) AS cohorts
      CROSS JOIN LATERAL unnest(entries) AS entry GROUP BY 1
    ), grouped AS (
      SELECT ${groupOf(sources)} AS name, sum(users) AS users, sum(enrolled) AS enrolled FROM counted GROUP BY 1
    ), largest AS (
      SELECT * FROM grouped WHERE name IS NOT NULL AND users > 0 ORDER BY users DESC, name LIMIT ${MAX_GROUPS}::int
    ), days AS (
      SELECT day, day AT TIME ZONE 'UTC' AS begins, (day + interval '1 day') AT TIME ZONE 'UTC' AS ends
      FROM (SELECT date_trunc('day', now() AT TIME ZONE 'UTC') - n * interval '1 day' AS day
        FROM generate_series(0, ${DAYS - 1}::int) AS n) AS d
    )
    SELECT
      (SELECT coalesce(sum(users), 0)::float8 FROM counted WHERE entry = ${ALL_USERS}) AS users,
      (SELECT coalesce(sum(enrolled), 0)::float8 FROM counted WHERE entry = ${ALL_USERS}) AS enrolled,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('group', name, 'users', users, 'enrolled', enrolled)
        ORDER BY users DESC, name), '[]') FROM largest) AS groups,
      (SELECT count(DISTINCT user_id)::float8 FROM throttles WHERE tenant = ${tenant} AND locked_at IS NOT NULL
        AND ${isNotDisabled}) AS locked,
      (SELECT count(*)::float8 FROM (SELECT user_id FROM recovery_codes WHERE tenant = ${tenant} AND used_at IS NOT NULL
        AND ${isNotDisabled}
        GROUP BY user_id HAVING count(*) >= ${CODES - FEW_CODES}::int) AS low) AS "codesRunningLow",
      (SELECT jsonb_agg(jsonb_build_object('day', to_char(day, 'YYYY-MM-DD'), 'enrolled', (
          SELECT count(*) FROM users WHERE tenant = ${tenant} AND disabled_at IS NULL AND enrolled_at >= begins
            AND enrolled_at < ends)) ORDER BY day) FROM days) AS "enrolledPerDay",
      (SELECT jsonb_build_object('enrolled', count(enrolled_at), 'notEnrolled', count(*) - count(enrolled_at)) FROM users
        WHERE tenant = ${tenant} AND administrator_at IS NOT NULL AND disabled_at IS NULL) AS administrators,
      (SELECT jsonb_build_object('users', count(DISTINCT user_id), 'synced', count(DISTINCT user_id) FILTER (WHERE backup_eligible))
        FROM factors
        WHERE tenant = ${tenant} AND kind = ${PASSKEY_KIND} AND ${isNotDisabled}) AS passkeys`
  return row as StatsRow
}
