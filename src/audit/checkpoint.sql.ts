import sql from 'sql-template-tag'
import type { Database } from '../platform/db/client.ts'
import { UTC } from './chain.sql.ts'
import { type Head, START } from './chain.ts'
import { type Checkpoint, type CheckpointKey, openCheckpoint, signCheckpoint } from './checkpoint.ts'
import type { AuditMemory } from './memory.ts'
import { type Break, walkChain } from './walk.sql.ts'

export interface Signing {
  /** The first signs, all open. */
  keys: readonly CheckpointKey[]
  retentionDays: number
  memory: AuditMemory
}

export interface CheckpointRow { count: number, jws: string }

/** What a row says if one of our keys has signed it, and for this place. */
export async function readCheckpoint (
  tenant: string,
  { count, jws }: CheckpointRow,
  keys: readonly CheckpointKey[]
): Promise<Checkpoint | null> {
  const checkpoint = await openCheckpoint(jws, keys)
  return checkpoint?.tenant === tenant && checkpoint.count === count ? checkpoint : null
}

/**
 * Tenants whose chain has grown since it was signed, or whose newest checkpoint is gone or says another retention; and all
 * once a day, so that what is older than the retention is signed as such.
 */
export const findUnsigned = async (db: Database, retentionDays: number): Promise<string[]> => (await db.reports<{ tenant: string }>`
  SELECT h.tenant FROM audit_heads h LEFT JOIN audit_checkpoints c ON c.tenant = h.tenant AND c.count = h.count
  WHERE c.at IS NULL OR c.at < statement_timestamp() - interval '24 hours'
    OR c.at - c.kept_since <> ${retentionDays}::int * interval '24 hours'`).map(({ tenant }) => tenant)

interface Unsigned extends Head { now: string, keptSince: string, signed: Array<CheckpointRow & { link: string | null }> }

/**
 * Signs a tenant's chain as it is, after it has followed it from what was signed last, by this replica's memory and by the
 * database. What does not hold, or could not be remembered, is not signed.
 */
export async function signTenant (db: Database, tenant: string, { keys, retentionDays, memory }: Signing): Promise<Checkpoint | Break> {
  // Before the rows are read: whatever is signed in between is in them.
  const known = memory.newest(tenant)
  const state = await findState(db, tenant, retentionDays)
  if (state === undefined) return { position: 1, id: null, at: null, cause: 'missing' }
  const { count, digest, now, keptSince, signed: [newest = null, before] } = state
  const last = await followSigned(db, tenant, newest, known, keys)
  if (last !== null && 'cause' in last) return last
  // A replica that remembers more than this one may have put one back behind it.
  const doesHold = before === undefined || before.link === null || (await readCheckpoint(tenant, before, keys))?.digest === before.link
  if (!doesHold) return { position: before.count, id: null, at: null, cause: 'changed' }
  if (!memory.hasRoomFor(tenant)) throw new Error('There is no room to remember one more tenant\'s checkpoint, so it is not signed.')
  const walked = await walkChain(db, tenant, last ?? { count: 0, digest: START }, count, keptSince, new Map())
  if (walked.broken !== null) return walked.broken
  if (walked.digest !== digest || (last !== null && last.count > count)) return { position: count, id: null, at: null, cause: 'changed' }
  const until = latest(walked.until, last?.until)
  const checkpoint = { tenant, count, digest, until, at: now, keptSince, previous: previousOf(last, count) }
  await settleCheckpoint(db, checkpoint, keys[0] as CheckpointKey)
  memory.keep(checkpoint)
  return checkpoint
}

/** Where a chain ends, and its newest two checkpoints, the newest first, with the digest that the chain has there. */
const findState = async (db: Database, tenant: string, retentionDays: number): Promise<Unsigned | undefined> => (await db.reports<Unsigned>`
  SELECT h.count::float8, encode(h.hash, 'hex') AS digest,
    to_char(statement_timestamp() AT TIME ZONE 'UTC', ${UTC}) AS now,
    to_char((statement_timestamp() - ${retentionDays}::int * interval '24 hours') AT TIME ZONE 'UTC', ${UTC}) AS "keptSince",
    (SELECT coalesce(jsonb_agg(s ORDER BY s.count DESC), '[]') FROM (
      SELECT c.count, c.jws, (SELECT encode(l.hash, 'hex') FROM audit_chain l WHERE l.tenant = ${tenant} AND l.position = c.count) AS link
      FROM audit_checkpoints c WHERE c.tenant = ${tenant} ORDER BY c.count DESC LIMIT 2) s) AS signed
  FROM audit_heads h WHERE h.tenant = ${tenant}`)[0]

