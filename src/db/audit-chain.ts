import { type ChainedEvent, link, START } from '../core/audit-chain.ts'
import type { Database } from './client.ts'
import { fragment } from './fragment.ts'

/** Where a chain ends: so many events since its beginning, and the digest of the last one. */
export interface Head { count: number, digest: string }

const BATCH = 500

export const UTC = fragment`'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'`

/** The columns of `e`, an event, as they are hashed. */
export const CHAINED = fragment`e.tenant, to_char(e.at AT TIME ZONE 'UTC', ${UTC}) AS at, e.id::text, e.actor, e.subject, e.action, e.outcome,
  e.factor_kind AS "factorKind", e.address, e.request_id AS "requestId", e.details::text AS details`

/** Tenants with events that are not in their chain yet. */
export const findUnchained = async (db: Database): Promise<string[]> =>
  (await db.chores<{ tenant: string }>`SELECT DISTINCT tenant FROM audit_pending`).map(({ tenant }) => tenant)

const findHead = async (db: Database, tenant: string): Promise<Head> =>
  (await db.rows<Head>`SELECT count::float8, encode(hash, 'hex') AS digest FROM audit_heads WHERE tenant = ${tenant}`)[0] ?? { count: 0, digest: START }

/**
 * Chains what a tenant has entered so far, oldest first, and answers how many events that were. An event is entered with
 * the transaction that it tells of, so that none is missed however late that commits. The head is read before the events:
 * whatever another replica chains in between makes the head stale, and nothing is appended twice.
 */
export async function chainTenant (db: Database, tenant: string, onChained: (events: ChainedEvent[]) => void | Promise<void> = () => {}): Promise<number> {
  let chained = 0
  let isMore = true
  while (isMore) {
    const head = await findHead(db, tenant)
    const events = await db.rows<ChainedEvent>`
      SELECT ${CHAINED} FROM audit_pending p JOIN audit_events e ON e.tenant = p.tenant AND e.at = p.at AND e.id = p.id
      WHERE p.tenant = ${tenant} AND NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.tenant = p.tenant AND c.at = p.at AND c.id = p.id)
      ORDER BY p.at, p.id LIMIT ${BATCH}::int`
    if (events.length === 0 || !await settleAppended(db, tenant, head, events)) return chained
    chained += events.length
    await onChained(events)
    isMore = events.length === BATCH
  }
  return chained
}

/** False where somebody else has appended to that head. */
async function settleAppended (db: Database, tenant: string, { count, digest }: Head, events: ChainedEvent[]): Promise<boolean> {
  let last = digest
  const digests = events.map(event => { last = link(last, event); return last })
  const { outcome } = await db.settle`SELECT append_audit(${tenant}, ${count}::bigint, ${digest},
    ${events.map(({ at }) => at)}::text[]::timestamptz[], ${events.map(({ id }) => id)}::text[]::uuid[], ${digests}::text[]) AS result`
  return outcome === 'appended'
}
