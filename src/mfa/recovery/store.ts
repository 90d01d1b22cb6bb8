import type { HashedCode } from '../../core/recovery-set.ts'
import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'

/** `id`: of the set, or of the bypass. */
export interface StoredCode { id: string, hash: string, pepperId: string }

/** The code of one slot, used or not. */
export async function findCode (db: Database, tenant: string, userId: string, slot: number): Promise<StoredCode | null> {
  const [row] = await db.rows<StoredCode>`SELECT s.id::text, c.hash, c.pepper_id AS "pepperId" FROM recovery_codes c
    JOIN recovery_sets s ON s.tenant = c.tenant AND s.user_id = c.user_id
    WHERE c.tenant = ${tenant} AND c.user_id = ${userId}::uuid AND c.slot = ${slot}::smallint`
  return row ?? null
}

/** What an administrator gave last, used or not, over or not. */
export async function findBypass (db: Database, tenant: string, userId: string): Promise<StoredCode | null> {
  const [row] = await db.rows<StoredCode>`SELECT id::text, hash, pepper_id AS "pepperId" FROM bypasses WHERE tenant = ${tenant} AND user_id = ${userId}::uuid`
  return row ?? null
}

/** Decides the race for one code: `accepted` once, `spent` to all others. Names the hash, so that a newer set's slot stays. */
export const settleRecovered = (db: Database, { tenant, userId, epoch, slot, hash, act, by }: { tenant: string, userId: string, epoch: number, slot: number, hash: string, act: object | null, by: By }): Promise<Settlement> =>
  db.settle`SELECT accept_recovery(${tenant}, ${userId}::uuid, ${epoch}::int, ${slot}::int, ${hash}, ${act}::jsonb, ${by}::jsonb) AS result`

/** The same for a bypass: `accepted` once, before it ends. */
export const settleBypassed = (db: Database, { tenant, userId, epoch, hash, act, by }: { tenant: string, userId: string, epoch: number, hash: string, act: object | null, by: By }): Promise<Settlement> =>
  db.settle`SELECT accept_bypass(${tenant}, ${userId}::uuid, ${epoch}::int, ${hash}, ${act}::jsonb, ${by}::jsonb) AS result`

/** Replaces the whole set; of parallel replacements the last one stands, whole. `stale` if there is no factor any more. */
export const settleReplaced = (db: Database, { tenant, userId, epoch, setId, codes, by }: { tenant: string, userId: string, epoch: number, setId: string, codes: HashedCode[], by: By }): Promise<Settlement> =>
  db.settle`SELECT replace_codes(${tenant}, ${userId}::uuid, ${epoch}::int, ${setId}::uuid, ${JSON.stringify(codes)}::jsonb, ${by}::jsonb) AS result`

/** Marks the present set as saved; the first time counts. */
export const settleAcknowledged = (db: Database, tenant: string, userId: string, setId: string): Promise<unknown> =>
  db.rows`UPDATE recovery_sets SET acknowledged_at = now()
    WHERE tenant = ${tenant} AND user_id = ${userId}::uuid AND id = ${setId}::uuid AND acknowledged_at IS NULL RETURNING 1`
