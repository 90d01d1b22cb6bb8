import { randomUUID } from 'node:crypto'
import type { By } from '../../../db/audit.ts'
import type { Database, Settlement } from '../../../db/client.ts'

/** All of them or none: `synced`, and how many were `created`, `updated` and `unchanged`. */
export const settleSync = (db: Database, tenant: string, users: ReadonlyArray<{ namespace: string, subject: string }>, by: By): Promise<Settlement> =>
  db.settle`SELECT sync_users_v1(${tenant}, ${JSON.stringify(users.map(user => ({ ...user, id: randomUUID() })))}::jsonb, ${by}::jsonb) AS result`
