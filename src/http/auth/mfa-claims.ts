import type { Acr } from './caller.ts'

/** How long an MFA token may last, whatever is configured. */
export const MAX_TOKEN_SECONDS = 900

/** The claims of an MFA token (RFC 9068), without a signature. */
export interface MfaTokenClaims {
  iss: string
  aud: string
  sub: string
  uid: string
  ns: string
  tenant: string
  roles: string[]
  groups?: string[]
  client_id?: string
  sid?: string
  sid_iss?: string
  /** Of a remembered session: how often it had been logged out of. */
  sid_gen?: number
  auth_time: number
  amr: string[]
  acr: Acr
  fid: string
  bypass?: true
  epoch: number
  jti: string
  iat: number
  exp: number
}
