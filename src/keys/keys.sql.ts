import sql from 'sql-template-tag'
import { OPERATOR } from '../audit/record.sql.ts'
import type { Database } from '../platform/db/client.ts'
import type { KeyMark, KeyRing, Purpose } from './keys.ts'
import { findOtherPeppers } from './peppers.sql.ts'
import type { KeyState } from './rotation.ts'
import { open, type SealContext } from './seal.ts'

/** A key that this database was not used with, or lacks. `why` is text for the operator. */
export class KeyError extends Error {
  override name = 'KeyError'
  constructor (readonly purpose: Purpose, readonly why: string) { super(why) }
}

/** Rows of each kind that one key's row is tried with, where its fingerprint is not known yet: some may have been changed. */
const SAMPLES = 10

/**
 * Do the keys open what the database holds? By the fingerprint of each id, which is kept; and where none is known yet, by
 * opening some rows. Makes new keys known. Some milliseconds, however many rows there are.
 * @throws KeyError if they do not
 */
export async function proveKeys (db: Database, marks: readonly KeyMark[], ring: KeyRing): Promise<void> {
  const known = await db.rows<
    { purpose: Purpose, id: string, fingerprint: string, isLost: boolean }
  >`SELECT purpose, id, fingerprint, lost_at IS NOT NULL AS "isLost" FROM keys`
  for (const { purpose, id, fingerprint } of known) {
    const mark = marks.find(isOf(purpose, id))
    if (mark !== undefined && mark.fingerprint !== fingerprint) refuseOther(purpose, id)
  }
  const [{ needed }] = await db.rows`SELECT keys_in_use() AS needed` as [{ needed: Record<'sealing' | 'pepper', string[]> }]
  needed.pepper.push(...await findOtherPeppers(db))
  for (const purpose of ['sealing', 'pepper'] as const) {
    for (const id of needed[purpose]) {
      if (known.some(key => key.isLost && isOf(purpose, id)(key))) continue
      if (!marks.some(isOf(purpose, id))) throw new KeyError(purpose, `lacks the key ${JSON.stringify(id)}, which the database needs`)
      if (purpose === 'sealing' && !known.some(isOf(purpose, id))) await proveByRows(db, ring, id)
    }
  }
  await reportKeys(db, marks)
}

const isOf = (purpose: Purpose, id: string) => (key: { purpose: Purpose, id: string }): boolean => key.purpose === purpose && key.id === id

const refuseOther = (purpose: Purpose, id: string): never => {
  throw new KeyError(
    purpose,
    `has another key under the id ${JSON.stringify(id)} than the one that this database was used with: give a new key an id of its own`
  )
}

async function proveByRows (db: Database, ring: KeyRing, keyId: string): Promise<void> {
  const rows = await db.rows<SealContext & { sealed: Uint8Array }>`
    (SELECT tenant, user_id::text AS "userId", id::text AS "factorId", kind, algorithm, digits, period, sealed FROM factors
      WHERE key_id = ${keyId} LIMIT ${SAMPLES}::int)
    UNION ALL (SELECT tenant, user_id::text, factor_id::text, kind, algorithm, digits, period, sealed FROM enrollments
      WHERE key_id = ${keyId} LIMIT ${SAMPLES}::int)`
  const doesOpen = ({ sealed, ...context }: typeof rows[number]): boolean => {
    try {
      open(ring, context, { keyId, sealed: Buffer.from(sealed) }, () => {})
      return true
    } catch { return false }
  }
  if (rows.length > 0 && !rows.some(doesOpen)) refuseOther('sealing', keyId)
}

/**
 * Says which keys this replica has and which are its first: `rotate` and `retire` wait for what no replica has said. The
 * first use of a new key is an audit event of every tenant.
 * @throws KeyError for a key of a known id and other bytes
 */
export async function reportKeys (db: Database, marks: readonly KeyMark[]): Promise<void> {
  const result = await db.settle('report_keys', sql`${JSON.stringify(marks)}::jsonb`)
  if (result.outcome === 'other') return refuseOther(result.purpose, result.id)
  for (const { purpose, id } of result.begun) await db.settle('begin_key', sql`${purpose}, ${id}, ${OPERATOR}::jsonb`)
}

/** False for a key that this database does not know, or that was forgotten already. */
export async function forgetKey (db: Database, purpose: Purpose, id: string): Promise<boolean> {
  return (await db.settle('forget_key', sql`${purpose}, ${id}, ${OPERATOR}::jsonb`)).outcome === 'forgotten'
}

export const findKeyStates = (db: Database): Promise<KeyState[]> => db.rows<KeyState>`
  SELECT purpose, id, extract(epoch FROM clock_timestamp() - added_at)::float8 AS "addedAge",
    extract(epoch FROM clock_timestamp() - absent_at)::float8 AS "absentAge",
    extract(epoch FROM clock_timestamp() - first_at)::float8 AS "firstAge"
  FROM keys ORDER BY added_at`

/** Rows that need a key; `what` is text for the operator. */
export interface KeyUse { purpose: Purpose, id: string, what: string, rows: number }

export const findKeyUses = (db: Database): Promise<KeyUse[]> => db.reports<KeyUse>`
  SELECT 'sealing' AS purpose, key_id AS id, 'authenticators' AS what, count(*)::float8 AS rows FROM factors GROUP BY key_id
  UNION ALL SELECT 'sealing', key_id, 'enrollments under way', count(*)::float8 FROM enrollments WHERE expires_at > clock_timestamp()
    GROUP BY key_id
  UNION ALL SELECT 'pepper', pepper_id, 'users with recovery codes', count(*)::float8 FROM recovery_codes WHERE slot = 0 GROUP BY pepper_id
  UNION ALL SELECT 'pepper', pepper_id, 'codes of administrators', count(*)::float8 FROM bypasses GROUP BY pepper_id
  UNION ALL SELECT 'pepper', pepper_id, 'tombstones of erased users', count(*)::float8 FROM tombstones GROUP BY pepper_id
  UNION ALL SELECT 'signing', kid, 'audit checkpoints', count(*)::float8 FROM audit_checkpoints GROUP BY kid`
