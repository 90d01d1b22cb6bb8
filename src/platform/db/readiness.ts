import type { Database } from './client.ts'

/**
 * Is our database there, as it was migrated? Of a table that no worker of Citus has: without one of them, the tenants of the
 * others go on. @throws if not
 */
export const checkReady = async (db: Database): Promise<void> => {
  await db.rows`SELECT 'find_users'::regproc::text FROM leases LIMIT 0`
}
