import sql from 'sql-template-tag'
import type { By } from '../../audit/record.sql.ts'
import type { Sealed } from '../../keys/seal.ts'
import type { Database } from '../../platform/db/client.ts'
import type { Settled } from '../../platform/db/settlements.ts'
import type { CodeRule } from '../../sessions/assurance.ts'
import type { Credential, SealedParameters } from '../../users/user.ts'
import type { HashedCode } from '../recovery-codes/recovery-set.ts'
import { STARTS_PER_HOUR } from '../throttle/throttle.ts'

const PENDING_SECONDS = 600
/** Ten hashes take half a second of one core; what waits longer than this for them was lost. */
const CLAIM_SECONDS = 10

/** Has the tenant an administrator with a factor, who could give a user a code? */
export async function hasAdministrator (db: Database, tenant: string): Promise<boolean> {
  const [row] = await db.rows<{ has: boolean }>`SELECT has_administrator(${tenant}) AS has`
  return row?.has === true
}

export interface Start extends Sealed, SealedParameters {
  tenant: string
  userId: string
  epoch: number
  factorId: string
  label: string | null
  session: string | null
  by: By
}

/** Puts a pending factor in the place of any earlier one: `started`, `waiting` after too many starts, `stale` if a reset came between. */
export const settleStarted = (
  db: Database,
  { tenant, userId, kind, epoch, factorId, label, session, sealed, keyId, algorithm, digits, period, by }: Start
): Promise<Settled<'start_enrollment'>> =>
  db.settle(
    'start_enrollment',
    sql`${tenant}, ${userId}::uuid, ${kind}, ${epoch}::int, ${factorId}::uuid, ${label}, ${session}, ${sealed}, ${keyId},
    ${algorithm}, ${digits}::int, ${period}::int, ${PENDING_SECONDS}::int, ${STARTS_PER_HOUR}::int, ${by}::jsonb`)

/** Decides who of parallel confirmations hashes the recovery codes: `claimed` by one, `spent` for the others. */
export const settleClaimed = (
  db: Database,
  { tenant, userId, kind, isThrottled, factorId, claim }: {
    tenant: string,
    userId: string,
    kind: string,
    isThrottled: boolean,
    factorId: string,
    claim: string
  }
): Promise<Settled<'claim_confirmation'>> =>
  db.settle(
    'claim_confirmation',
    sql`${tenant}, ${userId}::uuid, ${kind}, ${isThrottled}, ${factorId}::uuid, ${claim}::uuid, ${CLAIM_SECONDS}::int`
  )

/** Lets go of what `settleClaimed` gave, where nothing came of it. */
export const releaseClaim = (
  db: Database,
  { tenant, userId, claim }: { tenant: string, userId: string, claim: string }
): Promise<unknown> =>
  db.rows`UPDATE enrollments SET claim = NULL WHERE tenant = ${tenant} AND user_id = ${userId}::uuid AND claim = ${claim}::uuid RETURNING 1`

export interface Confirmation {
  tenant: string
  userId: string
  kind: string
  isThrottled: boolean
  epoch: number
  revision: number
  factorId: string
  claim: string
  /** In place of what the pending factor has; null: that. */
  sealed: Buffer | null
  keyId: string | null
  label: string
  counter: number
  credential: Credential | null
  setId: string
  codes: HashedCode[] | null
  rule: CodeRule
  authentication: object | null
  by: By
}

/**
 * Decides the race of confirmations: `confirmed` once; `known` if another factor of the tenant has its credential; `stale` if
 * the set of factors, or what the rule rests on, is another than the decision's.
 */
export const settleConfirmed = (
  db: Database,
  {
    tenant,
    userId,
    kind,
    isThrottled,
    epoch,
    revision,
    factorId,
    claim,
    sealed,
    keyId,
    label,
    counter,
    credential,
    setId,
    codes,
    rule,
    authentication,
    by
  }: Confirmation
): Promise<Settled<'confirm_factor'>> =>
  db.settle(
    'confirm_factor',
    sql`${tenant}, ${userId}::uuid, ${kind}, ${isThrottled}, ${epoch}::int, ${revision}::int, ${factorId}::uuid, ${claim}::uuid,
      ${sealed}::bytea, ${keyId}, ${label}, ${counter}::bigint,
    ${credential === null ? null : { ...credential, id: credential.id.toString('hex') }}::jsonb, ${setId}::uuid,
      ${codes === null ? null : JSON.stringify(codes)}::jsonb, ${rule}, ${authentication}::jsonb, ${by}::jsonb`
  )
