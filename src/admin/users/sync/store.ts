import sql from 'sql-template-tag'
import { randomUUID } from 'node:crypto'
import type { KeyRing } from '../../../core/keys.ts'
import { tombstoneOf } from '../../../core/tombstone.ts'
import type { By } from '../../../db/audit.ts'
import type { Database } from '../../../db/client.ts'
import type { Settled } from '../../../db/settlements.ts'

/** All of them or none: `synced`, and how many were `created`, `updated` and `unchanged`. */
export function settleSync (db: Database, tenant: string, users: ReadonlyArray<{ namespace: string, subject: string }>, peppers: KeyRing, by: By): Promise<Settled<'sync_users'>> {
  const named = users.map(user => ({ ...user, id: randomUUID(), hashes: tombstoneOf(peppers, { tenant, ...user }).hashes }))
  return db.settle('sync_users', sql`${tenant}, ${JSON.stringify(named)}::jsonb, ${by}::jsonb`)
}
