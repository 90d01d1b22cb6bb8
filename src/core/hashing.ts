import { Turns } from './turns.ts'
import { UnavailableError } from './unavailable.ts'

/** What hashing needs of bcrypt. */
export interface Bcrypt {
  hash: (text: string, cost: number) => Promise<string>
  compare: (text: string, hash: string) => Promise<boolean>
}

/** A bcrypt hash of nothing that anybody has, of the right cost: comparing with it takes as long as with a real one. */
export const unmatchable = (cost: number): string => `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(22)}${'.'.repeat(31)}`

export interface Hashing {
  hash: (text: string) => Promise<string>
  compare: (text: string, hash: string) => Promise<boolean>
}

/**
 * bcrypt with bounds: so many at once that the cores still answer other requests, so many waiting that a flood ends in
 * a quick 503 and not in a long queue.
 */
export class Hasher implements Hashing {
  readonly #turns: Turns

  constructor (private readonly bcrypt: Bcrypt, readonly cost: number, concurrency = 2, private readonly maxWaiting = 200) {
    this.#turns = new Turns(concurrency)
  }

  hash (text: string): Promise<string> { return this.#run(() => this.bcrypt.hash(text, this.cost)) }
  compare (text: string, hash: string): Promise<boolean> { return this.#run(() => this.bcrypt.compare(text, hash)) }

  async #run<T> (work: () => Promise<T>): Promise<T> {
    if (this.#turns.waiting >= this.maxWaiting) throw new UnavailableError('too many recovery codes are being hashed')
    await this.#turns.take()
    try {
      return await work()
    } finally {
      this.#turns.give()
    }
  }
}
