import type { MfaProof } from '../http/auth/caller.ts'
import type { Database } from '../platform/db/client.ts'
import { UnavailableError } from '../platform/unavailable.ts'
import { type Revocation, RevocationCache, REVOCATION_SECONDS, type Verdict } from './revocations.ts'

/** A statement that ran just before a reading may be committed after it: for so long it is read again. Longer than one may last. */
const LATE_SECONDS = 10
const INTERVAL_MS = 300

/** What ended in the last `seconds`, the newest first. All of it takes time: there may be a hundred thousand. */
const findRevocations = (db: Database, seconds: number, limit: number): Promise<Revocation[]> =>
  db.polls({ isWhole: seconds >= REVOCATION_SECONDS })<Revocation>`
  SELECT tenant, user_id::text AS "userId", issuer, session, epoch, generation, extract(epoch FROM now() - at)::float8 AS "ageSeconds"
  FROM revocations WHERE at > now() - ${seconds}::float8 * interval '1 second' ORDER BY at DESC LIMIT ${limit}::int`

export interface RevocationOptions {
  /** How old what is known may be. */
  staleSeconds: number
  /** Once for each time that the database cannot be read. */
  onError: (error: unknown) => void
  capacity?: number
}

/** Keeps what has ended in memory, by a poll: it survives poolers and lost connections, and needs no message to arrive. */
export class RevocationPoll {
  readonly #db: Database
  readonly #options: RevocationOptions
  readonly #revocations: RevocationCache
  #readAt = -Infinity
  /** Of the database, when it was last read. */
  #switches = 0
  #isFailing = false
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | undefined

  constructor (db: Database, options: RevocationOptions) {
    this.#db = db
    this.#options = options
    this.#revocations = new RevocationCache(options.capacity)
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
    if (at - this.#readAt > this.#options.staleSeconds * 1000) throw new UnavailableError('the revocations could not be read lately')
    return this.#revocations.judge(proof, now, at)
  }

  async #read (): Promise<void> {
    const startedAt = performance.now()
    const switches = this.#db.switches()
    // At first all of it, and of another server too: this replica may have been the last to come there. Infinity is more than a
    // token's life.
    const since = switches === this.#switches ? this.#readAt : -Infinity
    const seconds = Math.min((startedAt - since) / 1000 + LATE_SECONDS, REVOCATION_SECONDS)
    try {
      this.#revocations.add(await findRevocations(this.#db, seconds, this.#revocations.capacity), startedAt)
      this.#readAt = startedAt
      this.#switches = switches
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#options.onError(error)
      this.#isFailing = true
    }
  }
}
