import sql, { type Sql } from 'sql-template-tag'
import type { Database } from '../platform/db/client.ts'

/** Which events of a tenant; `from` is the first moment that counts, `to` the first that no longer does. */
export interface EventFilter {
  tenant: string
  userId?: string | undefined
  /** Of the token: it finds the users who have it now. */
  subject?: string | undefined
  actorId?: string | undefined
  action?: string | undefined
  from?: Date | undefined
  to?: Date | undefined
}

export interface EventRow {
  id: string
  at: string
  tenant: string
  actorId: string | null
  actor: string | null
  userId: string | null
  user: string | null
  action: string
  outcome: string
  factorKind: string | null
  address: string | null
  requestId: string | null
  details: Record<string, unknown>
  /** Where a page ends that ends with this event: `<microseconds since 1970>_<id>`. */
  cursor: string
}

/** The shown name of the user in a column of `p`, as it is today; or a machine's, or the operator. Null once erased. */
const nameOf = (tenant: string, id: Sql): Sql => sql`CASE WHEN ${id} ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    THEN (SELECT u.account FROM users u WHERE u.tenant = ${tenant} AND u.id = ${id}::uuid) ELSE regexp_replace(${id}, '^service:', '') END`

/** The users who have this `sub`, one at most in each namespace. */
const findIds = async (db: Database, tenant: string, subject: string): Promise<string[]> =>
  (await db.models(({ user }) => user.findMany({ where: { tenant, subject }, select: { id: true } }))).map(({ id }) => id)

/**
 * The newest events first, after the one that `cursor` names. What is added meanwhile comes before the first page and
 * moves no later one.
 */
export async function findEvents (
  db: Database,
  { tenant, userId, subject, actorId, action, from, to }: EventFilter,
  cursor: string | undefined,
  limit: number
): Promise<EventRow[]> {
  const [micros, id] = cursor?.split('_') ?? []
  // Only what is asked for stands in the statement: an index serves what is there, not what may be there.
  const conditions = [
    userId === undefined ? sql`` : sql`AND subject = ${userId}`,
    subject === undefined ? sql`` : sql`AND subject = ANY(${await findIds(db, tenant, subject)}::text[])`,
    actorId === undefined ? sql`` : sql`AND actor = ${actorId}`,
    action === undefined ? sql`` : sql`AND action = ${action}`,
    from === undefined ? sql`` : sql`AND at >= ${from}::timestamptz`,
    to === undefined ? sql`` : sql`AND at < ${to}::timestamptz`,
    id === undefined ? sql`` : sql`AND (at, id) < ('epoch'::timestamptz + ${micros}::bigint * interval '1 microsecond', ${id}::uuid)`
  ] as const
  return await db.reports<EventRow>`
    SELECT p.id::text, to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, p.tenant,
      p.actor AS "actorId", ${nameOf(tenant, sql`p.actor`)} AS actor, p.subject AS "userId", ${nameOf(tenant, sql`p.subject`)} AS user,
      p.action, p.outcome, p.factor_kind AS "factorKind", p.address, p.request_id AS "requestId", p.details,
      (extract(epoch FROM p.at) * 1000000)::bigint || '_' || p.id AS cursor
    FROM (
      SELECT * FROM audit_events
      WHERE tenant = ${tenant} ${conditions[0]} ${conditions[1]} ${conditions[2]} ${conditions[3]}
        ${conditions[4]} ${conditions[5]} ${conditions[6]}
      ORDER BY at DESC, id DESC
      LIMIT ${limit}::int
    ) p
    ORDER BY p.at DESC, p.id DESC`
}
