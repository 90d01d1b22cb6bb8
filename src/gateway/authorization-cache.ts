import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Caller, MfaProof } from '../http/auth/caller.ts'
import { MAX_TOKEN_SECONDS } from '../http/auth/mfa-claims.ts'
import type { User } from '../users/user.ts'

/** How long a first-factor token is let pass without the database being asked again, if nothing ends it. */
export const CACHE_SECONDS = 30

interface CachedAuthorization { user: string, proof: MfaProof, until: number }

export interface AuthorizationLimits { max: number, perUser: number }
/** About half a kilobyte each. */
const LIMITS: AuthorizationLimits = { max: 20_000, perUser: 10 }

/**
 * First-factor tokens that passed by the second factor which their session remembers: each as the MFA token that it might
 * have been renewed to, so that the same rules say whether it counts. They are gone when they end, and bounded in number, of
 * each user too: no user pushes out the others' by many tokens of their own.
 */
export class AuthorizationCache {
  readonly #perUser: number
  readonly #authorizations: LRUCache<string, CachedAuthorization>
  /** Which are whose, the oldest first. */
  readonly #ofUser = new Map<string, Set<string>>()

  constructor ({ max, perUser }: AuthorizationLimits = LIMITS, ttlMs = CACHE_SECONDS * 1000) {
    this.#perUser = perUser
    this.#authorizations = new LRUCache({
      max,
      ttl: ttlMs,
      ttlAutopurge: true,
      noDisposeOnSet: true,
      dispose: ({ user }, token) => {
        this.#leave(user, token)
      }
    })
  }

  get size (): number { return this.#authorizations.size }

  /** @param caller just read, with the authentication that was found for its session */
  keep (caller: Caller, { userId, epoch, session: { authentication, generation } }: User, now: Date): void {
    // What a device lifted is asked about each time: it may have come to its end by the policy, or by a role.
    if (authentication === null || authentication.acr === 'mfa-device') return
    const nowSeconds = now.getTime() / 1000
    const { tenant, session } = caller
    const [user, token] = [userOf(caller), tokenOf(caller)]
    this.#authorizations.set(token, {
      user,
      proof: {
        tenant,
        session,
        authTime: authentication.authTime,
        // Ends are judged by when it was made, which is now.
        expiresAt: nowSeconds + MAX_TOKEN_SECONDS,
        mfa: {
          userId,
          epoch,
          acr: authentication.acr,
          factorId: authentication.factorId,
          generation,
          isBypass: authentication.isBypass === true
        }
      },
      until: Math.min(nowSeconds + CACHE_SECONDS, authentication.endsAt)
    })
    this.#join(user, token)
  }

  find (caller: Caller, now: Date): MfaProof | undefined {
    const cached = this.#authorizations.get(tokenOf(caller))
    return cached !== undefined && now.getTime() / 1000 < cached.until ? cached.proof : undefined
  }

  /** Of a user who has just changed something themselves: what that ended is ended at once where they did it. */
  forget (caller: Caller): void {
    for (const token of this.#ofUser.get(userOf(caller)) ?? []) this.#authorizations.delete(token)
  }

  #join (user: string, token: string): void {
    const tokens = this.#ofUser.get(user) ?? new Set()
    this.#ofUser.set(user, tokens)
    tokens.delete(token)
    tokens.add(token)
    const [oldest] = tokens
    if (tokens.size > this.#perUser) this.#authorizations.delete(oldest as string)
  }

  #leave (user: string, token: string): void {
    const tokens = this.#ofUser.get(user) as Set<string>
    tokens.delete(token)
    if (tokens.size === 0) this.#ofUser.delete(user)
  }
}

const userOf = ({ tenant, namespace, subject }: Caller): string => [tenant, namespace, subject].join('\0')

/** All that the token claims: with other claims it is another token. */
const tokenOf = (caller: Caller): string => createHash('sha256').update(JSON.stringify(caller)).digest('base64')
