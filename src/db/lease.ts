import { randomUUID } from 'node:crypto'
import type { Database } from './client.ts'
import { startRounds } from './rounds.ts'

export interface Leased {
  name: string
  /** How long nobody else does it when this replica has gone without a word. */
  seconds: number
  intervalMs: number
  onError: (error: unknown) => void
}

/** True if `holder` is the one that does `name` now: for `seconds`, or until it is asked again. */
export const takeLease = async (db: Database, name: string, holder: string, seconds: number): Promise<boolean> =>
  (await db.settle`SELECT take_lease(${name}, ${holder}::uuid, ${seconds}::int) AS result`).outcome === 'held'

/**
 * Works at intervals, one round at a time, on the one replica that holds the lease. Answers how to stop it: what is under way
 * ends, and the lease with it, so that at an upgrade the next replica goes on at once.
 */
export function startLeased (db: Database, { name, seconds, intervalMs, onError }: Leased, work: () => Promise<void>): () => Promise<void> {
  const holder = randomUUID()
  let isHeld = false

  const stop = startRounds(intervalMs, onError, async () => {
    isHeld = await takeLease(db, name, holder, seconds)
    if (isHeld) await work()
  })
  return async () => {
    await stop()
    if (isHeld) await takeLease(db, name, holder, 0).catch(onError)
  }
}
