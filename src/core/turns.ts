/** So many at once; who comes later waits for his turn, in the order in which they came. */
export class Turns {
  #taken = 0
  readonly #waiting: Array<() => void> = []

  constructor (private readonly atOnce: number) {}

  /** How many wait. */
  get waiting (): number { return this.#waiting.length }

  /** Nobody has a turn, and so nobody waits for one. */
  get isIdle (): boolean { return this.#taken === 0 }

  async take (): Promise<void> {
    if (this.#taken < this.atOnce) this.#taken++
    else await new Promise<void>(resolve => { this.#waiting.push(resolve) })
  }

  /** The turn goes to who waits first; it is given back only where nobody does. */
  give (): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#taken--
    else next()
  }
}
