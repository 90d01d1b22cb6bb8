import type { Caller, Door, IssuerWord, Session } from '../core/caller.ts'
import type { Issuer } from '../core/issuer.ts'
import { CLOCK_SKEW_SECONDS } from '../core/policy.ts'
import { Problem } from './problem.ts'
import type { JwsHeader } from './bearer.ts'
import { claimAt, type Claims, seconds, string, strings } from './claims.ts'

export type { Issuer }

/** A token that lives for longer is not a login's. A personal token is meant to. */
const MAX_LIFETIME_SECONDS: Record<Door, number> = { local: 86400, sso: 86400, api: 366 * 86400, service: 86400 }

const refuse = (): never => { throw new Problem('invalid_token') }

/**
 * An access token, not some other kind of one issuer (RFC 8725 §3.12): ID tokens carry a nonce or a hash, logout tokens
 * `events`, and several providers name the kind in the payload.
 */
export function isAccessToken ({ typ }: JwsHeader, claims: Claims): boolean {
  if (typ !== undefined && !(typeof typ === 'string' && /^(application\/)?(at\+)?jwt$/i.test(typ))) return false
  if (['nonce', 'at_hash', 'c_hash', 'events'].some(name => name in claims)) return false
  return !/^(id|refresh|offline|logout)$/i.test(String(claims.typ ?? '')) && !/^(id|refresh)$/i.test(String(claims.token_use ?? ''))
}

/** An ID token (OpenID Connect Core §2), not an access, logout or refresh token of the same issuer. */
export function isIdToken ({ typ }: JwsHeader, claims: Claims): boolean {
  if (typ !== undefined && !(typeof typ === 'string' && /^(application\/)?jwt$/i.test(typ))) return false
  if (['events', 'scope', 'scp'].some(name => name in claims)) return false
  return !/^(bearer|refresh|offline|logout)$/i.test(String(claims.typ ?? '')) && !/^(access|refresh)$/i.test(String(claims.token_use ?? ''))
}

/** Does it name one of the audiences that the entry is for? */
export function namesAudience (claims: Claims, { audienceClaim, audiences }: Issuer): boolean {
  const named = claimAt(claims, [audienceClaim])
  const list = typeof named === 'string' ? [named] : strings(named, 100, 512)
  return list?.some(audience => audiences.includes(audience)) === true
}

/**
 * The caller whom the verified claims name. A claim of the wrong shape is as absent, but for those that say who it is and
 * until when.
 * @throws Problem invalid_token
 */
export function readCaller (header: JwsHeader, claims: Claims, issuer: Issuer, now: Date): Caller {
  if (!(issuer.tokenUse === 'id' ? isIdToken : isAccessToken)(header, claims)) refuse()
  const paths = issuer.claims
  const nowSeconds = now.getTime() / 1000
  const subject = string(claimAt(claims, paths.subject), 255) ?? refuse()
  const { issuedAt, expiresAt } = readTimes(claims, issuer, nowSeconds)
  const clientId = string(claims.client_id, 255) ?? string(claims.azp, 255)
  const isMachine = issuer.door === 'service' || isClientsOwn(claims)
  const loginAt = pastTime(claimAt(claims, paths.authTime), nowSeconds)
  const groups = strings(claimAt(claims, paths.groups), 500, 128)
  return {
    kind: isMachine ? 'service' : 'first',
    tenant: readTenant(claims, issuer),
    namespace: issuer.namespace,
    subject,
    roles: readRoles(claims, issuer, isMachine),
    groups,
    clientId,
    session: readSession(claims, issuer),
    amr: strings(claimAt(claims, paths.amr), 20, 64) ?? [],
    authTime: loginAt ?? (issuer.isIatLogin ? pastTime(issuedAt, nowSeconds) : undefined),
    expiresAt,
    isIdpMfa: !isMachine && hasIdpMfa(claims, issuer, loginAt, nowSeconds),
    isTokenCapped: issuer.isTokenCapped,
    word: isMachine ? undefined : readWord(claims, issuer, issuedAt ?? expiresAt - MAX_LIFETIME_SECONDS[issuer.door]),
    mfa: undefined
  }
}

