import type { Database } from '../platform/db/client.ts'

/** Peppers that what stays beside recovery codes needs: codes of administrators, and the tombstones of erased users, which stay. */
export async function findOtherPeppers (db: Database): Promise<string[]> {
  const rows = await db.rows<
    { id: string }
  >`SELECT DISTINCT pepper_id AS id FROM bypasses UNION SELECT DISTINCT pepper_id FROM tombstones ORDER BY 1`
  return rows.map(({ id }) => id)
}
