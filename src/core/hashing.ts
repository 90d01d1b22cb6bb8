import { Turns } from './turns.ts'
import { UnavailableError } from './unavailable.ts'

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

/**
 * bcrypt with bounds: so many at once that the cores still answer other requests, so many waiting that a flood ends in
 * a quick 503 and not in a long queue.
 */
export class Hasher implements Hashing {
  readonly #turns: Turns
  readonly #last = new Turns(1)

  constructor (private readonly bcrypt: Bcrypt, readonly cost: number, concurrency = 2, private readonly maxWaiting = 200) {
    this.#turns = new Turns(concurrency)
  }

  hash (text: string): Promise<string> { return this.#run(this.#turns, () => this.bcrypt.hash(text, this.cost)) }
  hashLast (text: string): Promise<string> { return this.#run(this.#last, () => this.hash(text)) }
  compare (text: string, hash: string): Promise<boolean> { return this.#run(this.#turns, () => this.bcrypt.compare(text, hash)) }

  async #run<T> (turns: Turns, work: () => Promise<T>): Promise<T> {
    if (turns.waiting >= this.maxWaiting) throw new UnavailableError('too many recovery codes are being hashed')
    await turns.take()
    try {
      return await work()
    } finally {
      turns.give()
    }
  }
}
