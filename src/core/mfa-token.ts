import { randomUUID } from 'node:crypto'
import type { Acr, Caller } from './caller.ts'

/** The second factor that was just proved, or that an earlier token carries on. Times are unix seconds. */
export interface Act { acr: Acr, methods: string[], factorId: string, authTime: number }

export interface TokenSettings { issuer: string, audience: string, tokenSeconds: number }

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
  auth_time: number
  amr: string[]
  acr: Acr
  fid: string
  epoch: number
  jti: string
  iat: number
  exp: number
}

/** Methods that a second factor adds; what else the first token proved stays beside them, these only where they counted. */
const SECOND = new Set(['otp', 'mfa', 'recovery'])

/**
 * Claims for `caller` after `act`. Identity and rights are the verified token's; the end is never past that
 * token's, unless its issuer is configured to lift that.
 * `amr` is what was really proved: `otp` only of a TOTP, `recovery` (a private value) of a recovery code.
 */
export function mfaTokenClaims (caller: Caller, userId: string, epoch: number, act: Act, now: Date, settings: TokenSettings): MfaTokenClaims {
  const iat = Math.floor(now.getTime() / 1000)
  return {
    iss: settings.issuer,
    aud: settings.audience,
    sub: caller.subject,
    uid: userId,
    ns: caller.namespace,
    tenant: caller.tenant,
    roles: caller.roles,
    ...(caller.groups !== undefined && { groups: caller.groups }),
    ...(caller.clientId !== undefined && { client_id: caller.clientId }),
    ...(caller.session !== undefined && { sid: caller.session.id, sid_iss: caller.session.issuer }),
    auth_time: act.authTime,
    amr: [...new Set([...caller.amr.filter(method => caller.isIdpMfa || !SECOND.has(method)), ...act.methods, 'mfa'])],
    acr: act.acr,
    fid: act.factorId,
    epoch,
    jti: randomUUID(),
    iat,
    exp: Math.min(iat + settings.tokenSeconds, caller.isTokenCapped ? caller.expiresAt : Infinity)
  }
}

/** What an MFA token was earned by, to carry it on. */
export const actOf = (caller: Caller): Act | null => caller.mfa === undefined || caller.authTime === undefined
  ? null
  : {
      acr: caller.mfa.acr,
      methods: caller.amr.filter(method => method === 'otp' || method === 'recovery'),
      factorId: caller.mfa.factorId,
      authTime: caller.authTime
    }
