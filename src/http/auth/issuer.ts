import type { LoginType } from './caller.ts'

/** Where a claim is: its name, or the names on the way down to it. */
export type ClaimPath = readonly string[]

/** Whose first-factor tokens are accepted, and what they may say. Made of `TRUSTED_ISSUERS_FILE`, or of the `JWT_…` variables. */
export interface Issuer {
  /** The entry of `TRUSTED_ISSUERS_FILE` that it is, as `TRUSTED_ISSUERS_FILE [1]`; undefined for the `JWT_…` variables. */
  readonly place: string | undefined
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
  /** The tenants that it speaks for. */
  readonly tenants: readonly string[] | '*'
  /** `mfa:` roles that its tokens may carry; others are dropped. */
  readonly grants: readonly string[]
  readonly claims: Readonly<{
    subject: ClaimPath
    /** The first that is there is shown to users. */
    account: readonly ClaimPath[]
    tenant: ClaimPath
    groups: ClaimPath
    roles: ClaimPath
    accounts: ClaimPath
    amr: ClaimPath
    acr: ClaimPath
    authTime: ClaimPath
  }>
  /** What of its own MFA counts; `phishingResistant`: and what of that cannot be phished. */
  readonly mfa: Readonly<Methods & { maxAgeSeconds: number, phishingResistant: Methods | undefined }> | undefined
  /** Claims that identify the login session, the first that is there. */
  readonly sessionClaims: readonly string[]
  /** Each token is a login, so `iat` may stand for `auth_time`. */
  readonly isIatLogin: boolean
  /** How long its tokens may live. */
  readonly maxTokenSeconds: number
  /** An MFA token ends with the token that it was made from. */
  readonly isTokenCapped: boolean
  /** Its log-in page. */
  readonly loginUrl: string | undefined
  /** The header, in lower case, in which its gateway hands tokens on. */
  readonly header: string | undefined
}

/** How a login was done: each that is named must hold, by one of its values. */
export type Methods = Readonly<{ amr: readonly string[] | undefined, acr: readonly string[] | undefined }>

/** What the members of an entry are called where there is none. The others need a file. */
const PLAIN: Record<string, string> = {
  issuer: 'JWT_ISSUER',
  audience: 'JWT_AUDIENCE',
  algorithms: 'JWT_ALGORITHMS',
  secret: 'JWT_SECRET',
  publicKey: 'JWT_PUBLIC_KEY_FILE',
  jwksUrl: 'JWT_JWKS_URL'
}

/** By what name an operator finds a member of an issuer's entry: `JWT_AUDIENCE`, or `TRUSTED_ISSUERS_FILE [1].audience`. */
export const settingOf = ({ place }: Pick<Issuer, 'place'>, member: string): string =>
  place === undefined ? PLAIN[member] ?? `${member} in a TRUSTED_ISSUERS_FILE` : `${place}.${member}`

/** Where the keys are from by which its tokens are checked. */
export const keySettingOf = (issuer: Pick<Issuer, 'place' | 'jwksUrl' | 'algorithms'>): string =>
  settingOf(issuer, issuer.jwksUrl !== undefined ? 'jwksUrl' : isSymmetric(issuer.algorithms) ? 'secret' : 'publicKey')

/** By what name an operator finds an issuer. */
export const entryOf = ({ place }: Pick<Issuer, 'place'>): string => place ?? 'JWT_ISSUER'

/** Are its tokens signed by a secret that it shares with us? */
export const isSymmetric = (algorithms: readonly string[]): boolean => algorithms.some(algorithm => algorithm.startsWith('HS'))
