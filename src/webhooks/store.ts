import sql from 'sql-template-tag'
import type { By } from '../audit/record.sql.ts'
import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'

export interface UndeliveredRow {
  id: string
  at: string
  type: string
  userId: string | null
  status: 'waiting' | 'retrying' | 'parked'
  attempts: number
  failure: string | null
  lastTriedAt: string | null
  nextTryAt: string | null
  /** Where a page ends that ends with this one: `<microseconds since 1970>_<id>`. */
  cursor: string
}

/** What was not delivered yet, the newest first, after the one that `cursor` names. */
export async function findUndelivered (db: Database, tenant: string, cursor: string | undefined, limit: number): Promise<UndeliveredRow[]> {
  const [micros, id] = cursor?.split('_') ?? []
  const after = id === undefined
    ? sql``
    : sql`AND (n.at, n.id) < ('epoch'::timestamptz + ${micros}::bigint * interval '1 microsecond', ${id}::uuid)`
  return await db.reports<UndeliveredRow>`
    SELECT n.id::text, to_char(n.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
      coalesce((SELECT e.action FROM audit_events e WHERE e.tenant = ${tenant} AND e.at = n.at
        AND e.id = n.id), 'unknown') AS type, nullif(n.subject, '') AS "userId",
      CASE WHEN n.parked_at IS NOT NULL THEN 'parked' WHEN n.failure IS NOT NULL THEN 'retrying'
        ELSE 'waiting' END AS status, n.attempts, n.failure,
      to_char(n.tried_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "lastTriedAt",
      CASE WHEN n.parked_at IS NULL THEN to_char(greatest(n.due_at, n.leased_until) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') END AS "nextTryAt",
      (extract(epoch FROM n.at) * 1000000)::bigint || '_' || n.id AS cursor
    FROM webhook_events n
    WHERE n.tenant = ${tenant} ${after}
    ORDER BY n.at DESC, n.id DESC LIMIT ${limit}::int`
}

/** `retried`: tried again at once and for another day, in its place before what came later; `gone` where there is no such event. */
export const settleRetried = (db: Database, tenant: string, id: string, by: By): Promise<Settled<'retry_webhook_event'>> =>
  db.settle('retry_webhook_event', sql`${tenant}, ${id}::uuid, ${by}::jsonb`)
