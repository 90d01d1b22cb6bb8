import type { ThrottleLimits } from '../core/throttle.ts'
import type { By } from './audit.ts'
import type { Database, Settlement } from './client.ts'
import { batched, byUser, valuesOf } from './batcher.ts'

/** The code of a step that is newer than any accepted one of this factor. */
export interface Acceptance { tenant: string, userId: string, epoch: number, factorId: string, step: number, act: object | null, by: By }

export interface Refusal {
  tenant: string
  userId: string
  /** How many factors the code was tried against. */
  weight: number
  limits: ThrottleLimits
  /** The pending factor whose confirmation failed. */
  pendingId?: string
  /** For the audit: of which factor, and how many steps away, it would have been right. */
  near: object | null
  by: By
}

type Attempt = Own<Acceptance> | Own<Refusal>
type Own<Of> = Omit<Of, 'tenant'>

const isRight = (attempt: Attempt): attempt is Own<Acceptance> => 'step' in attempt

/**
 * Decides the race for one step: `accepted` once, over every call and replica; `spent` to all others; `waiting` or `locked` where
 * failures that were counted before forbid it.
 */
export const settleAccepted = (db: Database, { tenant, ...attempt }: Acceptance): Promise<Settlement> => settle(db, 'accept_totp', tenant, attempt)

/**
 * Counts a refused TOTP code: `refused`, or `waiting` or `locked` where failures that were counted before forbid it: then nobody
 * learns whether it was right. Decides the race of parallel guesses.
 */
export const settleRefused = (db: Database, { tenant, ...attempt }: Refusal): Promise<Settlement> => settle(db, 'refuse_totp', tenant, attempt)

/**
 * Right and wrong codes wait in one queue, and each finds what was counted before it: were the right ones settled apart, one of
 * them could overtake the wrong ones that came earlier, and more guesses could open than are ever counted. Those of a tenant that
 * come at the same moment are settled in one call and one commit.
 */
const settle = (db: Database, name: string, tenant: string, attempt: Attempt): Promise<Settlement> =>
  db.settleBatched(name, `totp ${tenant}`, attempt, attempts => settleAll(db, tenant, attempts))

function settleAll (db: Database, tenant: string, attempts: Attempt[]): Promise<Array<Settlement | null>> {
  if (attempts.every(isRight)) return acceptAll(db, tenant, attempts)
  const refusals = attempts.filter((attempt): attempt is Own<Refusal> => !isRight(attempt))
  return refusals.length === attempts.length ? refuseAll(db, tenant, refusals) : settleMixed(db, tenant, attempts)
}

const acceptAll = ({ value }: Database, tenant: string, attempts: Array<Own<Acceptance>>): Promise<Array<Settlement | null>> => batched(attempts, {
  single: ({ userId, epoch, factorId, step, act, by }) => value<Settlement>`
    SELECT accept_totp(${tenant}, ${userId}::uuid, ${epoch}::int, ${factorId}::uuid, ${step}::bigint, ${act}::jsonb, ${by}::jsonb) AS result`,
  batch: sorted => value<Settlement[]>`
    SELECT accept_totps(${tenant}, ${valuesOf(sorted, 'userId')}::uuid[], ${valuesOf(sorted, 'epoch')}::int[], ${valuesOf(sorted, 'factorId')}::uuid[],
      ${valuesOf(sorted, 'step')}::bigint[], ${valuesOf(sorted, 'act')}::jsonb[], ${valuesOf(sorted, 'by')}::jsonb[]) AS results`
})

const refuseAll = ({ value }: Database, tenant: string, attempts: Array<Own<Refusal>>): Promise<Array<Settlement | null>> => batched(attempts, {
  single: ({ userId, weight, limits, pendingId, near, by }) => value<Settlement>`
    SELECT refuse_totp(${tenant}, ${userId}::uuid, ${weight}::int, ${limits}::jsonb, ${pendingId ?? null}::uuid, ${near}::jsonb, ${by}::jsonb) AS result`,
  // The limits are the deployment's, and so the same for all.
  batch: sorted => value<Settlement[]>`
    SELECT refuse_totps(${tenant}, ${(sorted[0] as Own<Refusal>).limits}::jsonb, ${valuesOf(sorted, 'userId')}::uuid[], ${valuesOf(sorted, 'weight')}::int[],
      ${valuesOf(sorted, 'pendingId')}::uuid[], ${valuesOf(sorted, 'near')}::jsonb[], ${valuesOf(sorted, 'by')}::jsonb[]) AS results`
})

const settleMixed = ({ value }: Database, tenant: string, attempts: Attempt[]): Promise<Array<Settlement | null>> => byUser(attempts,
  sorted => value<Settlement[]>`SELECT settle_totps(${tenant}, ${JSON.stringify(sorted)}::jsonb) AS results`)
