import sql from 'sql-template-tag'
import { isAtLeast, type MfaProof } from '../http/auth/caller.ts'
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

/** Whose policy asks of some users for what cannot be phished; of all, or of those that changed in the last `seconds`. */
const findAsking = (db: Database, seconds: number, limit: number): Promise<Array<{ tenant: string, isAsking: boolean }>> => {
  const isWhole = seconds >= REVOCATION_SECONDS
  const wanted = isWhole ? sql`phishing_resistant <> 'off'` : sql`updated_at > now() - ${seconds}::float8 * interval '1 second'`
  return db.polls({ isWhole })`SELECT tenant, phishing_resistant <> 'off' AS "isAsking" FROM policies WHERE ${wanted} LIMIT ${limit}::int`
}

export interface RevocationOptions {
  /** How old what is known may be. */
  staleSeconds: number
  /** The deployment's floor asks that of every tenant. */
  areAllAsking: boolean
  /** Once for each time that the database cannot be read. */
  onError: (error: unknown) => void
  capacity?: number
}

/**
 * Keeps what an MFA token may have come to in memory, by a poll: it survives poolers and lost connections, and needs no message to arrive.
 * That is what has ended, and in which tenants a code may not be enough.
 */
export class RevocationPoll {
  readonly #db: Database
  readonly #options: RevocationOptions
  readonly #revocations: RevocationCache
  #asking = new Set<string>()
  #areTooManyAsking = false
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
   * Does this MFA token still count, whatever is asked of its user? Costs no round trip.
   * @throws UnavailableError where what is known is too old
   */
  judge (proof: MfaProof, now: Date): Verdict {
    const at = performance.now()
    if (at - this.#readAt > this.#options.staleSeconds * 1000) throw new UnavailableError('the revocations could not be read lately')
    const verdict = this.#revocations.judge(proof, now, at)
    return verdict === 'alive' && !isAtLeast(proof.mfa.acr, 'phr') && this.#asksForPhr(proof) ? 'unknown' : verdict
  }

  #asksForPhr ({ tenant }: MfaProof): boolean {
    return this.#options.areAllAsking || this.#areTooManyAsking || this.#asking.has(tenant)
  }

  async #read (): Promise<void> {
    const startedAt = performance.now()
    const switches = this.#db.switches()
    // At first all of it, and of another server too: this replica may have been the last to come there. Infinity is more than a
    // token's life.
    const since = switches === this.#switches ? this.#readAt : -Infinity
    const seconds = Math.min((startedAt - since) / 1000 + LATE_SECONDS, REVOCATION_SECONDS)
    const { capacity } = this.#revocations
    try {
      const revocations = await findRevocations(this.#db, seconds, capacity)
      const asking = await findAsking(this.#db, seconds, capacity + 1)
      this.#revocations.add(revocations, startedAt)
      if (seconds >= REVOCATION_SECONDS) {
        this.#asking.clear()
        this.#areTooManyAsking = false
      }
      for (const { tenant, isAsking } of asking) isAsking ? this.#asking.add(tenant) : this.#asking.delete(tenant)
      if (Math.max(asking.length, this.#asking.size) > capacity) this.#areTooManyAsking = true
      this.#readAt = startedAt
      this.#switches = switches
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#options.onError(error)
      this.#isFailing = true
    }
  }
}
