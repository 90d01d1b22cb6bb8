import sql from 'sql-template-tag'
import { type Database, STATEMENT_TIMEOUT } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'
import type { WebhookEvent } from './event.ts'

/** A worker that has one, and is gone without giving it back, loses it to another after so long. */
const CLAIM_SECONDS = 5
/** For so long after an answer a claim is certain, however long that answer took. */
export const CERTAIN_MS = CLAIM_SECONDS * 1000 - STATEMENT_TIMEOUT

export interface WebhookEventKey { tenant: string, id: string }

/** A webhook event that only this worker has, for some seconds. */
export interface ClaimedWebhookEvent extends WebhookEventKey { attempt: number, event: WebhookEvent }

/** Changes leave webhook events for a day. */
export const settleWanted = (db: Database): Promise<unknown> => db.settle('want_webhook_events', sql``)

/** What is due, of all tenants, the longest due first. Locks nothing: who gets one is decided by `settleClaimed`. */
export const findDueWebhookEvents = (db: Database, limit: number): Promise<WebhookEventKey[]> => db.rows<WebhookEventKey>`
  SELECT tenant, id::text FROM webhook_events
  WHERE parked_at IS NULL AND due_at <= clock_timestamp() AND (leased_until IS NULL OR leased_until <= clock_timestamp())
  ORDER BY due_at LIMIT ${limit}::int`

/** Decides which of the workers delivers it, and that those of one user are delivered in their order. Null: not we, or not yet. */
export async function settleClaimed (db: Database, { tenant, id }: WebhookEventKey): Promise<ClaimedWebhookEvent | null> {
  const result = await db.settle('claim_webhook_event', sql`${tenant}, ${id}::uuid, ${CLAIM_SECONDS}::int`)
  return result.outcome === 'claimed' ? { tenant, id, attempt: result.attempt, event: result.event } : null
}

/** False if another worker has it by now, or it is gone. */
export const settleRenewed = async (db: Database, { tenant, id, attempt }: ClaimedWebhookEvent): Promise<boolean> =>
  (await db.settle('renew_webhook_event', sql`${tenant}, ${id}::uuid, ${attempt}::int, ${CLAIM_SECONDS}::int`)).outcome === 'renewed'

interface Delivered {
  outcome: Answer['outcome']
  /** Of the same user: the one that is due now. */
  next: WebhookEventKey | null
}

type Answer = Settled<'deliver_webhook_event'> | Settled<'fail_webhook_event'>

const toDelivered = (tenant: string, answer: Answer): Delivered =>
  ({ outcome: answer.outcome, next: 'next' in answer && answer.next !== null ? { tenant, id: answer.next } : null })

/** `delivered`, and gone; `stale` if the claim was over and another worker has it now. */
export const settleDelivered = async (db: Database, { tenant, id, attempt }: ClaimedWebhookEvent): Promise<Delivered> =>
  toDelivered(tenant, await db.settle('deliver_webhook_event', sql`${tenant}, ${id}::uuid, ${attempt}::int`))

export interface Failure {
  /** What an administrator is told; nothing that the endpoint answered. */
  text: string
  /** Trying again is of no use. */
  isFinal: boolean
  /** We ended it ourselves. */
  isInterrupted: boolean
}

/** `waiting` for its next try, `parked` if that was the last one, or `stale`. */
export const settleFailed = async (
  db: Database,
  { tenant, id, attempt }: ClaimedWebhookEvent,
  { text, isFinal, isInterrupted }: Failure
): Promise<Delivered> =>
  toDelivered(
    tenant,
    await db.settle('fail_webhook_event', sql`${tenant}, ${id}::uuid, ${attempt}::int, ${text}, ${isFinal}, ${isInterrupted}`)
  )

/** How many wait for their first try, wait for another, or are parked. */
export async function countWebhookEvents (db: Database): Promise<{ waiting: number, retrying: number, parked: number }> {
  const [counts] = await db.rows<{ waiting: number, retrying: number, parked: number }>`
    SELECT count(*) FILTER (WHERE parked_at IS NULL AND failure IS NULL)::int AS waiting,
      count(*) FILTER (WHERE parked_at IS NULL AND failure IS NOT NULL)::int AS retrying,
      count(*) FILTER (WHERE parked_at IS NOT NULL)::int AS parked
    FROM webhook_events`
  return counts as NonNullable<typeof counts>
}
