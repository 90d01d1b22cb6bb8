import sql from 'sql-template-tag'
import type { By } from '../audit/record.sql.ts'
import type { Database } from '../platform/db/client.ts'
import type { KeyRing } from './keys.ts'
import { open, seal, type SealContext } from './seal.ts'

const BATCH = 500

export interface Batch {
  tenant: string
  /** Rows that are of the first key now. */
  resealed: number
  /** Factors whose secret does not open: left as they are. */
  unreadable: string[]
}

/**
 * Puts every secret that an older key of the ring has sealed under the first one, tenant by tenant, a batch at a time. What
 * is done is done: a run that is stopped goes on where it was.
 */
export async function * resealAll (db: Database, ring: KeyRing, by: By, size = BATCH): AsyncGenerator<Batch> {
  for (const from of [...ring.keys.keys()].filter(id => id !== ring.primary)) {
    for (let tenant = await findTenant(db, from, ''); tenant !== null; tenant = await findTenant(db, from, tenant)) {
      for (const except: string[] = []; ;) {
        const rows = await findRows(db, from, tenant, except, size)
        if (rows.length === 0) break
        const batch = await resealRows(db, ring, from, tenant, rows, by)
        except.push(...batch.unreadable)
        yield batch
      }
    }
  }
}

/** The next tenant that has something of a key, by its name. */
async function findTenant (db: Database, from: string, after: string): Promise<string | null> {
  const [row] = await db.reports<{ tenant: string | null }>`SELECT min(tenant) AS tenant FROM (
    SELECT min(tenant) AS tenant FROM factors WHERE key_id = ${from} AND tenant > ${after}
    UNION ALL SELECT min(tenant) FROM enrollments WHERE key_id = ${from} AND tenant > ${after}) AS each`
  return (row as { tenant: string | null }).tenant
}

type Row = Omit<SealContext, 'tenant'> & { sealed: Uint8Array }

const findRows = (db: Database, from: string, tenant: string, except: readonly string[], size: number): Promise<Row[]> => db.reports<Row>`
  (SELECT user_id::text AS "userId", id::text AS "factorId", kind, algorithm, digits, period, sealed FROM factors
    WHERE tenant = ${tenant} AND key_id = ${from} AND id <> ALL(${except}::uuid[]) LIMIT ${size}::int)
  UNION ALL (SELECT user_id::text, factor_id::text, kind, algorithm, digits, period, sealed FROM enrollments
    WHERE tenant = ${tenant} AND key_id = ${from} AND factor_id <> ALL(${except}::uuid[]) LIMIT ${size}::int)`

/** One statement, with its audit row. */
async function resealRows (db: Database, ring: KeyRing, from: string, tenant: string, rows: Row[], by: By): Promise<Batch> {
  const changes: Array<{ id: string, was: string, sealed: string }> = []
  const unreadable: string[] = []
  for (const { sealed, ...of } of rows) {
    const was = Buffer.from(sealed)
    const context = { tenant, ...of }
    try {
      const { sealed } = open(ring, context, { keyId: from, sealed: was }, secret => seal(ring, context, secret))
      changes.push({ id: context.factorId, was: was.toString('hex'), sealed: sealed.toString('hex') })
    } catch {
      unreadable.push(context.factorId)
    }
  }
  const result = await db.settle('reseal', sql`${tenant}, ${from}, ${ring.primary}, ${JSON.stringify(changes)}::jsonb, ${by}::jsonb`)
  return { tenant, resealed: result.rows, unreadable }
}
