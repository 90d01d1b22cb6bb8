import type { LoginType } from './caller.ts'

/** Where a claim is: its name, or the names on the way down to it. */
export type ClaimPath = readonly string[]

/** Whose first-factor tokens are accepted, and what they may say. Made of `TRUSTED_ISSUERS_FILE`, or of the `JWT_…` variables. */
export interface Issuer {
  /** `iss`, exact. */
  readonly issuer: string
  /** One of them must be in the claim `audienceClaim`. */
  readonly audiences: readonly string[]
  readonly audienceClaim: string
  readonly algorithms: readonly string[]
  /** An HMAC secret or a PEM (SPKI); else `jwksUrl`. */
  readonly key: string | undefined
  readonly jwksUrl: string | undefined
  readonly tokenUse: 'access' | 'id'
  readonly loginType: LoginType
  /** Issuers that share one share users. */
  readonly namespace: string
  /** The tenant of a token that names none. Without one it is `default`, or a refusal where `isTenantRequired`. */
  readonly tenant: string | undefined
  readonly isTenantRequired: boolean
  /** Whom it speaks for. */
  readonly tenants: readonly string[] | '*'
  /** `mfa:` roles that its tokens may carry; others are dropped. */
  readonly grants: readonly string[]
  readonly claims: Readonly<{
    subject: ClaimPath
    /** The first that is there is shown to people. */
    account: readonly ClaimPath[]
    tenant: ClaimPath
    groups: ClaimPath
    roles: ClaimPath
    accounts: ClaimPath
    amr: ClaimPath
    acr: ClaimPath
    authTime: ClaimPath
  }>
  /** What of its own MFA counts: each that is named must hold. */
  readonly mfa: Readonly<{ amr: readonly string[] | undefined, acr: readonly string[] | undefined, maxAgeSeconds: number }> | undefined
  /** Claims that identify the login session, the first that is there. */
  readonly sessionClaims: readonly string[]
  /** Each token is a login, so `iat` may stand for `auth_time`. */
  readonly isIatLogin: boolean
  /** An MFA token ends with the token that it was made from. */
  readonly isTokenCapped: boolean
  /** Its log-in page. */
  readonly loginUrl: string | undefined
  /** The header, in lower case, in which its gateway hands tokens on. */
  readonly header: string | undefined
}

/** Are its tokens signed by a secret that it shares with us? */
export const isSymmetric = (algorithms: readonly string[]): boolean => algorithms.some(algorithm => algorithm.startsWith('HS'))