function readTimes (claims: Claims, { door }: Issuer, nowSeconds: number): { issuedAt: number | undefined, expiresAt: number } {
  const expiresAt = (Number.isInteger(claims.exp) ? seconds(claims.exp) : undefined) ?? refuse()
  // No skew here: a token made from this one would be born dead.
  if (expiresAt <= nowSeconds) refuse()
  const issuedAt = claims.iat === undefined ? undefined : seconds(claims.iat) ?? refuse()
  if (issuedAt !== undefined && issuedAt > nowSeconds + CLOCK_SKEW_SECONDS) refuse()
  if (expiresAt - (issuedAt ?? nowSeconds) > MAX_LIFETIME_SECONDS[door]) refuse()
  return { issuedAt, expiresAt }
}

/** A login in the future is none. */
function pastTime (value: unknown, nowSeconds: number): number | undefined {
  const time = seconds(value)
  return time !== undefined && time <= nowSeconds + CLOCK_SKEW_SECONDS ? time : undefined
}

/** The tenant that the token is of; one that its issuer does not speak for is no one's. */
function readTenant (claims: Claims, { claims: paths, tenant, tenants, isTenantRequired }: Issuer): string {
  const name = string(claimAt(claims, paths.tenant), 128) ?? tenant ?? (isTenantRequired ? refuse() : 'default')
  return tenants === '*' || tenants.includes(name) ? name : refuse()
}

/** Roles that are not ours pass; of ours those that were granted, to a client of a door for people none. */
function readRoles (claims: Claims, { claims: paths, grants, door }: Issuer, isMachine: boolean): string[] {
  const granted = isMachine && door !== 'service' ? [] : grants
  return (strings(claimAt(claims, paths.roles), 100, 128) ?? []).filter(role => !role.startsWith('mfa:') || granted.includes(role))
}

/**
 * A client that got a token for itself is nobody (RFC 9068 §2.2, RFC 8725 §3.8), though it came by a door for people:
 * its subject is the client, or the provider says so (Auth0 `gty`, Entra `idtyp`).
 */
const isClientsOwn = (claims: Claims): boolean => claims.gty === 'client-credentials' || claims.idtyp === 'app' ||
  (typeof claims.sub === 'string' && [claims.client_id, claims.azp, claims.cid].includes(claims.sub))

/** The provider's own MFA: each condition that is configured holds, and it was not long ago, by `auth_time` alone. */
function hasIdpMfa (claims: Claims, { mfa, claims: paths }: Issuer, loginAt: number | undefined, nowSeconds: number): boolean {
  if (mfa === undefined || loginAt === undefined || nowSeconds - loginAt > mfa.maxAgeSeconds) return false
  const amr = strings(claimAt(claims, paths.amr), 20, 64) ?? []
  const acr = string(claimAt(claims, paths.acr), 255)
  return (mfa.amr === undefined || mfa.amr.some(method => amr.includes(method))) && (mfa.acr === undefined || (acr !== undefined && mfa.acr.includes(acr)))
}

/** The first of the session claims that is there, which is remembered, else `sid`, to which an enrollment is bound. */
function readSession (claims: Claims, { issuer, sessionClaims }: Issuer): Session | undefined {
  const claimed = sessionClaims.map(name => sessionOf(claimAt(claims, [name]))).find(id => id !== undefined)
  const id = claimed ?? sessionOf(claims.sid)
  return id === undefined ? undefined : { id, issuer, isRemembered: claimed !== undefined }
}

const sessionOf = (value: unknown): string | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? String(value) : string(value, 255)

function readWord (claims: Claims, { issuer, door, claims: paths }: Issuer, issuedAt: number): IssuerWord {
  return {
    issuer,
    account: paths.account.map(path => string(claimAt(claims, path), 255)).find(account => account !== undefined),
    door,
    accounts: strings(claimAt(claims, paths.accounts), 10, 64)?.filter(account => account === 'local' || account === 'sso'),
    areGroupsUnknown: areGroupsLeftOut(claims, paths.groups.at(-1) as string),
    issuedAt
  }
}

/** Entra ID leaves groups out of a token that would be too long, and says so in one of two ways. */
function areGroupsLeftOut (claims: Claims, groupsClaim: string): boolean {
  const elsewhere = claims._claim_names
  return claims.hasgroups === true || claims.hasgroups === 'true' ||
    (typeof elsewhere === 'object' && elsewhere !== null && Object.hasOwn(elsewhere, groupsClaim))
}
