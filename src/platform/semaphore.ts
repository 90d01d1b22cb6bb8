import { UnavailableError } from './unavailable.ts'

export interface SemaphoreLimits {
  /** How many hold a turn at the same time. */
  atOnce: number
  /** How many may wait for one. */
  maxWaiting: number
  /** Milliseconds for which they wait. */
  maxWaitMs: number
}

export interface Turn {
  /** True when it has come, false if it was ended before. @throws UnavailableError if that takes too long */
  readonly come: Promise<boolean>
  /** Gives it back, or leaves the queue; once. */
  readonly end: () => void
}

/**
 * So many at once; others wait in the order in which they came. It is our own because a waiting request must be able to leave: the
 * libraries that know this take 60 µs for each turn, a tenth of a login.
 */
export class Semaphore {
  readonly #limits: SemaphoreLimits
  /** What the log says of those who are refused. */
  readonly #refusal: string
  #taken = 0
  readonly #waiting = new Set<() => void>()

  constructor (limits: SemaphoreLimits, refusal: string) {
    this.#limits = limits
    this.#refusal = refusal
  }

  /** No turn is taken, and so none is waited for. */
  get isIdle (): boolean { return this.#taken === 0 }

  /** @throws UnavailableError if too many wait */
  enter (withinMs = Infinity): Turn {
    if (this.#taken < this.#limits.atOnce) {
      this.#taken++
      return { come: Promise.resolve(true), end: this.#giveOnce() }
    }
    if (this.#waiting.size >= this.#limits.maxWaiting) throw new UnavailableError(this.#refusal)
    return this.#wait(Math.max(0, Math.min(withinMs, this.#limits.maxWaitMs)))
  }

  /** @throws UnavailableError if too many wait, or for too long */
  async run<T> (work: () => Promise<T>, withinMs = Infinity): Promise<T> {
    const turn = this.enter(withinMs)
    try {
      await turn.come
      return await work()
    } finally {
      turn.end()
    }
  }

  #wait (withinMs: number): Turn {
    let end: () => void
    const come = new Promise<boolean>((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(begin)
      }
      const begin = (): void => {
        leave()
        end = this.#giveOnce()
        resolve(true)
      }
      const timer = setTimeout(() => {
        leave()
        reject(new UnavailableError(this.#refusal))
      }, withinMs)
      end = () => {
        leave()
        resolve(false)
      }
      this.#waiting.add(begin)
    })
    return { come, end: () => { end() } }
  }

  /** The turn goes to the first that waits, if any. */
  #giveOnce (): () => void {
    let isGiven = false
    return () => {
      if (isGiven) return
      isGiven = true
      const [begin] = this.#waiting
      if (begin === undefined) this.#taken--
      else begin()
    }
  }
}
