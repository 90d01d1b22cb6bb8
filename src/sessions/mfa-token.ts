import { randomUUID } from 'node:crypto'
import { type Acr, type Caller, isAtLeast } from '../http/auth/caller.ts'
import type { MfaTokenClaims } from '../http/auth/mfa-claims.ts'
import type { KeyRing } from '../keys/keys.ts'
import { countsStill, type DecisionSettings } from '../policy/decide.ts'
import type { RememberedAuthentication, User } from '../users/user.ts'
import { macOf, type SessionOwner } from './remembered.ts'

/** The second factor that was just proved, or that an earlier token carries on. Times are unix seconds. */
export interface Authentication {
  acr: Acr
  methods: string[]
  factorId: string
  authTime: number
  /** It rests on a code of an administrator: then it sets up a factor, and changes no other. */
  isBypass?: boolean
  /** Of one that is remembered, or is about to be: when it stops to count. */
  endsAt?: number
}

/** `secondMethods`: what a second factor of any kind adds to `amr`. */
export interface TokenSettings { issuer: string, audience: string, tokenSeconds: number, secondMethods: ReadonlySet<string> }

/** The user that a token is made for. */
export interface TokenSubject { userId: string, epoch: number, generation: number }

/** What the first token proved: what a second factor adds, only where it counted there. */
const provedBefore = ({ amr, isIdpMfa }: Caller, secondMethods: ReadonlySet<string>): string[] =>
  amr.filter(method => isIdpMfa || (method !== 'mfa' && !secondMethods.has(method)))

/**
 * Claims for `caller` after `authentication`. Identity and rights are the verified token's; the end is never past that
 * token's, unless its issuer is configured to lift that.
 * `amr` is what was really proved, as each kind of factor has it; for a trusted device nothing was.
 */
export function mfaTokenClaims (
  caller: Caller,
  subject: TokenSubject,
  authentication: Authentication,
  now: Date,
  settings: TokenSettings
): MfaTokenClaims {
  const iat = Math.floor(now.getTime() / 1000)
  // A renewal of what is remembered is no authentication of its own: there the cap is never lifted.
  const isCapped = caller.isTokenCapped || authentication.endsAt !== undefined
  return {
    ...identityClaims(caller, subject, settings),
    auth_time: authentication.authTime,
    amr: [...new Set([
      ...provedBefore(caller, settings.secondMethods),
      ...authentication.methods,
      ...(authentication.acr === 'mfa-device' ? [] : ['mfa'])
    ])],
    acr: authentication.acr,
    fid: authentication.factorId,
    ...(authentication.isBypass === true && { bypass: true as const }),
    iat,
    exp: Math.min(iat + settings.tokenSeconds, isCapped ? caller.expiresAt : Infinity, authentication.endsAt ?? Infinity)
  }
}

/** Who it is and what they may do: the verified token's claims, and our own name for them. */
const identityClaims = (
  caller: Caller,
  { userId, epoch, generation }: TokenSubject,
  { issuer, audience }: Pick<TokenSettings, 'issuer' | 'audience'>
): Omit<MfaTokenClaims, 'auth_time' | 'amr' | 'acr' | 'fid' | 'bypass' | 'iat' | 'exp'> => ({
  iss: issuer,
  aud: audience,
  sub: caller.subject,
  uid: userId,
  ns: caller.namespace,
  tenant: caller.tenant,
  roles: caller.roles,
  ...(caller.groups !== undefined && { groups: caller.groups }),
  ...(caller.clientId !== undefined && { client_id: caller.clientId }),
  ...sessionClaims(caller, generation),
  epoch,
  jti: randomUUID()
})

/** What an MFA token was earned by, to carry it on. */
export const authenticationOf = (caller: Caller, secondMethods: ReadonlySet<string>): Authentication | null =>
  caller.mfa === undefined || caller.authTime === undefined
    ? null
    : {
        acr: caller.mfa.acr,
        methods: caller.amr.filter(method => secondMethods.has(method)),
        factorId: caller.mfa.factorId,
        authTime: caller.authTime,
        isBypass: caller.mfa.isBypass
      }

/** A session that is not remembered is named too, but a log-out of it cannot be known. */
const sessionClaims = ({ session }: Caller, generation: number): Pick<MfaTokenClaims, 'sid' | 'sid_iss' | 'sid_gen'> =>
  session === undefined
    ? {}
    : { sid: session.id, sid_iss: session.issuer, ...(session.isRemembered && { sid_gen: generation }) }

/** Among the methods of a remembered authentication, and nowhere else: it rests on a code of an administrator. */
const BYPASS = 'bypass'

/** The authentication as the database remembers it for the caller's login session; null where nothing is remembered. */
export function authenticationToRemember (
  user: Pick<SessionOwner, 'tenant' | 'userId' | 'epoch'>,
  { session }: Caller,
  { acr, methods, factorId, authTime, isBypass, endsAt }: Authentication,
  maxAgeSeconds: number,
  peppers: KeyRing
): object | null {
  if (session?.isRemembered !== true) return null
  const owner = { ...user, issuer: session.issuer, session: session.id }
  const authentication = {
    acr,
    methods: isBypass === true ? [...methods, BYPASS] : methods,
    factorId,
    authTime,
    endsAt: endsAt ?? authTime + maxAgeSeconds
  }
  return {
    issuer: session.issuer,
    session: session.id,
    ...authentication,
    epoch: user.epoch,
    mac: macOf(peppers, owner, authentication).toString('hex')
  }
}

/** The same as it was read. */
export const rememberedAuthentication = (authentication: RememberedAuthentication): RememberedAuthentication => ({
  ...authentication,
  methods: authentication.methods.filter(method => method !== BYPASS),
  isBypass: authentication.methods.includes(BYPASS)
})

/**
 * The authentication that a renewal carries on: an MFA token's own, else what is remembered for the session, if it counts still; with
 * `acr`, one that is enough.
 */
export const renewableAuthentication = (
  user: User,
  caller: Caller,
  acr: Acr | undefined,
  settings: DecisionSettings & Pick<TokenSettings, 'secondMethods'>
): Authentication | null =>
  [authenticationOf(caller, settings.secondMethods), user.session.authentication].find(each =>
    each !== null && countsStill(each, user, settings) && (acr === undefined || isAtLeast(each.acr, acr))
  ) ?? null

const APPLICATION_TOKEN_SECONDS = 300

/**
 * Claims for an application where MFA was not asked for: so that it need know our key alone. `acr` says that no second
 * factor was proved, `mfa_reason` why that is enough. Never past the grace that it rests on.
 */
export function allowedTokenClaims (
  caller: Caller,
  { userId, epoch, generation }: TokenSubject,
  decision: { reason: string, deadline?: string },
  now: Date,
  settings: Omit<TokenSettings, 'tokenSeconds'>
): Omit<MfaTokenClaims, 'acr' | 'fid' | 'bypass' | 'auth_time'> & { acr: string, mfa_reason: string, auth_time?: number } {
  const iat = Math.floor(now.getTime() / 1000)
  const graceEnds = decision.deadline === undefined ? Infinity : Math.floor(Date.parse(decision.deadline) / 1000)
  return {
    ...identityClaims(caller, { userId, epoch, generation }, settings),
    ...(caller.authTime !== undefined && { auth_time: caller.authTime }),
    amr: provedBefore(caller, settings.secondMethods),
    acr: decision.reason === 'idp_mfa' ? 'idp-mfa' : 'none',
    mfa_reason: decision.reason,
    iat,
    exp: Math.min(iat + APPLICATION_TOKEN_SECONDS, caller.expiresAt, graceEnds)
  }
}
