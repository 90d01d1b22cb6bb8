import type { Database } from '../../db/client.ts'
import { fragment } from '../../db/fragment.ts'

/** Which events of a tenant; `from` is the first moment that counts, `to` the first that no longer does. */
export interface EventFilter {
  tenant: string
  subject?: string | undefined
  actor?: string | undefined
  action?: string | undefined
  from?: Date | undefined
  to?: Date | undefined
}

export interface EventRow {
  id: string
  at: string
  tenant: string
  actor: string | null
  subject: string | null
  action: string
  outcome: string
  factorKind: string | null
  address: string | null
  requestId: string | null
  details: Record<string, unknown>
  /** Where a page ends that ends with this event: `<microseconds since 1970>_<id>`. */
  cursor: string
}

/**
 * The newest events first, after the one that `cursor` names. What is added meanwhile comes before the first page and
 * moves no later one.
 */
export async function findEvents (db: Database, { tenant, subject, actor, action, from, to }: EventFilter, cursor: string | undefined, limit: number): Promise<EventRow[]> {
  const [micros, id] = cursor?.split('_') ?? []
  // Only what is asked for stands in the statement: an index serves what is there, not what may be there.
  const conditions = [
    subject === undefined ? fragment`` : fragment`AND subject = ${subject}`,
    actor === undefined ? fragment`` : fragment`AND actor = ${actor}`,
    action === undefined ? fragment`` : fragment`AND action = ${action}`,
    from === undefined ? fragment`` : fragment`AND at >= ${from}::timestamptz`,
    to === undefined ? fragment`` : fragment`AND at < ${to}::timestamptz`,
    id === undefined ? fragment`` : fragment`AND (at, id) < ('epoch'::timestamptz + ${micros}::bigint * interval '1 microsecond', ${id}::uuid)`
  ] as const
  return await db.reports<EventRow>`
    SELECT id::text, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, tenant, actor, subject, action, outcome,
      factor_kind AS "factorKind", address, request_id AS "requestId", details,
      (extract(epoch FROM at) * 1000000)::bigint || '_' || id AS cursor
    FROM audit_events
    WHERE tenant = ${tenant} ${conditions[0]} ${conditions[1]} ${conditions[2]} ${conditions[3]} ${conditions[4]} ${conditions[5]}
    -- By the columns, of which the index is: the bare names are the texts above.
    ORDER BY audit_events.at DESC, audit_events.id DESC
    LIMIT ${limit}::int`
}
