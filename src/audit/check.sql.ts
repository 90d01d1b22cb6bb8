import type { Database } from '../platform/db/client.ts'
import { startRounds } from '../platform/rounds.ts'
import { findWaiting, STALLED_SECONDS, UTC, type Waiting } from './chain.sql.ts'
import { type CheckpointRow, followSigned } from './checkpoint.sql.ts'
import type { Checkpoint, CheckpointKey } from './checkpoint.ts'
import type { AuditMemory } from './memory.ts'
import type { Break } from './walk.sql.ts'

const LOOK_MS = 10_000
const CHECK_MS = 20_000
/** What lasts is reported again, at most so often. */
const REPEAT_MS = 60_000
const PAGE = 1000

export interface CheckingOptions {
  keys: readonly CheckpointKey[]
  memory: AuditMemory
  onError: (error: unknown) => void
  /** The audit was changed; once for each tenant, until it can be signed again. */
  onBroken: (tenant: string, broken: Break) => void
  /** With each look, how many seconds the oldest event that is not chained has waited. */
  onLook: (seconds: number) => void
  /** Events are not chained any more. */
  onStalled: (waiting: Waiting) => void
}

/**
 * What every replica does, with or without the lease: it remembers what the others have signed, holds what it remembers against
 * the database, and looks whether events are chained. Answers how to stop it.
 */
export function startChecking (
  db: Database, options: CheckingOptions, { lookMs, checkMs } = { lookMs: LOOK_MS, checkMs: CHECK_MS }
): () => Promise<void> {
  let reportedAt = -Infinity

  async function look (): Promise<void> {
    const waiting = await findWaiting(db)
    options.onLook(waiting?.seconds ?? 0)
    if (waiting === undefined || waiting.seconds < STALLED_SECONDS || performance.now() - reportedAt < REPEAT_MS) return
    reportedAt = performance.now()
    options.onStalled(waiting)
  }
  const stops = [startRounds(lookMs, options.onError, look), startRounds(checkMs, options.onError, () => checkSigned(db, options))]
  return async () => { for (const stop of stops) await stop() }
}

/** Holds all that is remembered against the database, and remembers what is new in there. */
export async function checkSigned (db: Database, options: Omit<CheckingOptions, 'onLook' | 'onStalled'>): Promise<void> {
  const { keys, memory, onError, onBroken } = options
  const check = async (tenant: string): Promise<void> => {
    const known = memory.newest(tenant)
    const found = await followSigned(db, tenant, await findNewest(db, tenant), known, keys)
    if (found === null) return
    if (!('cause' in found)) return memory.keep(found)
    if (memory.foundBroken(tenant)) onBroken(tenant, found)
  }
  for (const tenant of [...await findChanged(db, memory.all()), ...await findNew(db, memory)]) await check(tenant).catch(onError)
}

const findNewest = async (db: Database, tenant: string): Promise<CheckpointRow | null> => (await db.reports<CheckpointRow>`
  SELECT count::float8, jws FROM audit_checkpoints WHERE tenant = ${tenant} ORDER BY count DESC LIMIT 1`)[0] ?? null

/** Tenants whose newest checkpoint is another than the one that is remembered, or gone. */
async function findChanged (db: Database, known: Checkpoint[]): Promise<string[]> {
  const changed: string[] = []
  for (let from = 0; from < known.length; from += PAGE) {
    const page = known.slice(from, from + PAGE)
    const rows = await db.reports<Pick<Checkpoint, 'tenant' | 'count' | 'at'>>`
      SELECT c.tenant, c.count::float8, to_char(c.at AT TIME ZONE 'UTC', ${UTC}) AS at
      FROM unnest(${page.map(({ tenant }) => tenant)}::text[], ${page.map(({ count }) => count)}::bigint[]) AS k (tenant, count)
      JOIN audit_checkpoints c ON c.tenant = k.tenant AND c.count >= k.count ORDER BY c.count`
    const newest = new Map(rows.map(row => [row.tenant, row]))
    const isThere = ({ tenant, count, at }: Checkpoint): boolean => newest.get(tenant)?.count === count && newest.get(tenant)?.at === at
    changed.push(...page.filter(each => !isThere(each)).map(({ tenant }) => tenant))
  }
  return changed
}

/** Tenants that this replica does not know yet, as far as there is room. */
async function findNew (db: Database, memory: AuditMemory): Promise<string[]> {
  const found: string[] = []
  let after: string | undefined = ''
  while (after !== undefined) {
    const page: Array<{ tenant: string }> = await db.reports<{ tenant: string }>`
      SELECT tenant FROM audit_heads WHERE tenant > ${after} ORDER BY tenant LIMIT ${PAGE}::int`
    found.push(...page.map(({ tenant }) => tenant).filter(tenant => memory.newest(tenant) === undefined && memory.hasRoomFor(tenant)))
    after = page.length < PAGE ? undefined : page.at(-1)?.tenant
  }
  return found
}
