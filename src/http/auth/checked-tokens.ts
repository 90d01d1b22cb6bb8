import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { refuse } from './refused-token.ts'

export interface CheckedLimits {
  /** How many tokens, and how many characters of them in all: what one says takes about three times as much memory. */
  max: number
  maxLength: number
  ttlMs: number
}

const LIMITS: CheckedLimits = { max: 5000, maxLength: 4 * 1024 * 1024, ttlMs: 600_000 }

/**
 * What tokens say whose signature was checked: a gateway asks of one again and again. Known by a hash of the whole token and by
 * the key that it was checked with; that it has not ended, and all else that changes with time, is for the reader to see.
 */
export class CheckedTokens<Key, Claims extends object> {
  readonly #tokens: LRUCache<string, { key: Key, claims: Claims }>

  constructor ({ max, maxLength, ttlMs }: CheckedLimits = LIMITS) {
    this.#tokens = new LRUCache({ max, maxSize: maxLength, ttl: ttlMs, ttlAutopurge: true })
  }

  get size (): number { return this.#tokens.size }

  /** @param by whose token it is: one text may be good for one issuer and not for another */
  find (by: string, token: string, key: Key): Claims | undefined {
    const found = this.#tokens.get(idOf(by, token))
    return found?.key === key ? found.claims : undefined
  }

  /** @returns the claims, which can't be changed any more: many requests read them */
  keep (by: string, token: string, key: Key, claims: Claims): Claims {
    // First of all: what is refused here must not be found next time.
    deepFreeze(claims)
    this.#tokens.set(idOf(by, token), { key, claims }, { size: token.length })
    return claims
  }
}

const idOf = (by: string, token: string): string => `${by} ${hash('sha256', token, 'base64')}`

/** No claim that is read is as deep, and a walk through deeper ones needs a stack without end. */
const MAX_LEVELS = 32

function deepFreeze<T> (value: T, levels = MAX_LEVELS): T {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) refuse('malformed', { why: 'a claim is nested too deep', expected: `at most ${MAX_LEVELS} levels` })
  for (const each of Object.values(Object.freeze(value))) deepFreeze(each, levels - 1)
  return value
}
