import { Semaphore } from './semaphore.ts'

/** What hashing needs of bcrypt. */
export interface Bcrypt {
  hash: (text: string, cost: number) => Promise<string>
  compare: (text: string, hash: string) => Promise<boolean>
}

export interface Hashing {
  hash: (text: string) => Promise<string>
  /** What nobody waits for to get in: of all that ask for it, one at a time stands in the queue of the others. */
  hashLast: (text: string) => Promise<string>
  compare: (text: string, hash: string) => Promise<boolean>
}

/** Longer than a full queue takes. */
const MAX_WAIT_MS = 7000

/**
 * bcrypt with bounds: so many at once that the cores still answer other requests, so many waiting that a flood ends in
 * a quick 503 and not in a long queue.
 */
export class Hasher implements Hashing {
  readonly #turns: Semaphore
  readonly #last: Semaphore

  constructor (private readonly bcrypt: Bcrypt, readonly cost: number, atOnce = 2, maxWaiting = 200) {
    const refusal = 'too many recovery codes are being hashed'
    this.#turns = new Semaphore({ atOnce, maxWaiting, maxWaitMs: MAX_WAIT_MS }, refusal)
    this.#last = new Semaphore({ atOnce: 1, maxWaiting, maxWaitMs: MAX_WAIT_MS }, refusal)
  }

  hash (text: string): Promise<string> { return this.#run(this.#turns, () => this.bcrypt.hash(text, this.cost)) }
  hashLast (text: string): Promise<string> { return this.#run(this.#last, () => this.hash(text)) }
  compare (text: string, hash: string): Promise<boolean> { return this.#run(this.#turns, () => this.bcrypt.compare(text, hash)) }

  async #run<T> (turns: Semaphore, work: () => Promise<T>): Promise<T> {
    const turn = turns.enter()
    await turn.come
    try {
      return await work()
    } finally {
      turn.end()
    }
  }
}
