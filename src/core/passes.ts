import { createHash } from 'node:crypto'
import type { Caller } from './caller.ts'
import { MAX_TOKEN_SECONDS } from './mfa-token.ts'
import type { Person } from './person.ts'

/** How long a first-factor token is let pass without the database being asked again, if nothing ends it. */
export const PASS_SECONDS = 30

export type WithMfa = Caller & { mfa: NonNullable<Caller['mfa']> }

interface Pass { caller: WithMfa, until: number }

/**
 * First-factor tokens that passed by the second factor which their session remembers: each as the MFA token that it might
 * have been renewed to, so that the same rules say whether it counts. The newest `capacity` of them.
 */
export class Passes {
  readonly #passes = new Map<string, Pass>()

  constructor (readonly capacity = 20_000) {}

  /** @param caller just read, with the act that was found for its session */
  keep (caller: Caller, { userId, epoch, session: { act, generation } }: Person, now: Date): void {
    if (act === null) return
    const nowSeconds = now.getTime() / 1000
    const key = keyOf(caller)
    this.#passes.delete(key)
    this.#passes.set(key, {
      // Ends are judged by when it was made, which is now.
      caller: { ...caller, authTime: act.authTime, expiresAt: nowSeconds + MAX_TOKEN_SECONDS, mfa: { userId, epoch, acr: act.acr, factorId: act.factorId, generation, isBypass: act.isBypass === true } },
      until: Math.min(nowSeconds + PASS_SECONDS, act.endsAt ?? Infinity)
    })
    if (this.#passes.size <= this.capacity) return
    const [oldest] = this.#passes.keys()
    this.#passes.delete(oldest as string)
  }

  find (caller: Caller, now: Date): WithMfa | undefined {
    const pass = this.#passes.get(keyOf(caller))
    return pass !== undefined && now.getTime() / 1000 < pass.until ? pass.caller : undefined
  }
}

/** All that the token says: another word of its issuer is another token. */
const keyOf = (caller: Caller): string => createHash('sha256').update(JSON.stringify(caller)).digest('base64')
