import { ConfigError } from './readers.ts'

/** All that stops a start: it is told at once, not one a start. */
export class Faults {
  readonly #found = new Map<string, ConfigError>()

  /** What `read` answers; a fault of the configuration is kept. */
  try<T> (read: () => T): T | undefined {
    try { return read() } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      this.#keep(error)
      return undefined
    }
  }

  add (variable: string, why: string): void { this.#keep(new ConfigError(variable, why)) }

  /** @throws ConfigError with a line for each fault */
  throwAny (): void {
    const [first, ...others] = this.#found.values()
    if (first !== undefined) throw new ConfigError(first.variable, first.why, others)
  }

  /** The first of each variable; what follows from it is none of its own. */
  #keep (error: ConfigError): void {
    const { variable } = error
    if (!this.#found.has(variable) && !this.#found.has(`${variable}_FILE`)) this.#found.set(variable, error)
  }
}
