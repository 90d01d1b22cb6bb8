import type { ThrottleLimits } from '../core/throttle.ts'
import type { By } from './audit.ts'
import type { Database } from './client.ts'
import type { Settled } from './settlements.ts'
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

type Accepted = Settled<'accept_totp'>
type Refused = Settled<'refuse_totp'>
type Answer = Accepted | Refused

type Attempt = Own<Acceptance> | Own<Refusal>
type Own<Of> = Omit<Of, 'tenant'>

const isRight = (attempt: Attempt): attempt is Own<Acceptance> => 'step' in attempt

/**
 * Decides the race for one step: `accepted` once, over every call and replica; `spent` to all others; `waiting` or `locked` where
 * failures that were counted before forbid it.
 */
export const settleAccepted = (db: Database, { tenant, ...attempt }: Acceptance): Promise<Accepted> =>
  db.settle('accept_totp', () => inQueue(db, tenant, attempt) as Promise<Accepted | null>)

/**
 * Counts a refused TOTP code: `refused`, or `waiting` or `locked` where failures that were counted before forbid it: then nobody
 * learns whether it was right. Decides the race of parallel guesses.
 */
export const settleRefused = (db: Database, { tenant, ...attempt }: Refusal): Promise<Refused> =>
  db.settle('refuse_totp', () => inQueue(db, tenant, attempt) as Promise<Refused | null>)

/**
 * Right and wrong codes wait in one queue, and each finds what was counted before it: were the right ones settled apart, one of
 * them could overtake the wrong ones that came earlier, and more guesses could open than are ever counted. Those of a tenant that
 * come at the same moment are settled in one call and one commit.
 */
const inQueue = (db: Database, tenant: string, attempt: Attempt): Promise<Answer | null> =>
  db.batched(`totp ${tenant}`, attempt, attempts => settleAll(db, tenant, attempts))

function settleAll (db: Database, tenant: string, attempts: Attempt[]): Promise<Array<Answer | null>> {
  if (attempts.every(isRight)) return acceptAll(db, tenant, attempts)
  const refusals = attempts.filter((attempt): attempt is Own<Refusal> => !isRight(attempt))
  return refusals.length === attempts.length ? refuseAll(db, tenant, refusals) : settleMixed(db, tenant, attempts)
}

const acceptAll = (db: Database, tenant: string, attempts: Array<Own<Acceptance>>): Promise<Array<Accepted | null>> => batched(attempts, {
  single: async ({ userId, epoch, factorId, step, act, by }) => resultOf(await db.rows<Result<Accepted>>`
    SELECT accept_totp(${tenant}, ${userId}::uuid, ${epoch}::int, ${factorId}::uuid, ${step}::bigint, ${act}::jsonb, ${by}::jsonb) AS result`),
  batch: async sorted => resultOf(await db.rows<Result<Accepted[]>>`
    SELECT accept_totps(${tenant}, ${valuesOf(sorted, 'userId')}::uuid[], ${valuesOf(sorted, 'epoch')}::int[], ${valuesOf(sorted, 'factorId')}::uuid[],
      ${valuesOf(sorted, 'step')}::bigint[], ${valuesOf(sorted, 'act')}::jsonb[], ${valuesOf(sorted, 'by')}::jsonb[]) AS result`)
})

const refuseAll = (db: Database, tenant: string, attempts: Array<Own<Refusal>>): Promise<Array<Refused | null>> => batched(attempts, {
  single: async ({ userId, weight, limits, pendingId, near, by }) => resultOf(await db.rows<Result<Refused>>`
    SELECT refuse_totp(${tenant}, ${userId}::uuid, ${weight}::int, ${limits}::jsonb, ${pendingId ?? null}::uuid, ${near}::jsonb, ${by}::jsonb) AS result`),
  // The limits are the deployment's, and so the same for all.
  batch: async sorted => resultOf(await db.rows<Result<Refused[]>>`
    SELECT refuse_totps(${tenant}, ${(sorted[0] as Own<Refusal>).limits}::jsonb, ${valuesOf(sorted, 'userId')}::uuid[], ${valuesOf(sorted, 'weight')}::int[],
      ${valuesOf(sorted, 'pendingId')}::uuid[], ${valuesOf(sorted, 'near')}::jsonb[], ${valuesOf(sorted, 'by')}::jsonb[]) AS result`)
})

const settleMixed = (db: Database, tenant: string, attempts: Attempt[]): Promise<Array<Answer | null>> => byUser(attempts,
  async sorted => resultOf(await db.rows<Result<Answer[]>>`SELECT settle_totps(${tenant}, ${JSON.stringify(sorted)}::jsonb) AS result`))

interface Result<T> { result: T | null }
const resultOf = <T>([row]: Array<Result<T>>): T | null => (row as Result<T>).result
