import sql from 'sql-template-tag'
import type { Database } from '../platform/db/client.ts'
import { type ChainedEvent, digestEvent, type Head, link, START } from './chain.ts'

const BATCH = 500

export const UTC = sql`'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'`

/** The columns of `e`, an event, as they are hashed. */
export const CHAINED = sql`e.tenant, to_char(e.at AT TIME ZONE 'UTC', ${UTC}) AS at, e.id::text, e.actor, e.subject, e.action, e.outcome,
  e.factor_kind AS "factorKind", e.address, e.request_id AS "requestId", e.details::text AS details`

/** Tenants with events that are not in their chain yet. */
export const findUnchained = async (db: Database): Promise<string[]> =>
  (await db.reports<{ tenant: string }>`SELECT DISTINCT tenant FROM audit_pending`).map(({ tenant }) => tenant)

const findHead = async (db: Database, tenant: string): Promise<Head> =>
  (await db.rows<Head>`SELECT count::float8, encode(hash, 'hex') AS digest FROM audit_heads WHERE tenant = ${tenant}`)[0] ??
    { count: 0, digest: START }

export interface ChainTenantOptions {
  /** Looks at events before they are chained. Those that it fails on, or that a killed replica had in hand, come again. */
  look?: (events: ChainedEvent[]) => Promise<void>
  /** Each event once, over all replicas. */
  onChained?: (events: ChainedEvent[]) => void
}

/**
 * Chains what a tenant has entered so far, oldest first, and answers how many events that were. An event is entered with
 * the transaction that it tells of, so that none is missed however late that commits. The head is read before the events:
 * whatever another replica chains in between makes the head stale, and nothing is appended twice.
 */
export async function chainTenant (db: Database, tenant: string, { look, onChained }: ChainTenantOptions = {}): Promise<number> {
  let chained = 0
  let isMore = true
  while (isMore) {
    const head = await findHead(db, tenant)
    // Planned anew each time: what was planned for a few events would never end with a backlog of many.
    const events = await db.reports<ChainedEvent>`
      SELECT ${CHAINED} FROM audit_pending p JOIN audit_events e ON e.tenant = p.tenant AND e.at = p.at AND e.id = p.id
      WHERE p.tenant = ${tenant} AND NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.tenant = p.tenant AND c.at = p.at AND c.id = p.id)
      ORDER BY p.at, p.id LIMIT ${BATCH}::int`
    if (events.length === 0) return chained
    await look?.(events)
    if (!await append(db, tenant, head, events)) return chained
    chained += events.length
    onChained?.(events)
    isMore = events.length === BATCH
  }
  return chained
}

/** False where another replica has appended to that head. */
async function append (db: Database, tenant: string, head: Head, events: ChainedEvent[]): Promise<boolean> {
  let { digest } = head
  const links = events.map(event => {
    const eventDigest = digestEvent(event)
    digest = link(digest, eventDigest, event.at)
    return { ...event, eventDigest, digest }
  })
  try {
    return await settleAppended(db, tenant, head, links)
  } catch (error) {
    // The answer may be lost though the links were written: the head says whether they were.
    const { count, digest: last } = await findHead(db, tenant)
    if (count === head.count + events.length && last === digest) return true
    throw error
  }
}

type NewLink = Pick<ChainedEvent, 'at' | 'id'> & { eventDigest: string, digest: string }

async function settleAppended (db: Database, tenant: string, { count, digest }: Head, links: NewLink[]): Promise<boolean> {
  const { outcome } = await db.settle('append_audit', sql`${tenant}, ${count}::bigint, ${digest},
    ${links.map(({ at }) => at)}::text[]::timestamptz[], ${links.map(({ id }) => id)}::text[]::uuid[],
    ${links.map(({ eventDigest }) => eventDigest)}::text[], ${links.map(({ digest }) => digest)}::text[]`)
  return outcome === 'appended'
}

/** An event that no chain has yet, the oldest there is. */
export interface Waiting { tenant: string, since: string, seconds: number }

/** Longer than it takes until another replica has the lease of one that was killed. */
export const STALLED_SECONDS = 30

/** The event that has waited for the longest, of all tenants. Who holds the lease does not matter: that may be what is wrong. */
export const findWaiting = async (db: Database): Promise<Waiting | undefined> => (await db.reports<Waiting>`
  SELECT p.tenant, to_char(min(p.at) AT TIME ZONE 'UTC', ${UTC}) AS since,
    extract(epoch FROM clock_timestamp() - min(p.at))::float8 AS seconds
  FROM audit_pending p WHERE NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.tenant = p.tenant AND c.at = p.at AND c.id = p.id)
  GROUP BY p.tenant ORDER BY min(p.at) LIMIT 1`)[0]
