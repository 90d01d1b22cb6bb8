import type { Answer } from './send.ts'
import type { SessionToken } from './schema.ts'

/** An MFA token: what to send as the bearer token, until when (milliseconds since 1970), and what it proves. */
export interface MfaToken {
  token: string
  expiresAt: number
  acr: SessionToken['acr']
  amr: string[]
}

const RENEW_AHEAD_MS = 60_000
const RETRY_MS = 5000

/** Holds the MFA token of a session, and replaces it before it ends while the service remembers the session. */
export class TokenKeeper {
  held: MfaToken | null = null
  #renewAt = Infinity
  #takes = 0
  #renewing: Promise<boolean> | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  readonly #ask: () => Promise<Answer>
  readonly #onToken: ((token: MfaToken | null) => void) | undefined

  constructor (ask: () => Promise<Answer>, onToken?: (token: MfaToken | null) => void) {
    this.#ask = ask
    this.#onToken = onToken
  }

  /** The token, renewed if it is about to end; null if there is none that still counts. */
  async current (): Promise<MfaToken | null> {
    if (Date.now() >= this.#renewAt) await this.renew()
    if (this.held !== null && Date.now() >= this.held.expiresAt) this.take(null)
    return this.held
  }

  /** Whether there is a new one. Who asks meanwhile waits for the same answer. */
  renew (): Promise<boolean> {
    this.#renewing ??= this.#renew().finally(() => { this.#renewing = undefined })
    return this.#renewing
  }

  async #renew (): Promise<boolean> {
    const takes = this.#takes
    const { value, problem } = await this.#ask()
    // A code was accepted meanwhile, or the session ended: that is newer.
    if (takes !== this.#takes) return this.held !== null
    if (problem === undefined) this.take(value)
    // What is held counts until it ends: where the session is not remembered, it is not asked again.
    else this.#schedule(['unreachable', 'unavailable', 'too_many_attempts'].includes(problem.code) ? Date.now() + RETRY_MS : Infinity)
    return problem === undefined
  }

  /** Takes the token of an answer, if it has one; null for none any more. */
  take (answer: unknown): void {
    if (answer !== null && typeof (answer as Partial<SessionToken> | undefined)?.token !== 'string') return
    this.#takes++
    if (answer === null) {
      if (this.held === null) return
      this.held = null
      this.#schedule(Infinity)
    } else {
      const { token, expiresIn, acr, amr } = answer as SessionToken
      const milliseconds = expiresIn * 1000
      this.held = { token, expiresAt: Date.now() + milliseconds, acr, amr }
      this.#schedule(Date.now() + milliseconds - Math.min(RENEW_AHEAD_MS, milliseconds / 4))
    }
    this.#onToken?.(this.held)
  }

  /** That one is dead; a newer one stays. */
  drop (token: string): void {
    if (this.held?.token === token) this.take(null)
  }

  /** Renewed at the next call from then on; by itself only if a listener is to be told. */
  #schedule (at: number): void {
    this.#renewAt = at
    clearTimeout(this.#timer)
    if (this.#onToken === undefined || this.held === null) return
    const timer = setTimeout(() => {
      // A timer may be early, as the clock may have been set: then it waits for the rest.
      void this.current().then(() => { if (this.#timer === timer) this.#schedule(at) })
    }, Math.max(250, Math.min(at, this.held.expiresAt) - Date.now()))
    this.#timer = timer
    // In Node it keeps no process alive.
    ;(timer as unknown as { unref?: () => void }).unref?.()
  }
}
