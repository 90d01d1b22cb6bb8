import { Semaphore } from '../semaphore.ts'
import { UnavailableError } from '../unavailable.ts'

/** What hashing needs of bcrypt. */
export interface Bcrypt {
  hash: (text: string, cost: number) => Promise<string>
  compare: (text: string, hash: string) => Promise<boolean>
}

/** Each rejects with an UnavailableError at `until`, by the clock of `performance`: the caller has no use for it after that. */
export interface Hashing {
  hash: (text: string, until?: number) => Promise<string>
  /** What is not urgent: of all that ask for it, one at a time stands in the queue of the others. */
  hashLast: (text: string, until?: number) => Promise<string>
  compare: (text: string, hash: string, until?: number) => Promise<boolean>
}

/** Longer than a full queue takes. */
const MAX_WAIT_MS = 7000
const REFUSAL = 'too many recovery codes are being hashed'

/**
 * bcrypt with bounds: so many at once that the cores still answer other requests, so many waiting that a flood ends in
 * a quick 503 and not in a long queue.
 */
export class Hasher implements Hashing {
  readonly #turns: Semaphore
  readonly #last: Semaphore

  constructor (private readonly bcrypt: Bcrypt, readonly cost: number, atOnce = 2, maxWaiting = 200) {
    this.#turns = new Semaphore({ atOnce, maxWaiting, maxWaitMs: MAX_WAIT_MS }, REFUSAL)
    this.#last = new Semaphore({ atOnce: 1, maxWaiting, maxWaitMs: MAX_WAIT_MS }, REFUSAL)
  }

  hash (text: string, until = Infinity): Promise<string> { return this.#run(this.#turns, until, () => this.bcrypt.hash(text, this.cost)) }
  hashLast (text: string, until = Infinity): Promise<string> { return this.#run(this.#last, until, () => this.hash(text, until)) }
  compare (text: string, hash: string, until = Infinity): Promise<boolean> {
    return this.#run(this.#turns, until, () => this.bcrypt.compare(text, hash))
  }

  /** The turn lasts for as long as a core is busy with it, even if the caller has left. */
  async #run<T> (turns: Semaphore, until: number, work: () => Promise<T>): Promise<T> {
    return await inTime(turns.run(work, until - performance.now()), until)
  }
}

async function inTime<T> (work: Promise<T>, until: number): Promise<T> {
  if (until === Infinity) return await work
  return await new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => { reject(new UnavailableError(REFUSAL)) }, until - performance.now())
    work.then(resolve, reject).finally(() => { clearTimeout(timer) })
  })
}
