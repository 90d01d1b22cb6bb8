import sql, { type Sql } from 'sql-template-tag'
import type { Database } from '../platform/db/client.ts'
import { STALLED_SECONDS, UTC } from './chain.sql.ts'
import { type Head, START } from './chain.ts'
import { type CheckpointRow, readCheckpoint } from './checkpoint.sql.ts'
import type { Checkpoint, CheckpointKey } from './checkpoint.ts'
import { type Break, walkChain } from './walk.sql.ts'

export interface Verdict {
  events: number
  broken: Break | null
  /** When the oldest event was that should be in the chain by now and is not: as long as it is in none, a change of it would not show. */
  waitingSince?: string
}

/** All tenants in any of these tables: one that has lost its rows in one table is still in another. */
export const findTenants = async (db: Database): Promise<string[]> => (await db.reports<{ tenant: string }>`
  SELECT tenant FROM audit_heads UNION SELECT tenant FROM audit_checkpoints UNION SELECT tenant FROM audit_pending
  UNION SELECT tenant FROM users UNION SELECT tenant FROM policies ORDER BY tenant`).map(({ tenant }) => tenant)

interface State extends Head { first: number | null, checkpoints: CheckpointRow[] }

const missing = (position: number): Break => ({ position, id: null, at: null, cause: 'missing' })

/**
 * Is a tenant's log what it was? Follows the chain from its start, or from the signed end of what retention has removed,
 * to its head, holds it against each checkpoint, and looks for events that are in no chain.
 * @param known a checkpoint that was kept somewhere else, where a writer of this database could not replace it: in a log,
 *   or in the memory of a replica
 */
export async function verifyTenant (db: Database, tenant: string, keys: readonly CheckpointKey[], known?: Head): Promise<Verdict> {
  const state = await findState(db, tenant)
  const opened = await Promise.all(state.checkpoints.map(row => readCheckpoint(tenant, row, keys)))
  const signed = opened.filter(checkpoint => checkpoint !== null)
  const keptSince = signed.reduce((latest, checkpoint) => checkpoint.keptSince > latest ? checkpoint.keptSince : latest, '')
  const { events, added } = await findAdded(db, tenant)
  const bad = opened.indexOf(null)
  const found = [
    bad === -1 ? null : { ...missing((state.checkpoints[bad] as CheckpointRow).count), cause: 'checkpoint' as const },
    await followChain(db, tenant, state, signed, keptSince, known),
    added,
    await findLost(db, tenant, keptSince)
  ].filter(each => each !== null)
  const waitingSince = await findWaitingSince(db, tenant)
  return { events, broken: found.sort(byTime)[0] ?? null, ...(waitingSince !== undefined && { waitingSince }) }
}

const findWaitingSince = async (db: Database, tenant: string): Promise<string | undefined> => (await db.reports<{ at: string }>`
  SELECT to_char(p.at AT TIME ZONE 'UTC', ${UTC}) AS at FROM audit_pending p
  WHERE p.tenant = ${tenant} AND p.at < clock_timestamp() - ${STALLED_SECONDS}::int * interval '1 second'
    AND NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.tenant = ${tenant} AND c.at = p.at AND c.id = p.id)
  ORDER BY p.at LIMIT 1`)[0]?.at

/** What is known by its time, oldest first; then what is known by its position alone. */
const byTime = (one: Break, other: Break): number => (one.at ?? '~') < (other.at ?? '~') ? -1 : 1

