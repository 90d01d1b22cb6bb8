import { createHash } from 'node:crypto'
import type { Caller } from './caller.ts'
import { MAX_TOKEN_SECONDS } from './mfa-token.ts'
import type { Person } from './person.ts'
import { putLast } from './put-last.ts'

/** How long a first-factor token is let pass without the database being asked again, if nothing ends it. */
export const PASS_SECONDS = 30

export type WithMfa = Caller & { mfa: NonNullable<Caller['mfa']> }

interface Pass { caller: WithMfa, until: number }

/**
 * First-factor tokens that passed by the second factor which their session remembers: each as the MFA token that it might
 * have been renewed to, so that the same rules say whether it counts. Of the `people` who asked last, each with some tokens.
 */
export class Passes {
  readonly #people = new Map<string, Map<string, Pass>>()

  constructor (readonly people = 10_000, readonly tokens = 10) {}

  /** @param caller just read, with the act that was found for its session */
  keep (caller: Caller, { userId, epoch, session: { act, generation } }: Person, now: Date): void {
    if (act === null) return
    const nowSeconds = now.getTime() / 1000
    const passes = this.#people.get(personOf(caller)) ?? new Map<string, Pass>()
    putLast(passes, tokenOf(caller), {
      // Ends are judged by when it was made, which is now.
      caller: { ...caller, authTime: act.authTime, expiresAt: nowSeconds + MAX_TOKEN_SECONDS, mfa: { userId, epoch, acr: act.acr, factorId: act.factorId, generation, isBypass: act.isBypass === true } },
      until: Math.min(nowSeconds + PASS_SECONDS, act.endsAt)
    }, this.tokens)
    putLast(this.#people, personOf(caller), passes, this.people)
  }

  find (caller: Caller, now: Date): WithMfa | undefined {
    const pass = this.#people.get(personOf(caller))?.get(tokenOf(caller))
    return pass !== undefined && now.getTime() / 1000 < pass.until ? pass.caller : undefined
  }

  /** Of a person who has just changed something himself: what that ended is ended at once where he did it. */
  forget (caller: Caller): void { this.#people.delete(personOf(caller)) }
}

const personOf = ({ tenant, namespace, subject }: Caller): string => [tenant, namespace, subject].join('\0')

/** All that the token says: another word of its issuer is another token. */
const tokenOf = (caller: Caller): string => createHash('sha256').update(JSON.stringify(caller)).digest('base64')
