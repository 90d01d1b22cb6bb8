import type { MfaProof } from '../http/auth/caller.ts'
import { MAX_TOKEN_SECONDS } from '../http/auth/mfa-claims.ts'
import { CLOCK_SKEW_SECONDS } from '../platform/time.ts'

/**
 * How long a revocation is kept: what an MFA token may last at most, and what clocks and a call under way may add. A session
 * that was logged out of is kept for longer (`end_session`).
 */
export const REVOCATION_SECONDS = MAX_TOKEN_SECONDS + 300

/** Tokens of an older epoch are dead; of the session, if one is named, those of this epoch and an older generation. */
export interface Revocation {
  tenant: string
  userId: string
  /** Both empty where all tokens of the user are meant. */
  issuer: string
  session: string
  epoch: number
  generation: number
  /** How old it was when it was read. */
  ageSeconds: number
}

/** `unknown`: the token is older than what is remembered, and the database must be asked. */
export type Verdict = 'alive' | 'dead' | 'unknown'

type Kept = Pick<Revocation, 'epoch' | 'generation'> & { at: number }

const keyOf = (tenant: string, userId: string, issuer = '', session = ''): string => [tenant, userId, issuer, session].join('\0')

/**
 * What has ended in the last token's life, the newest `capacity` of it. Times are milliseconds of a clock that only goes
 * on, given by the caller.
 */
export class RevocationCache {
  readonly #kept = new Map<string, Kept>()
  /** What ended before is not known. */
  #knownFrom = -Infinity

  constructor (readonly capacity = 100_000) {}

  get size (): number { return this.#kept.size }

  /** Takes in what was read at `readAt`, the newest first; as many as fit may not be all. */
  add (revocations: readonly Revocation[], readAt: number): void {
    for (const { tenant, userId, issuer, session, epoch, generation, ageSeconds } of [...revocations].reverse()) {
      const key = keyOf(tenant, userId, issuer, session)
      // Set anew, it is the last in the map's order: what goes first is the oldest.
      this.#kept.delete(key)
      this.#kept.set(key, { epoch, generation, at: readAt - ageSeconds * 1000 })
    }
    const oldest = revocations.at(-1)
    if (oldest !== undefined && revocations.length >= this.capacity) this.#forgetUntil(readAt - oldest.ageSeconds * 1000)
    for (const [key, { at }] of this.#kept) {
      const isOver = readAt - at > REVOCATION_SECONDS * 1000
      if (!isOver && this.#kept.size <= this.capacity) break
      if (!isOver) this.#forgetUntil(at)
      this.#kept.delete(key)
    }
  }

  #forgetUntil (at: number): void { this.#knownFrom = Math.max(this.#knownFrom, at) }

  /** Does this MFA token still count? `now` is the time of tokens, `at` of this memory. */
  judge ({ tenant, mfa, session, expiresAt }: MfaProof, now: Date, at: number): Verdict {
    const isDead = (revocation: Kept | undefined): boolean => revocation !== undefined &&
      (mfa.epoch < revocation.epoch || (mfa.epoch === revocation.epoch && mfa.generation < revocation.generation))
    if (isDead(this.#kept.get(keyOf(tenant, mfa.userId)))) return 'dead'
    if (session?.isRemembered === true && isDead(this.#kept.get(keyOf(tenant, mfa.userId, session.issuer, session.id)))) return 'dead'
    // It may have been issued as early as this; a little earlier still by another clock.
    const maxAgeSeconds = now.getTime() / 1000 - (expiresAt - MAX_TOKEN_SECONDS) + 2 * CLOCK_SKEW_SECONDS
    return maxAgeSeconds * 1000 <= at - this.#knownFrom ? 'alive' : 'unknown'
  }
}
