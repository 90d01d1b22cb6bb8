import sql from 'sql-template-tag'
import type { By } from '../../audit/record.sql.ts'
import type { Database } from '../../platform/db/client.ts'
import type { Settled } from '../../platform/db/settlements.ts'
import type { HashedCode } from '../recovery-codes/recovery-set.ts'

/** `id`: of the set, or of the bypass. */
export interface StoredCode { id: string, hash: string, tag: number, pepperId: string }

/** The code of one slot, used or not. */
export async function findCode (db: Database, tenant: string, userId: string, slot: number): Promise<StoredCode | null> {
  const [row] = await db.rows<StoredCode>`SELECT s.id::text, c.hash, c.tag, c.pepper_id AS "pepperId" FROM recovery_codes c
    JOIN recovery_sets s ON s.tenant = c.tenant AND s.user_id = c.user_id
    WHERE c.tenant = ${tenant} AND c.user_id = ${userId}::uuid AND c.slot = ${slot}::smallint`
  return row ?? null
}

/** What an administrator gave last, used or not, over or not. */
export async function findBypass (db: Database, tenant: string, userId: string): Promise<StoredCode | null> {
  const [row] = await db.rows<
    StoredCode
  >`SELECT id::text, hash, tag, pepper_id AS "pepperId" FROM bypasses WHERE tenant = ${tenant} AND user_id = ${userId}::uuid`
  return row ?? null
}

/** `kinds`: of the factors whose waits, locks and budgets end with it. */
export interface Recovery {
  tenant: string
  userId: string
  epoch: number
  hash: string
  kinds: readonly string[]
  authentication: object | null
  by: By
}

/** Decides the race for one code: `accepted` once, `spent` to all others. Names the hash, so that a newer set's slot stays. */
export const settleRecovered = (
  db: Database,
  { tenant, userId, epoch, slot, hash, kinds, authentication, by }: Recovery & { slot: number }
): Promise<Settled<'accept_recovery'>> =>
  db.settle(
    'accept_recovery',
    sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${slot}::int, ${hash}, ${kinds}::text[], ${authentication}::jsonb, ${by}::jsonb`
  )

/** The same for a bypass: `accepted` once, before it ends. */
export const settleBypassed = (
  db: Database,
  { tenant, userId, epoch, hash, kinds, authentication, by }: Recovery
): Promise<Settled<'accept_bypass'>> =>
  db.settle(
    'accept_bypass',
    sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${hash}, ${kinds}::text[], ${authentication}::jsonb, ${by}::jsonb`
  )

/** How often in an hour a user may have their codes hashed anew. */
const RENEWALS_PER_HOUR = 6
/** What waits longer than this for its hashes was lost. */
const RENEWAL_SECONDS = 10

/**
 * Decides who hashes: `claimed` by one call of a user at a time; `waiting` for the others, and after too many; `stale` in
 * another epoch.
 */
export const settleRenewalClaimed = (
  db: Database,
  { tenant, userId, epoch }: { tenant: string, userId: string, epoch: number }
): Promise<Settled<'claim_renewal'>> =>
  db.settle('claim_renewal', sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${RENEWALS_PER_HOUR}::int, ${RENEWAL_SECONDS}::int`)

/** Lets go of what `settleRenewalClaimed` gave, where nothing came of it. */
export const releaseRenewal = (db: Database, tenant: string, userId: string): Promise<unknown> =>
  db.rows`UPDATE throttles SET wait_until = NULL WHERE tenant = ${tenant} AND user_id = ${userId}::uuid AND kind = 'renew' RETURNING 1`

/** Replaces the whole set; of parallel replacements the last one stands, whole. `stale` if there is no factor any more. */
export const settleReplaced = (
  db: Database,
  { tenant, userId, epoch, setId, codes, by }: { tenant: string, userId: string, epoch: number, setId: string, codes: HashedCode[], by: By }
): Promise<Settled<'replace_codes'>> =>
  db.settle('replace_codes', sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${setId}::uuid, ${JSON.stringify(codes)}::jsonb, ${by}::jsonb`)

/** Marks a set as saved; the first time counts. */
export const settleAcknowledged = (db: Database, tenant: string, userId: string, setId: string): Promise<Settled<'acknowledge_codes'>> =>
  db.settle('acknowledge_codes', sql`${tenant}, ${userId}::uuid, ${setId}::uuid`)
