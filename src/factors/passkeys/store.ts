import sql from 'sql-template-tag'
import type { RelyingParty } from '../../config/passkeys.ts'
import type { Database } from '../../platform/db/client.ts'
import type { Settled } from '../../platform/db/settlements.ts'
import type { Acceptance, Refusal } from '../attempts.sql.ts'
import { settleUncharged } from '../refusals.sql.ts'
import { CHALLENGE_SECONDS } from './challenge.ts'
import type { Cause } from './passkey.ts'
import { relyingPartyOf } from './relying-party.ts'

/** What a signed answer is decided by. */
export interface Proof { challenge: bigint, isEligible: boolean }

/** So many spent challenges of a passkey are kept: more than anyone answers in five minutes. */
const MOST_SPENT = 100

/** Decides the race of answers to one challenge: `accepted` once, over every call and replica. What is refused is recorded. */
export async function settleAsserted (
  db: Database, { tenant, userId, epoch, factorId, counter, authentication, by, kind }: Acceptance, { challenge, isEligible }: Proof
): Promise<Settled<'accept_factor'>> {
  const result = await db.settle(
    'accept_passkey',
    sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${factorId}::uuid, ${String(challenge)}::bigint,
    ${CHALLENGE_SECONDS}::int, ${MOST_SPENT}::int, ${counter}::bigint, ${isEligible}, ${authentication}::jsonb, ${by}::jsonb`)
  if (result.outcome === 'accepted') return result
  await settleUncharged(db, { tenant, userId, call: kind, kind, cause: result.cause, by })
  return { outcome: 'spent' }
}

/** Records why an answer is refused. One that was not looked at has no cause, and is not refused. */
export async function settleUnproved (
  db: Database,
  { tenant, userId, kind, pendingId, near, by }: Refusal
): Promise<Settled<'refuse_factor'>> {
  if (near === null) return { outcome: 'refused' }
  const { cause } = near as { cause: Cause }
  return pendingId === undefined
    ? await settleUncharged(db, { tenant, userId, call: kind, kind, cause, by })
    : await db.settle('refuse_pending', sql`${tenant}, ${userId}::uuid, ${kind}, ${pendingId}::uuid, ${cause}, ${by}::jsonb`)
}

/** How many are bound to a domain that is not their tenant's any more, by the domain. */
export async function countUnusable (db: Database, parties: readonly RelyingParty[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  const rows = await db.reports<{ tenant: string, rpId: string, passkeys: number }>`
    SELECT tenant, rp_id AS "rpId", count(*)::int AS passkeys FROM factors WHERE rp_id IS NOT NULL GROUP BY tenant, rp_id`
  for (const { tenant, rpId, passkeys } of rows) {
    if (relyingPartyOf(parties, tenant)?.rpId !== rpId) counts[rpId] = (counts[rpId] ?? 0) + passkeys
  }
  return counts
}
