import { Problem } from './problem.ts'

/** Which check a token failed. */
export type RefusalCause =
  /** There is none. */
  | 'missing'
  /** There are several, or they name different people or sessions. */
  | 'ambiguous'
  /** It is no signed JWT in UTF-8. */
  | 'malformed'
  /** It has a header parameter that changes how it would have to be read. */
  | 'header'
  /** No entry trusts its issuer, or none for its audience. */
  | 'issuer' | 'audience'
  | 'algorithm' | 'signature'
  /** Its issuer has no key that fits. */
  | 'key'
  /** It is another kind of token, as an ID token where access tokens are expected. */
  | 'kind'
  /** It is over, or not good yet, or good for longer than it may be. */
  | 'expired' | 'not_yet' | 'lifetime'
  /** A claim that must be there is not, or cannot be read, or says what its issuer may not say. */
  | 'absent' | 'unreadable' | 'not_allowed'
  /** It was good, until a sign-out, a reset, a log-out or an erasure. */
  | 'revoked'

export interface Refusal {
  readonly cause: RefusalCause
  /** The claim or header parameter that it is about, by its path. */
  readonly claim?: string
  /** What would have passed. */
  readonly expected?: string | number | readonly string[]
  /** Which of the trusted issuers refused it. */
  readonly entry?: number
}

/** Why a token is refused: for the operator alone, as the caller is told the same for every cause. */
export class RefusedToken extends Problem {
  constructor (readonly refusal: Refusal) { super('invalid_token') }
}

export function refuse (cause: RefusalCause, about: Omit<Refusal, 'cause'> = {}): never { throw new RefusedToken({ cause, ...about }) }

/** What the libraries say of a token; of a signature that is wrong they do not all say so. */
const CAUSES: Record<string, RefusalCause> = {
  FST_JWT_AUTHORIZATION_TOKEN_EXPIRED: 'expired',
  FAST_JWT_EXPIRED: 'expired',
  FAST_JWT_INACTIVE: 'not_yet',
  FAST_JWT_INVALID_ALGORITHM: 'algorithm',
  FAST_JWT_INVALID_CLAIM_TYPE: 'unreadable',
  FAST_JWT_INVALID_CLAIM_VALUE: 'audience',
  FAST_JWT_MISSING_REQUIRED_CLAIM: 'kind',
  FAST_JWT_INVALID_TYPE: 'kind'
}

export const causeOf = (error: unknown): RefusalCause => CAUSES[String((error as { code?: unknown }).code)] ?? 'signature'
