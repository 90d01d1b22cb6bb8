import sql from 'sql-template-tag'
import type { Database } from '../platform/db/client.ts'

/** Changes of one tenant that are worth folding in: as many cost a report next to nothing. */
const FOLD_FROM = 200
const BATCH = 1000

/**
 * Adds the changes in how many users there are of each cohort to the tallies, so that there are never many. Nothing depends
 * on it: a report adds those that are left. Answers how many were folded in.
 */
export async function foldTallies (db: Database): Promise<number> {
  const tenants = await db.rows<
    { tenant: string }
  >`SELECT tenant FROM user_tally_changes GROUP BY tenant HAVING count(*) >= ${FOLD_FROM}::int`
  let folded = 0
  for (const { tenant } of tenants) {
    let changes: number
    do {
      changes = (await db.settle('fold_tallies', sql`${tenant}, ${BATCH}::int`)).changes
      folded += changes
    } while (changes === BATCH)
  }
  return folded
}
