import type { Database } from './client.ts'
import { type ClaimedNotice, type Failure, findDueNotices, type NoticeKey, settleClaimed, settleDelivered, settleFailed, settleWanted } from './notices.ts'

const ROUND_MS = 1000
const BATCH = 100
/** Deliveries at a time, of one replica. */
const LANES = 8
const WANT_MS = 3_600_000

export interface DeliveringOptions {
  /** Sends it, and answers null, or why that was no delivery. Never throws; ends soon once `signal` is aborted. */
  deliver: (notice: ClaimedNotice, signal: AbortSignal) => Promise<Failure | null>
  onError: (error: unknown) => void
  /** Nobody will try it any more, unless an administrator says so. */
  onParked: (notice: ClaimedNotice, failure: Failure) => void
  /** From now on the receiver takes nothing, because of this; or, null, takes something again. */
  onReceiver: (failure: Failure | null) => void
}

/** What came of a round. */
interface Tried { delivered: number, failure: Failure | null }

/**
 * Delivers notices every second, on each replica: what it claims no other has, and whoever has claimed one and is gone loses
 * it to the others after some seconds. A receiver that took nothing of a round is asked for one a round, until it takes one.
 * Answers how to stop it.
 */
export function startDelivering (db: Database, { deliver, onError, onParked, onReceiver }: DeliveringOptions, roundMs = ROUND_MS): () => Promise<void> {
  const stopping = new AbortController()
  let wantedAt = -Infinity
  /** Why the receiver takes nothing. */
  let down: Failure | null = null
  let round: Promise<void> | null = null

  async function want (): Promise<void> {
    if (performance.now() - wantedAt < WANT_MS) return
    await settleWanted(db)
    wantedAt = performance.now()
  }

  /** One notice, and then those of the same person that wait behind it. */
  async function deliverFrom (first: NoticeKey, tried: Tried): Promise<void> {
    for (let key: NoticeKey | null = first; key !== null && !stopping.signal.aborted;) {
      const notice: ClaimedNotice | null = await settleClaimed(db, key)
      if (notice === null) return
      const failure = await deliver(notice, stopping.signal)
      if (failure === null) tried.delivered++
      else if (!failure.isInterrupted) tried.failure = failure
      const { outcome, next } = failure === null ? await settleDelivered(db, notice) : await settleFailed(db, notice, failure)
      if (failure !== null && outcome === 'parked') onParked(notice, failure)
      key = next
    }
  }

  /** True where there may be more to deliver at once. */
  async function deliverDue (): Promise<boolean> {
    const tried: Tried = { delivered: 0, failure: null }
    const due = await findDueNotices(db, BATCH)
    const lane = async (): Promise<void> => {
      for (let key; (key = due.shift()) !== undefined && !stopping.signal.aborted;) {
        await deliverFrom(key, tried)
        if (down !== null && tried.delivered === 0 && tried.failure !== null) return
      }
    }
    const lanes = await Promise.allSettled(Array.from({ length: down === null ? LANES : 1 }, lane))
    const wasDown = down !== null
    if (tried.delivered > 0) down = null
    else down = tried.failure ?? down
    if (wasDown !== (down !== null)) onReceiver(down)
    for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason
    return tried.delivered > 0
  }

  async function work (): Promise<void> {
    await want()
    while (await deliverDue() && !stopping.signal.aborted);
  }

  const timer = setInterval(() => { round ??= work().catch(onError).finally(() => { round = null }) }, roundMs)
  timer.unref()
  return async () => {
    clearInterval(timer)
    stopping.abort()
    await round
  }
}
