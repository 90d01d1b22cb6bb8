interface Kept<T> { count: number, last: T, timer: NodeJS.Timeout }

export interface SparingLimits { ms: number, maxKinds: number }

/** Of what comes again and again, the first is told at once, and then how many have come, at most once in a while for each kind. */
export class Sparing<T> {
  readonly #kinds = new Map<string, Kept<T>>()
  readonly #tell: (what: T, count: number) => void
  readonly #limits: SparingLimits

  /** @param tell hears of `count` of a kind, of which `what` is the last */
  constructor (tell: (what: T, count: number) => void, limits: SparingLimits) {
    this.#tell = tell
    this.#limits = limits
  }

  /** @param kind kinds beyond the most that are kept are one kind together: made-up ones fill nothing */
  add (kind: string, what: T): void {
    const key = this.#kinds.has(kind) || this.#kinds.size < this.#limits.maxKinds ? kind : ''
    const kept = this.#kinds.get(key)
    if (kept === undefined) {
      this.#tell(what, 1)
      this.#wait(key, what)
    } else {
      kept.count++
      kept.last = what
    }
  }

  /** Tells what was not told yet. */
  end (): void {
    for (const { count, last, timer } of this.#kinds.values()) {
      clearTimeout(timer)
      if (count > 0) this.#tell(last, count)
    }
    this.#kinds.clear()
  }

  #wait (key: string, last: T): void {
    this.#kinds.set(key, { count: 0, last, timer: setTimeout(() => { this.#over(key) }, this.#limits.ms).unref() })
  }

  #over (key: string): void {
    const { count, last } = this.#kinds.get(key) as Kept<T>
    this.#kinds.delete(key)
    if (count === 0) return
    this.#tell(last, count)
    this.#wait(key, last)
  }
}
