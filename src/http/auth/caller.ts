/** How this session's first factor was done: with a password, by SSO, by a personal token; `service`: of a machine, which is no user. */
export type LoginType = 'local' | 'sso' | 'api' | 'service'

/** A login session of an issuer. */
export interface Session {
  id: string
  issuer: string
  /** Named by the claim that the issuer is configured with: only then is a second factor remembered for it. */
  isRemembered: boolean
}

/** Who asks, as a verified token says. Times are unix seconds. */
export interface Caller {
  /** `first`: a first-factor token; `mfa`: one of ours; `service`: a machine's, which is no user. */
  kind: 'first' | 'mfa' | 'service'
  tenant: string
  namespace: string
  subject: string
  roles: string[]
  groups: string[] | undefined
  clientId: string | undefined
  session: Session | undefined
  /** What was proved, RFC 8176. */
  amr: string[]
  /** When: of an MFA token the second factor, else the login; absent if the token does not say. */
  authTime: number | undefined
  expiresAt: number
  /** The identity provider's own MFA, as far as the issuer is configured to count it. */
  isIdpMfa: boolean
  /** And as far as it is configured to be one that cannot be phished. */
  isIdpPhr: boolean
  /** An MFA token made from this one ends with it. */
  isTokenCapped: boolean
  /** Of a first-factor token alone. */
  issuerClaims: IssuerClaims | undefined
  /** Of an MFA token alone. */
  mfa: MfaClaims | undefined
}

/** A user by a first-factor token. */
export type FirstFactor = Caller & { issuerClaims: IssuerClaims }

/** What a first-factor token claims of its user. */
export interface IssuerClaims {
  issuer: string
  /** A name for users, if the token has one. */
  account: string | undefined
  loginType: LoginType
  /** Absent where the token has no such claim: then the login type is added to what the issuer claimed before. */
  accounts: Array<'local' | 'sso'> | undefined
  /** The token claims that it left groups out. */
  areGroupsUnknown: boolean
  /** When it was issued, or as early as it may have been. */
  issuedAt: number
}

/** Does the token give any of our roles? */
export const hasRole = ({ roles }: Pick<Caller, 'roles'>): boolean => roles.some(role => role.startsWith('mfa:'))

/** `phr`: proved by what cannot be phished (OpenID EAP ACR Values 1.0). `mfa-device`: nothing was, by a device that the user trusts. */
export type Acr = 'mfa-device' | 'mfa-recovery' | 'mfa' | 'phr'

const RANKS: readonly Acr[] = ['mfa-device', 'mfa-recovery', 'mfa', 'phr']

/** Is it enough where `wanted` is asked for? */
export const isAtLeast = (acr: Acr, wanted: Acr): boolean => RANKS.indexOf(acr) >= RANKS.indexOf(wanted)

/** What others are told: `phr` to those who asked for it, so that no application that compares with `mfa` locks users out. */
export const toldAcr = (acr: Acr, asked: Acr | undefined): Acr => acr === 'phr' && asked !== 'phr' ? 'mfa' : acr

export interface MfaClaims {
  userId: string
  epoch: number
  acr: Acr
  factorId: string
  /** How often its session had been logged out of when it was issued. */
  generation: number
  /** It was earned by a code of an administrator, or carries that on. */
  isBypass: boolean
}

/** What of an MFA token says whether it still counts, and for what. */
export type MfaProof = Pick<Caller, 'tenant' | 'session' | 'authTime' | 'expiresAt'> & { mfa: MfaClaims }

/** The session that an enrollment is bound to: what the token names, else just the user. */
export const sessionKey = ({ session }: Caller): string | null =>
  session === undefined ? null : JSON.stringify([session.issuer, session.id])
