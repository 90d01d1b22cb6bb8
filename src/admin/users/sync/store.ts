import { randomUUID } from 'node:crypto'
import type { KeyRing } from '../../../core/keys.ts'
import { tombstoneOf } from '../../../core/tombstone.ts'
import type { By } from '../../../db/audit.ts'
import type { Database, Settlement } from '../../../db/client.ts'

/** All of them or none: `synced`, and how many were `created`, `updated` and `unchanged`. */
export function settleSync (db: Database, tenant: string, users: ReadonlyArray<{ namespace: string, subject: string }>, peppers: KeyRing, by: By): Promise<Settlement> {
  const named = users.map(user => ({ ...user, id: randomUUID(), hashes: tombstoneOf(peppers, { tenant, ...user }).hashes }))
  return db.settleMany`SELECT sync_users(${tenant}, ${JSON.stringify(named)}::jsonb, ${by}::jsonb) AS result`
}
