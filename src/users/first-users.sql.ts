import sql, { type Sql } from 'sql-template-tag'
import type { Database } from '../platform/db/client.ts'

/** Of so many users one must be wanted, where a page is read by going through all in their order. */
const SPARSE = 100

export interface Wish {
  tenant: string
  /** On a row of `users`. */
  conditions: Sql
  /** Not those up to this id. */
  cursor: string | undefined
  limit: number
}

/**
 * The ids of the first users who are wanted, as a query; null where they are too rare to be found by going through all. A
 * planner would have to guess that, and what it guesses is wrong where the conditions have to do with each other.
 */
export async function findFirstUsers (db: Database, { tenant, conditions, cursor, limit }: Wish): Promise<Sql | null> {
  const found = await db.reports<{ id: string }>`
    SELECT id::text FROM (SELECT * FROM users WHERE tenant = ${tenant} ${after(cursor)} ORDER BY id LIMIT ${limit * SPARSE}::int) AS first
    WHERE ${conditions} ORDER BY first.id LIMIT ${limit}::int`
  return found.length < limit ? null : sql`SELECT unnest(${found.map(({ id }) => id)}::uuid[]) AS id`
}

export const after = (cursor: string | undefined): Sql => cursor === undefined ? sql`` : sql`AND id > ${cursor}::uuid`
