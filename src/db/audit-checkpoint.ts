import { START } from '../core/audit-chain.ts'
import { type Checkpoint, type CheckpointKey, openCheckpoint, signCheckpoint } from '../core/checkpoint.ts'
import { type Head, UTC } from './audit-chain.ts'
import { type Break, walkChain } from './audit-walk.ts'
import type { Database } from './client.ts'

export interface Signing {
  /** The first signs, all open. */
  keys: readonly CheckpointKey[]
  retentionDays: number
}

export interface CheckpointRow { count: number, jws: string }

/** What a row says if one of our keys has signed it, and for this place. */
export function readCheckpoint (tenant: string, { count, jws }: CheckpointRow, keys: readonly CheckpointKey[]): Checkpoint | null {
  const checkpoint = openCheckpoint(jws, keys)
  return checkpoint?.tenant === tenant && checkpoint.count === count ? checkpoint : null
}

/**
 * Tenants whose chain has grown since it was signed, or whose newest checkpoint is gone or says another retention; and all
 * once a day, so that what is older than the retention is signed as such.
 */
export const findUnsigned = async (db: Database, retentionDays: number): Promise<string[]> => (await db.chores<{ tenant: string }>`
  SELECT h.tenant FROM audit_heads h LEFT JOIN audit_checkpoints c ON c.tenant = h.tenant AND c.count = h.count
  WHERE c.at IS NULL OR c.at < statement_timestamp() - interval '24 hours' OR c.at - c.kept_since <> ${retentionDays}::int * interval '24 hours'`).map(({ tenant }) => tenant)

interface Unsigned extends Head { now: string, keptSince: string, newest: CheckpointRow | null }

/** Signs a tenant's chain as it is, after it has followed it from what was signed last. What does not hold is not signed. */
export async function signTenant (db: Database, tenant: string, { keys, retentionDays }: Signing): Promise<Checkpoint | Break> {
  const [row] = await db.chores<Unsigned>`
    SELECT h.count::float8, encode(h.hash, 'hex') AS digest,
      to_char(statement_timestamp() AT TIME ZONE 'UTC', ${UTC}) AS now,
      to_char((statement_timestamp() - ${retentionDays}::int * interval '24 hours') AT TIME ZONE 'UTC', ${UTC}) AS "keptSince",
      (SELECT jsonb_build_object('count', c.count, 'jws', c.jws) FROM audit_checkpoints c WHERE c.tenant = h.tenant ORDER BY c.count DESC LIMIT 1) AS newest
    FROM audit_heads h WHERE h.tenant = ${tenant}`
  const { count, digest, now, keptSince, newest } = row as Unsigned
  const last = newest === null ? null : readCheckpoint(tenant, newest, keys)
  if (newest !== null && last === null) return { position: newest.count, id: null, at: null, cause: 'checkpoint' }
  const walked = await walkChain(db, tenant, last ?? { count: 0, digest: START }, count, keptSince, new Map())
  if (walked.broken !== null) return walked.broken
  if (walked.digest !== digest || (last !== null && last.count > count)) return { position: count, id: null, at: null, cause: 'changed' }
  const checkpoint = { tenant, count, digest, until: latest(walked.until, last?.until), at: now, keptSince }
  await settleCheckpoint(db, checkpoint, keys[0] as CheckpointKey)
  return checkpoint
}

/** Of two times of which one at least is known. */
const latest = (one: string | null, other = ''): string => one === null || other > one ? other : one

const settleCheckpoint = (db: Database, checkpoint: Checkpoint, key: CheckpointKey): Promise<unknown> => {
  const { tenant, count, until, at, keptSince } = checkpoint
  return db.settle`SELECT put_checkpoint(${tenant}, ${count}::bigint, ${until}::timestamptz, ${at}::timestamptz, ${keptSince}::timestamptz,
    ${key.kid}, ${signCheckpoint(checkpoint, key)}) AS result`
}

/** Signs with the first key what an older one has signed, while that is still there to open it. Answers how many. */
export async function signAnew (db: Database, keys: readonly CheckpointKey[]): Promise<number> {
  const [first] = keys as [CheckpointKey]
  const rows = await db.chores<CheckpointRow & { tenant: string }>`
    SELECT tenant, count::float8, jws FROM audit_checkpoints WHERE kid = ANY(${keys.slice(1).map(({ kid }) => kid)}::text[]) LIMIT 1000`
  for (const { tenant, count, jws } of rows) {
    const checkpoint = readCheckpoint(tenant, { count, jws }, keys)
    if (checkpoint === null) continue
    await db.rows`UPDATE audit_checkpoints SET kid = ${first.kid}, jws = ${signCheckpoint(checkpoint, first)} WHERE tenant = ${tenant} AND count = ${count}::bigint AND jws = ${jws}`
  }
  return rows.length
}
