import { randomUUID } from 'node:crypto'
import sql from 'sql-template-tag'
import type { By } from '../../../audit/record.sql.ts'
import type { KeyRing } from '../../../keys/keys.ts'
import type { Database } from '../../../platform/db/client.ts'
import type { Settled } from '../../../platform/db/settlements.ts'
import { tombstoneOf } from '../../tombstone.ts'

/** All of them or none: `synced`, and how many were `created`, `updated` and `unchanged`. */
export function settleSync (
  db: Database,
  tenant: string,
  users: ReadonlyArray<{ namespace: string, subject: string }>,
  peppers: KeyRing,
  by: By
): Promise<Settled<'sync_users'>> {
  const named = users.map(user => ({ ...user, id: randomUUID(), hashes: tombstoneOf(peppers, { tenant, ...user }).hashes }))
  return db.settle('sync_users', sql`${tenant}, ${JSON.stringify(named)}::jsonb, ${by}::jsonb`)
}
