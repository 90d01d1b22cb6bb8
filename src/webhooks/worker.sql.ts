import type { Database } from '../platform/db/client.ts'
import { startRounds } from '../platform/rounds.ts'
import {
  CERTAIN_MS,
  type ClaimedWebhookEvent,
  type Failure,
  findDueWebhookEvents,
  type WebhookEventKey,
  settleClaimed,
  settleDelivered,
  settleFailed,
  settleRenewed,
  settleWanted
} from './outbox.sql.ts'

const ROUND_MS = 1000
const BATCH = 100
/** Deliveries at a time, of one replica; and failures in a row after which the endpoint is taken for down. */
const LANES = 8
const WANT_MS = 3_600_000
/** Often enough that one answer that is lost ends no delivery. */
const RENEW_MS = 1000

export interface DeliveringOptions {
  /** Sends it, and answers null, or why that was no delivery. Never throws; ends soon once `signal` is aborted. */
  deliver: (claimed: ClaimedWebhookEvent, signal: AbortSignal) => Promise<Failure | null>
  onError: (error: unknown) => void
  /** It will not be tried any more, unless an administrator says so. */
  onParked: (claimed: ClaimedWebhookEvent, failure: Failure) => void
  /** From now on the endpoint accepts nothing, because of this failure; null: it accepts events again. */
  onEndpoint: (failure: Failure | null) => void
}

/**
 * Delivers webhook events on each replica. What one replica has claimed no other has; a replica that is gone loses its claims to the
 * others after some seconds. Where a claim cannot be renewed, the delivery ends before that, so that the events of one user stay in
 * order. A delivery that hangs holds up the events of its own user only. An endpoint that has accepted nothing for a while gets one
 * event a round, until it accepts one. Answers how to stop it.
 */
export function startDelivering (
  db: Database,
  { deliver, onError, onParked, onEndpoint }: DeliveringOptions,
  roundMs = ROUND_MS
): () => Promise<void> {
  const stopping = new AbortController()
  const deliveries = new Set<AbortController>()
  const lanes = new Set<Promise<void>>()
  let due: WebhookEventKey[] = []
  let looking: Promise<void> | null = null
  let wantedAt = -Infinity
  /** In a row, of all lanes. */
  let failures = 0
  const isDown = (): boolean => failures >= LANES
  const isFull = (): boolean => lanes.size >= (isDown() ? 1 : LANES)

  function countFailure (failure: Failure | null): void {
    if (failure?.isInterrupted === true) return
    const wasDown = isDown()
    failures = failure === null ? 0 : failures + 1
    if (isDown()) due = []
    if (isDown() !== wasDown) onEndpoint(failure)
  }

  /** As long as it is ours. */
  async function deliverClaimed (claimed: ClaimedWebhookEvent): Promise<Failure | null> {
    const delivery = new AbortController()
    const end = (): void => { delivery.abort() }
    const uncertain = setTimeout(end, CERTAIN_MS)
    const stopRenewing = startRounds(RENEW_MS, onError, async () => {
      if (await settleRenewed(db, claimed)) uncertain.refresh()
      else end()
    })
    deliveries.add(delivery)
    if (stopping.signal.aborted) end()
    try {
      return await deliver(claimed, delivery.signal)
    } finally {
      deliveries.delete(delivery)
      await stopRenewing()
      clearTimeout(uncertain)
    }
  }

  /** One event, and then those of the same user that wait behind it. Answers whether one was delivered. */
  async function deliverFrom (first: WebhookEventKey): Promise<boolean> {
    let isTaken = false
    for (let key: WebhookEventKey | null = first; key !== null && !stopping.signal.aborted;) {
      const claimed: ClaimedWebhookEvent | null = await settleClaimed(db, key)
      if (claimed === null) break
      const failure = await deliverClaimed(claimed)
      countFailure(failure)
      isTaken ||= failure === null
      const { outcome, next } = failure === null ? await settleDelivered(db, claimed) : await settleFailed(db, claimed, failure)
      if (failure !== null && outcome === 'parked') onParked(claimed, failure)
      key = next
    }
    return isTaken
  }

  function fill (): void {
    while (due.length > 0 && !isFull() && !stopping.signal.aborted) {
      const lane = deliverFrom(due.shift() as WebhookEventKey).catch(onError).then(isTaken => {
        lanes.delete(lane)
        if (due.length > 0) fill()
        // There may be more than was looked for.
        else if (isTaken === true) look()
      })
      lanes.add(lane)
    }
  }

  function look (): void {
    if (stopping.signal.aborted || isFull()) return
    looking ??= findDue().catch(onError).finally(() => { looking = null })
  }

  async function findDue (): Promise<void> {
    if (performance.now() - wantedAt > WANT_MS) {
      await settleWanted(db)
      wantedAt = performance.now()
    }
    due = await findDueWebhookEvents(db, BATCH)
    fill()
  }

  const timer = setInterval(look, roundMs)
  timer.unref()
  look()
  return async () => {
    clearInterval(timer)
    stopping.abort()
    for (const delivery of deliveries) delivery.abort()
    await looking
    await Promise.all(lanes)
  }
}
