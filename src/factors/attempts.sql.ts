import type { By } from '../audit/record.sql.ts'
import { byUser, singleOrBatch, valuesOf } from '../platform/db/batcher.ts'
import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'
import type { ThrottleLimits } from './throttle/throttle.ts'

/** A code whose counter is higher than any accepted one of this factor: of TOTP, of a newer step. */
export interface Acceptance {
  tenant: string
  userId: string
  kind: string
  epoch: number
  factorId: string
  counter: number
  authentication: object | null
  by: By
}

export interface Refusal {
  tenant: string
  userId: string
  kind: string
  /** How many factors the code was tried against. */
  weight: number
  limits: ThrottleLimits
  /** The pending factor whose confirmation failed. */
  pendingId?: string
  /** For the audit: of which factor, and how many steps away, it would have been right. */
  near: object | null
  by: By
}

/** Who is settled together. */
interface Among { tenant: string, kind: string }

type Accepted = Settled<'accept_factor'>
type Refused = Settled<'refuse_factor'>
type Answer = Accepted | Refused

type Attempt = Own<Acceptance> | Own<Refusal>
type Own<Of> = Omit<Of, 'tenant' | 'kind'>

const isRight = (attempt: Attempt): attempt is Own<Acceptance> => 'counter' in attempt

/**
 * Decides the race for one counter: `accepted` once, over every call and replica; `spent` to all others; `waiting` or `locked` where
 * failures that were counted before forbid it.
 */
export const settleAccepted = (db: Database, { tenant, kind, ...attempt }: Acceptance): Promise<Accepted> =>
  db.settle('accept_factor', () => inQueue(db, { tenant, kind }, attempt) as Promise<Accepted | null>)

/**
 * Counts a refused code of a kind: `refused`, or `waiting` or `locked` where failures that were counted before forbid it: then the caller
 * does not learn whether it was right. Decides the race of parallel guesses.
 */
export const settleRefused = (db: Database, { tenant, kind, ...attempt }: Refusal): Promise<Refused> =>
  db.settle('refuse_factor', () => inQueue(db, { tenant, kind }, attempt) as Promise<Refused | null>)

/**
 * Right and wrong codes wait in one queue, and each finds what was counted before it: were the right ones settled apart, one of
 * them could overtake the wrong ones that came earlier, and more guesses could open than are ever counted. Those of one kind and
 * tenant that come at the same moment are settled in one call and one commit.
 */
const inQueue = (db: Database, among: Among, attempt: Attempt): Promise<Answer | null> =>
  db.batched(`${among.kind} ${among.tenant}`, attempt, attempts => settleAll(db, among, attempts))

function settleAll (db: Database, among: Among, attempts: Attempt[]): Promise<Array<Answer | null>> {
  if (attempts.every(isRight)) return acceptAll(db, among, attempts)
  const refusals = attempts.filter((attempt): attempt is Own<Refusal> => !isRight(attempt))
  return refusals.length === attempts.length ? refuseAll(db, among, refusals) : settleMixed(db, among, attempts)
}

const acceptAll = (db: Database, { tenant, kind }: Among, attempts: Array<Own<Acceptance>>): Promise<Array<Accepted | null>> =>
  singleOrBatch(attempts, {
    single: async ({ userId, epoch, factorId, counter, authentication, by }) => resultOf(await db.rows<Result<Accepted>>`
    SELECT accept_factor(${tenant}, ${userId}::uuid, ${kind}, ${epoch}::int, ${factorId}::uuid, ${counter}::bigint,
      ${authentication}::jsonb, ${by}::jsonb) AS result`
    ),
    batch: async sorted => resultOf(await db.rows<Result<Accepted[]>>`
    SELECT accept_factors(${tenant}, ${kind}, ${valuesOf(sorted, 'userId')}::uuid[], ${valuesOf(sorted, 'epoch')}::int[],
      ${valuesOf(sorted, 'factorId')}::uuid[],
      ${valuesOf(sorted, 'counter')}::bigint[], ${valuesOf(sorted, 'authentication')}::jsonb[],
        ${valuesOf(sorted, 'by')}::jsonb[]) AS result`
    )
  })

const refuseAll = (db: Database, { tenant, kind }: Among, attempts: Array<Own<Refusal>>): Promise<Array<Refused | null>> =>
  singleOrBatch(attempts, {
    single: async ({ userId, weight, limits, pendingId, near, by }) => resultOf(await db.rows<Result<Refused>>`
    SELECT refuse_factor(${tenant}, ${userId}::uuid, ${kind}, ${weight}::int, ${limits}::jsonb, ${pendingId ?? null}::uuid,
      ${near}::jsonb, ${by}::jsonb) AS result`
    ),
    // The limits are the deployment's, and so the same for all.
    batch: async sorted => resultOf(await db.rows<Result<Refused[]>>`
    SELECT refuse_factors(${tenant}, ${kind}, ${(sorted[0] as Own<Refusal>).limits}::jsonb, ${valuesOf(sorted, 'userId')}::uuid[],
      ${valuesOf(sorted, 'weight')}::int[],
      ${valuesOf(sorted, 'pendingId')}::uuid[], ${valuesOf(sorted, 'near')}::jsonb[], ${valuesOf(sorted, 'by')}::jsonb[]) AS result`)
  })

const settleMixed = (db: Database, { tenant, kind }: Among, attempts: Attempt[]): Promise<Array<Answer | null>> => byUser(attempts,
  async sorted =>
    resultOf(await db.rows<Result<Answer[]>>`SELECT settle_factors(${tenant}, ${kind}, ${JSON.stringify(sorted)}::jsonb) AS result`)
)

interface Result<T> { result: T | null }
const resultOf = <T>([row]: Array<Result<T>>): T | null => (row as Result<T>).result
