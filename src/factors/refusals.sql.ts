import sql from 'sql-template-tag'
import type { By } from '../audit/record.sql.ts'
import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'

/** A refused code that costs no attempt; without a `cause` it was simply not there. */
export interface Refusal { tenant: string, userId: string, call: string, kind: string, cause?: string, by: By }

/** Counts it: of those of one user there is at most one audit event a minute, which says how many there were. */
export const settleUncharged = (db: Database, { tenant, userId, call, kind, cause, by }: Refusal): Promise<Settled<'record_refusal'>> =>
  db.settle('record_refusal', sql`${tenant}, ${userId}::uuid, ${call}, ${kind}, ${cause ?? null}, ${by}::jsonb`)

/** So many users a minute are reported by each replica. */
const MOST = 1000

/** Reports those that no later one has reported within a minute. */
export async function reportRefusals (db: Database): Promise<void> {
  const due = await db.reports<{ tenant: string, userId: string, call: string }>`
    SELECT tenant, user_id::text AS "userId", call FROM refusals WHERE reported_at <= now() - interval '1 minute' LIMIT ${MOST}::int`
  for (const { tenant, userId, call } of due) await db.settle('report_refusals', sql`${tenant}, ${userId}::uuid, ${call}`)
}
