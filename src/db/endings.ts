import type { MfaProof } from '../core/caller.ts'
import { type Ending, Endings, ENDING_SECONDS, type Verdict } from '../core/endings.ts'
import { UnavailableError } from '../core/unavailable.ts'
import type { Database } from './client.ts'

/** A statement that ran just before a reading may be committed after it: for so long it is read again. Longer than one may last. */
const LATE_SECONDS = 10
const INTERVAL_MS = 300

/** What ended in the last `seconds`, the newest first. All of it takes time: there may be a hundred thousand. */
const findEndings = (db: Database, seconds: number, limit: number): Promise<Ending[]> => (seconds < ENDING_SECONDS ? db.poll<Ending> : db.pollWhole<Ending>)`
  SELECT tenant, user_id::text AS "userId", issuer, session, epoch, generation, extract(epoch FROM now() - at)::float8 AS "ageSeconds"
  FROM endings WHERE at > now() - ${seconds}::float8 * interval '1 second' ORDER BY at DESC LIMIT ${limit}::int`

export interface EndingsOptions {
  /** How old what is known may be. */
  staleSeconds: number
  /** Once for each time that the database cannot be read. */
  onError: (error: unknown) => void
  capacity?: number
}

/** Keeps what has ended in memory, by a poll: it survives poolers and lost connections, and needs no message to arrive. */
export class EndingsPoll {
  readonly #db: Database
  readonly #options: EndingsOptions
  readonly #endings: Endings
  #readAt = -Infinity
  /** Of the database, when it was last read. */
  #switches = 0
  #isFailing = false
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | undefined

  constructor (db: Database, options: EndingsOptions) {
    this.#db = db
    this.#options = options
    this.#endings = new Endings(options.capacity)
  }

  /** Reads for the first time, then again and again. A database that is not there fails no start. */
  async start (): Promise<void> {
    this.#reading = this.#read()
    await this.#reading
    this.#timer = setTimeout(() => { void this.start() }, INTERVAL_MS)
    this.#timer.unref()
  }

  /** Ends with the reading that is under way. */
  async stop (): Promise<void> {
    await this.#reading
    clearTimeout(this.#timer)
  }

  /**
   * Does this MFA token still count? Costs no round trip.
   * @throws UnavailableError where what is known is too old
   */
  judge (proof: MfaProof, now: Date): Verdict {
    const at = performance.now()
    if (at - this.#readAt > this.#options.staleSeconds * 1000) throw new UnavailableError('what has ended could not be read lately')
    return this.#endings.judge(proof, now, at)
  }

  async #read (): Promise<void> {
    const startedAt = performance.now()
    const switches = this.#db.switches()
    // At first all of it, and of another server too: this replica may have been the last to come there. Infinity is more than a token's life.
    const since = switches === this.#switches ? this.#readAt : -Infinity
    const seconds = Math.min((startedAt - since) / 1000 + LATE_SECONDS, ENDING_SECONDS)
    try {
      this.#endings.note(await findEndings(this.#db, seconds, this.#endings.capacity), startedAt)
      this.#readAt = startedAt
      this.#switches = switches
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#options.onError(error)
      this.#isFailing = true
    }
  }
}
