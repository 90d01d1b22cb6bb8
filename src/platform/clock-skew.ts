/** In seconds: beyond the first it is told of, until it is below the second; beyond the last right codes would be refused. */
const TOLD = 5
const HEALED = 4
const REFUSED = 45

export type ClockNews = 'off' | 'refusing' | 'healed'

/** How far the clock of this replica is from the database's, which all replicas share. Until it has been looked at, not at all. */
export class ClockSkew {
  #seconds = 0
  #told: ClockNews = 'healed'

  /** Positive where ours is ahead. */
  get seconds (): number { return this.#seconds }

  /** Codes and tokens cannot be judged by such a clock: a right code would count as a failure of its user. */
  get isTooLarge (): boolean { return Math.abs(this.#seconds) > REFUSED }

  /**
   * Takes one comparison, in milliseconds. The database read its clock at some moment of the round trip, so only what is more than half
   * of that is certain: a slow answer is no wrong clock. Answers what is new, each once.
   */
  measure (aheadMs: number, roundTripMs: number): ClockNews | undefined {
    this.#seconds = Math.sign(aheadMs) * Math.max(0, Math.abs(aheadMs) - roundTripMs / 2) / 1000
    const size = Math.abs(this.#seconds)
    const isOff = size > (this.#told === 'healed' ? TOLD : HEALED)
    const news = this.isTooLarge ? 'refusing' : isOff ? 'off' : 'healed'
    if (news === this.#told) return undefined
    this.#told = news
    return news
  }
}