async function followChain (
  db: Database,
  tenant: string,
  head: State,
  signed: Checkpoint[],
  keptSince: string,
  known: Head | undefined
): Promise<Break | null> {
  const { count, digest, first } = head
  const removed = first === null ? count : first - 1
  // Only what was older than the retention, at a time for which that is signed, may be gone from the beginning.
  const start = signed.filter(({ until, count }) => until < keptSince && count <= removed).at(-1) ?? { count: 0, digest: START }
  if (start.count !== removed) return missing(start.count + 1)
  const marks = [...signed, ...(known === undefined ? [] : [known])]
  if (marks.some(mark => mark.count === start.count && mark.digest !== start.digest)) return { ...missing(start.count), cause: 'changed' }
  const walked = await walkChain(db, tenant, start, count, keptSince, new Map(marks.map(mark => [mark.count, mark.digest])))
  if (walked.broken !== null) return walked.broken
  if (marks.some(mark => mark.count > count)) return missing(count + 1)
  return walked.digest === digest ? null : { ...missing(count), cause: 'changed' }
}

async function findState (db: Database, tenant: string): Promise<State> {
  const [row] = await db.reports<{ head: Head | null, first: number | null, checkpoints: CheckpointRow[] }>`
    SELECT (SELECT jsonb_build_object('count', count, 'digest', encode(hash, 'hex')) FROM audit_heads WHERE tenant = ${tenant}) AS head,
      (SELECT min(position)::float8 FROM audit_chain WHERE tenant = ${tenant}) AS first,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('count', count, 'jws', jws) ORDER BY count), '[]') FROM audit_checkpoints
        WHERE tenant = ${tenant}) AS checkpoints`
  const { head, first, checkpoints } = row as NonNullable<typeof row>
  return { ...(head ?? { count: 0, digest: START }), first, checkpoints }
}

const PAGE = 5000
interface Page { events: number, last: { at: string, id: string } | null, added: Pick<Break, 'at' | 'id'> | null }

/** How many events there are, and the first that is neither chained nor entered for it. */
async function findAdded (db: Database, tenant: string): Promise<{ events: number, added: Break | null }> {
  let events = 0
  let added: Break | null = null
  let after: Sql | undefined = sql``
  while (after !== undefined) {
    const pages: Page[] = await db.reports<Page>`
      WITH page AS MATERIALIZED (
        SELECT at, id FROM audit_events WHERE tenant = ${tenant} ${after} ORDER BY at, id LIMIT ${PAGE}::int
      ), strange AS (
        SELECT at, id FROM page e
        WHERE NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.tenant = ${tenant} AND c.at = e.at AND c.id = e.id
            AND c.position <= (SELECT count FROM audit_heads WHERE tenant = ${tenant}))
          AND NOT EXISTS (SELECT 1 FROM audit_pending p WHERE p.tenant = ${tenant} AND p.at = e.at AND p.id = e.id)
        ORDER BY at, id LIMIT 1
      )
      SELECT (SELECT count(*)::float8 FROM page) AS events,
        (SELECT jsonb_build_object('at', at, 'id', id) FROM page ORDER BY at DESC, id DESC LIMIT 1) AS last,
        (SELECT jsonb_build_object('at', to_char(at AT TIME ZONE 'UTC', ${UTC}), 'id', id) FROM strange) AS added`
    const { events: count, last, added: first } = pages[0] as Page
    events += count
    if (first !== null) added ??= { ...first, position: null, cause: 'added' }
    after = last === null || count < PAGE ? undefined : sql`AND (at, id) > (${last.at}::timestamptz, ${last.id}::uuid)`
  }
  return { events, added }
}

/** The first event that was entered for the chain and is gone before it got there. */
async function findLost (db: Database, tenant: string, keptSince: string): Promise<Break | null> {
  const [lost] = await db.reports<Pick<Break, 'at' | 'id'>>`
    SELECT to_char(p.at AT TIME ZONE 'UTC', ${UTC}) AS at, p.id::text FROM audit_pending p
    WHERE p.tenant = ${tenant} AND p.at >= ${keptSince === '' ? '-infinity' : keptSince}::timestamptz
      AND NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.tenant = ${tenant} AND e.at = p.at AND e.id = p.id)
    ORDER BY p.at, p.id LIMIT 1`
  return lost === undefined ? null : { ...lost, position: null, cause: 'missing' }
}
