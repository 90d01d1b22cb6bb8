import { Problem } from '../problem.ts'
import type { Claims, JwsHeader } from './claims.ts'
import type { ClaimPath } from './issuer.ts'

/** Which check a token failed: the causes that its metric has. */
export const REFUSAL_CAUSES = [
  /** There is none. */
  'missing',
  /** There are several, or they name different users or sessions. */
  'ambiguous',
  /** It is no signed JWT in UTF-8. */
  'malformed',
  /** It has a header parameter that changes how it would have to be read. */
  'header',
  /** No entry trusts its issuer, or none for its audience. */
  'issuer', 'audience',
  'algorithm', 'signature',
  /** Its issuer has no key that fits. */
  'key',
  /** It is another kind of token, as an ID token where access tokens are expected. */
  'kind',
  /** It is over, or not good yet, or good for longer than it may be. */
  'expired', 'not_yet', 'lifetime',
  /** A claim that must be there is not, or cannot be read, or says what its issuer may not say. */
  'absent', 'unreadable', 'not_allowed',
  /** It was good, until a sign-out, a reset, a log-out or an erasure. */
  'revoked'
] as const

export type RefusalCause = typeof REFUSAL_CAUSES[number]

export interface Refusal {
  readonly cause: RefusalCause
  /** The claim or header parameter that it is about, and what the token says there. */
  readonly claim?: string
  readonly value?: unknown
  /** Instead of the value there: what is wrong. */
  readonly why?: string
  /** What would have passed: as a text, or one of these. */
  readonly expected?: string | readonly string[]
  /** The setting that says so. */
  readonly setting?: string
  /** Which of the configured issuers refused it. */
  readonly entry?: string
}

/** What a token says of itself, to find it by: cut short, and never all of it. */
export type Presented = Readonly<Record<string, string | number>>

/** Why a token is refused: for the operator alone, as in production the caller is told the same for every cause. */
export class RefusedToken extends Problem {
  constructor (readonly refusal: Refusal, readonly presented: Presented = {}) { super('invalid_token') }
}

export const COME = 'a time in the past'
export const EXPIRED = { cause: 'expired', claim: 'exp', expected: 'a time in the future' } as const

/** What the library of tokens says of one; of a signature that is wrong it does not always say so. */
const LIBRARY: Record<string, Omit<Refusal, 'value'>> = {
  FST_JWT_AUTHORIZATION_TOKEN_EXPIRED: EXPIRED,
  FAST_JWT_EXPIRED: EXPIRED,
  FAST_JWT_INACTIVE: { cause: 'not_yet', claim: 'nbf', expected: COME },
  FAST_JWT_INVALID_ALGORITHM: { cause: 'algorithm', claim: 'alg' },
  FAST_JWT_INVALID_CLAIM_VALUE: { cause: 'audience', claim: 'aud', setting: 'MFA_AUDIENCE' },
  FAST_JWT_MISSING_REQUIRED_CLAIM: { cause: 'kind', why: 'it lacks a claim that MFA tokens have' },
  FAST_JWT_INVALID_TYPE: { cause: 'kind', claim: 'typ', expected: ['at+jwt'] }
}

/** What the library of tokens threw, as a refusal. */
export function refusalOf (error: unknown): Refusal {
  const { code, message } = error as Error & { code?: unknown }
  // It can't write down a time that far away.
  if (error instanceof RangeError) return { cause: 'unreadable', why: 'exp or nbf is not a time', expected: 'seconds since 1970' }
  const claim = code === 'FAST_JWT_INVALID_CLAIM_TYPE' ? /^The (\w+) claim/.exec(message)?.[1] : undefined
  return claim === undefined
    ? LIBRARY[String(code)] ?? { cause: 'signature', setting: 'MFA_SIGNING_KEYS' }
    : { cause: 'unreadable', claim, expected: 'seconds since 1970' }
}

export function refuse (cause: RefusalCause, about: Omit<Refusal, 'cause'> = {}): never { throw new RefusedToken({ cause, ...about }) }

export const written = (path: ClaimPath): string => path.join('.')

const WHY: Record<string, string> = {
  missing: 'there is no token in Authorization',
  signature: 'the signature is not by a key of its issuer',
  revoked: 'it was ended by a sign-out, a log-out, a reset or an erasure'
}

/** In one sentence what did not fit, and what would have: `aud is "account", expected "headless-mfa" (JWT_AUDIENCE)`. */
export function explain ({ cause, claim, value, why, expected, setting }: Refusal): string {
  const found = why ??
    (claim === undefined ? WHY[cause] as string : `${claim} is ${value === undefined ? 'not there' : shown(value)}${timeOf(cause, value)}`)
  const wanted = expected === undefined ? '' : `, expected ${typeof expected === 'string' ? expected : anyOf(expected)}`
  return `${found}${wanted}${setting === undefined ? '' : ` (${setting})`}`
}

/** Where a time is wrong: when that is. */
const timeOf = (cause: RefusalCause, value: unknown): string =>
  (cause === 'expired' || cause === 'not_yet') && typeof value === 'number' ? ` (${new Date(value * 1000).toISOString()})` : ''

const MOST_SHOWN = 5

const anyOf = (values: readonly string[]): string =>
  [...values.slice(0, MOST_SHOWN).map(shown), ...(values.length > MOST_SHOWN ? ['others'] : [])].join(' or ')

/** As much of a value as helps: a token may be 32 KiB of it, and nested without end. */
export function shown (value: unknown): string {
  if (!Array.isArray(value)) return item(value)
  const items = [...value.slice(0, MOST_SHOWN).map(item), ...(value.length > MOST_SHOWN ? ['…'] : [])]
  return `[${items.join(', ')}]`
}

function item (value: unknown): string {
  if (typeof value === 'string') return `"${clip(value).replaceAll('"', '\\"')}"`
  return typeof value === 'object' && value !== null ? (Array.isArray(value) ? '[…]' : '{…}') : String(value)
}

const MAX_SHOWN = 100

/** Cut short, and without what ends a line or turns it around. */
export function clip (text: string): string {
  const short = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
  return short.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    character => `\\u${(character.codePointAt(0) as number).toString(16).padStart(4, '0')}`
  )
}

/** What an operator looks at first, from a token that is refused. */
export function whatItSays ({ alg, kid, typ }: JwsHeader, { iss, aud, exp }: Claims): Presented {
  const presented = Object.entries({ iss, aud, alg, kid, typ, exp }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    presented.map(([name, value]) => [name, typeof value === 'string' ? clip(value) : typeof value === 'number' ? value : shown(value)])
  )
}
