import { randomUUID } from 'node:crypto'
import sql from 'sql-template-tag'
import { SOON_MS, startRounds } from '../rounds.ts'
import type { Database } from './client.ts'

/** How long no other replica works when the holder has gone without giving it back: with the next round, each second, it is seven. */
const LEASE_SECONDS = 5
const ROUND_MS = 1000

/** True if `holder` is the one that does `name` now: for `seconds`, or until it is asked again. */
export const takeLease = async (db: Database, name: string, holder: string, seconds: number): Promise<boolean> =>
  (await db.settle('take_lease', sql`${name}, ${holder}::uuid, ${seconds}::int`)).outcome === 'held'

/**
 * What one replica alone should do. A lease spares the others the work, and decides nothing: one that has lost it and does not know yet
 * may still write, and the statement that writes decides whether that counts. It is asked for beside the work, so that a long
 * round does not lose it.
 */
export class Lease {
  readonly #db: Database
  readonly #name: string
  readonly #onError: (error: unknown) => void
  readonly #roundMs: number
  readonly #holder = randomUUID()
  readonly #stops: Array<() => Promise<void>> = []
  readonly #stopAsking: () => Promise<void>
  #heldUntil = -Infinity

  constructor (db: Database, name: string, onError: (error: unknown) => void, roundMs = ROUND_MS) {
    this.#db = db
    this.#name = name
    this.#onError = onError
    this.#roundMs = roundMs
    this.#stopAsking = startRounds(roundMs, onError, async () => {
      // Counted from before it was sent, it never ends here later than it does in the database.
      const askedAt = performance.now()
      this.#heldUntil = await takeLease(db, name, this.#holder, LEASE_SECONDS) ? askedAt + LEASE_SECONDS * 1000 : -Infinity
    })
  }

  get #isHeld (): boolean { return performance.now() < this.#heldUntil }

  /** Works at intervals while this replica holds the lease: at once when it has got it, and soon after a round that failed. */
  every (intervalMs: number, onError: (error: unknown) => void, work: () => Promise<void>): void {
    const roundMs = Math.min(intervalMs, this.#roundMs)
    let dueAt = -Infinity
    this.#stops.push(startRounds(roundMs, onError, async () => {
      const startedAt = performance.now()
      if (!this.#isHeld || startedAt < dueAt) return
      dueAt = startedAt + Math.min(intervalMs, SOON_MS) - roundMs
      await work()
      dueAt = startedAt + intervalMs - roundMs
    }))
  }

  /** What is under way ends, and then the lease, so that at an upgrade the next replica goes on at once. */
  async stop (): Promise<void> {
    await Promise.all(this.#stops.map(async stop => { await stop() }))
    await this.#stopAsking()
    if (this.#isHeld) await takeLease(this.#db, this.#name, this.#holder, 0).catch(this.#onError)
  }
}
