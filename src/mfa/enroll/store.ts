import sql from 'sql-template-tag'
import type { CodeRule } from '../../core/assurance.ts'
import type { HashedCode } from '../../core/recovery-set.ts'
import type { Sealed } from '../../core/seal.ts'
import { STARTS_PER_HOUR } from '../../core/throttle.ts'
import type { By } from '../../db/audit.ts'
import type { Database } from '../../db/client.ts'
import type { Settled } from '../../db/settlements.ts'

const PENDING_SECONDS = 600
/** Ten hashes take half a second of one core; what waits longer than this for them was lost. */
const CLAIM_SECONDS = 10

/** Has the tenant an administrator with a factor, who could give somebody a code? */
export async function hasAdministrator (db: Database, tenant: string): Promise<boolean> {
  const [row] = await db.rows<{ has: boolean }>`SELECT has_administrator(${tenant}) AS has`
  return row?.has === true
}

export interface Start extends Sealed { tenant: string, userId: string, epoch: number, factorId: string, label: string | null, session: string | null, by: By }

/** Puts a pending factor in the place of any earlier one: `started`, `waiting` after too many starts, `stale` if a reset came between. */
export const settleStarted = (db: Database, { tenant, userId, epoch, factorId, label, session, sealed, keyId, by }: Start): Promise<Settled<'start_enrollment'>> =>
  db.settle('start_enrollment', sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${factorId}::uuid, ${label}, ${session}, ${sealed}, ${keyId},
    ${PENDING_SECONDS}::int, ${STARTS_PER_HOUR}::int, ${by}::jsonb`)

/** Decides who of parallel confirmations hashes the recovery codes: `claimed` by one, `spent` for the others. */
export const settleClaimed = (db: Database, { tenant, userId, factorId, claim }: { tenant: string, userId: string, factorId: string, claim: string }): Promise<Settled<'claim_confirmation'>> =>
  db.settle('claim_confirmation', sql`${tenant}, ${userId}::uuid, ${factorId}::uuid, ${claim}::uuid, ${CLAIM_SECONDS}::int`)

/** Lets go of what `settleClaimed` gave, where nothing came of it. */
export const releaseClaim = (db: Database, { tenant, userId, claim }: { tenant: string, userId: string, claim: string }): Promise<unknown> =>
  db.rows`UPDATE enrollments SET claim = NULL WHERE tenant = ${tenant} AND user_id = ${userId}::uuid AND claim = ${claim}::uuid RETURNING 1`

export interface Confirmation {
  tenant: string
  userId: string
  epoch: number
  revision: number
  factorId: string
  claim: string
  label: string
  step: number
  setId: string
  codes: HashedCode[] | null
  rule: CodeRule
  act: object | null
  by: By
}

/** Decides the race of confirmations: `confirmed` once; `stale` if the set of factors, or what the rule rests on, is another than the decision's. */
export const settleConfirmed = (db: Database, { tenant, userId, epoch, revision, factorId, claim, label, step, setId, codes, rule, act, by }: Confirmation): Promise<Settled<'confirm_factor'>> =>
  db.settle('confirm_factor', sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${revision}::int, ${factorId}::uuid, ${claim}::uuid, ${label}, ${step}::bigint,
    ${setId}::uuid, ${codes === null ? null : JSON.stringify(codes)}::jsonb, ${rule}, ${act}::jsonb, ${by}::jsonb`)
