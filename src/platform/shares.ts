import { Semaphore, type SemaphoreLimits, type Turn } from './semaphore.ts'

/** A queue for each of many, by name: made when one comes, and gone with the last turn in it. */
export class Shares {
  readonly #limits: SemaphoreLimits
  readonly #refusal: string
  readonly #queues = new Map<string, Semaphore>()

  constructor (limits: SemaphoreLimits, refusal: string) {
    this.#limits = limits
    this.#refusal = refusal
  }

  get size (): number { return this.#queues.size }

  /** @throws UnavailableError if too many of that name wait */
  enter (name: string): Turn {
    const queue = this.#queues.get(name) ?? new Semaphore(this.#limits, this.#refusal)
    const { come, end } = queue.enter()
    this.#queues.set(name, queue)
    return {
      come,
      end: () => {
        end()
        // A turn may be ended twice, and by then the name may have a new queue.
        if (queue.isIdle && this.#queues.get(name) === queue) this.#queues.delete(name)
      }
    }
  }
}