/** Of two times of which one at least is known. */
const latest = (one: string | null, other = ''): string => one === null || other > one ? other : one

/** Signed again at the same place, it goes on from where it did. */
const previousOf = (last: Checkpoint | null, count: number): Head => {
  if (last === null) return { count: 0, digest: START }
  return last.count === count ? last.previous : { count: last.count, digest: last.digest }
}

const isSame = (one: Head, other: Head): boolean => one.count === other.count && one.digest === other.digest

/**
 * The newest checkpoint of a tenant in the database, if it goes on from the one that is remembered; null where nothing was
 * signed. One that does not is a break, and so is one that is gone: then what is remembered is put back, for the others to
 * see. Of two that contradict each other the one that was signed first stays: what was forged was signed later.
 */
export async function followSigned (
  db: Database, tenant: string, newest: CheckpointRow | null, known: Checkpoint | undefined, keys: readonly CheckpointKey[]
): Promise<Checkpoint | Break | null> {
  const last = newest === null ? null : await readCheckpoint(tenant, newest, keys)
  const unreadable = last === null ? newest : null
  const lost: Break = { position: (unreadable ?? known)?.count ?? null, id: null, at: null, cause: 'checkpoint' }
  if (known === undefined) return unreadable === null ? last : lost
  const broken = last === null || last.count < known.count ? lost : await findFork(db, last, known)
  if (broken !== null) await putBack(db, known, keys)
  return broken ?? last
}

/** Where the newer of two checkpoints is not the other one, or does not go on from it. */
async function findFork (db: Database, last: Checkpoint, known: Checkpoint): Promise<Break | null> {
  if (isSame(last, known) || isSame(last.previous, known)) return null
  if (last.count === known.count) return { position: known.count, id: null, at: null, cause: 'checkpoint' }
  // Its signer went on from another one: some lie between, or it has followed another chain.
  return (await walkChain(db, last.tenant, known, last.count, last.keptSince, new Map([[last.count, last.digest]]))).broken
}

async function putBack (db: Database, known: Checkpoint, keys: readonly CheckpointKey[]): Promise<void> {
  const [row] = await db.reports<CheckpointRow>`
    SELECT count::float8, jws FROM audit_checkpoints WHERE tenant = ${known.tenant} AND count = ${known.count}::bigint`
  const there = row === undefined ? null : await readCheckpoint(known.tenant, row, keys)
  if (there === null || there.at > known.at) await settleCheckpoint(db, known, keys[0] as CheckpointKey)
}

const settleCheckpoint = async (db: Database, checkpoint: Checkpoint, key: CheckpointKey): Promise<unknown> => {
  const { tenant, count, until, at, keptSince } = checkpoint
  return await db.settle(
    'put_checkpoint',
    sql`${tenant}, ${count}::bigint, ${until}::timestamptz, ${at}::timestamptz, ${keptSince}::timestamptz,
    ${key.kid}, ${await signCheckpoint(checkpoint, key)}`)
}

/** Signs with the first key what an older one has signed, while that is still there to open it. Answers how many. */
export async function signAnew (db: Database, keys: readonly CheckpointKey[]): Promise<number> {
  const [first] = keys as [CheckpointKey]
  const rows = await db.reports<CheckpointRow & { tenant: string }>`
    SELECT tenant, count::float8, jws FROM audit_checkpoints WHERE kid = ANY(${keys.slice(1).map(({ kid }) => kid)}::text[]) LIMIT 1000`
  for (const { tenant, count, jws } of rows) {
    const checkpoint = await readCheckpoint(tenant, { count, jws }, keys)
    if (checkpoint === null) continue
    await db.rows`UPDATE audit_checkpoints SET kid = ${first.kid}, jws = ${await signCheckpoint(checkpoint, first)}
      WHERE tenant = ${tenant} AND count = ${count}::bigint AND jws = ${jws}`
  }
  return rows.length
}
