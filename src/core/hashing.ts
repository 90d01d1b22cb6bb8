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
  #running = 0
  readonly #waiting: Array<() => void> = []

  constructor (private readonly bcrypt: Bcrypt, readonly cost: number, private readonly concurrency = 2, private readonly maxWaiting = 200) {}

  hash (text: string): Promise<string> { return this.#run(() => this.bcrypt.hash(text, this.cost)) }
  compare (text: string, hash: string): Promise<boolean> { return this.#run(() => this.bcrypt.compare(text, hash)) }

  async #run<T> (work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.concurrency) {
      if (this.#waiting.length >= this.maxWaiting) throw new UnavailableError('too many recovery codes are being hashed')
      await new Promise<void>(resolve => { this.#waiting.push(resolve) })
    } else {
      this.#running++
    }
    try {
      return await work()
    } finally {
      // The place goes to who waits first; it is given back only where nobody does.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}
