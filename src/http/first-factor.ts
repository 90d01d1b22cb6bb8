import type { Caller, Door, Session } from '../core/caller.ts'
import { CLOCK_SKEW_SECONDS } from '../core/policy.ts'
import { Problem } from './problem.ts'
import type { JwsHeader } from './bearer.ts'

/** What is configured of the issuer of first-factor tokens. */
export interface Issuer {
  issuer: string
  namespace: string
  door: Door
  /** `mfa:` roles that its tokens may carry; others are dropped. */
  grants: readonly string[]
  sessionClaim: string | undefined
  isIatLogin: boolean
}

type Claims = Record<string, unknown>

/** A token that lives for longer is not a login's. A personal token is meant to. */
const MAX_LIFETIME_SECONDS: Record<Door, number> = { local: 86400, sso: 86400, api: 366 * 86400 }

const refuse = (): never => { throw new Problem('invalid_token') }

const string = (value: unknown, maxLength: number): string | undefined =>
  typeof value === 'string' && value !== '' && value.length <= maxLength && isPrintable(value) ? value : undefined

// eslint-disable-next-line no-control-regex -- NUL can't be stored, the others don't belong into a name
const isPrintable = (value: string): boolean => !/[\u0000-\u001f\u007f\u2028\u2029\ud800-\udfff]/u.test(value)

/** An array of strings, whole or not at all: half of one would be somebody else's. */
const strings = (value: unknown, maxItems: number, maxLength: number): string[] | undefined =>
  Array.isArray(value) && value.length <= maxItems && value.every(item => string(item, maxLength) !== undefined) ? value as string[] : undefined

const seconds = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 && value < 1e11 ? Math.floor(value) : undefined

/**
 * An access token, not some other kind of one issuer (RFC 8725 §3.12): ID tokens carry a nonce or a hash, logout tokens
 * `events`, and several providers name the kind in the payload.
 */
export function isAccessToken ({ typ }: JwsHeader, claims: Claims): boolean {
  if (typ !== undefined && !(typeof typ === 'string' && /^(application\/)?(at\+)?jwt$/i.test(typ))) return false
  if (['nonce', 'at_hash', 'c_hash', 'events'].some(name => name in claims)) return false
  return !/^(id|refresh|offline|logout)$/i.test(String(claims.typ ?? '')) && !/^(id|refresh)$/i.test(String(claims.token_use ?? ''))
}

/**
 * The caller whom the verified claims name. A claim of the wrong shape is as absent, but for those that say who it is and
 * until when.
 * @throws Problem invalid_token
 */
export function readCaller (header: JwsHeader, claims: Claims, issuer: Issuer, now: Date): Caller {
  if (!isAccessToken(header, claims)) refuse()
  const nowSeconds = now.getTime() / 1000
  const subject = string(claims.sub, 255) ?? refuse()
  const expiresAt = (Number.isInteger(claims.exp) ? seconds(claims.exp) : undefined) ?? refuse()
  // No skew here: a token made from this one would be born dead.
  if (expiresAt <= nowSeconds) refuse()
  const issuedAt = claims.iat === undefined ? undefined : seconds(claims.iat) ?? refuse()
  if (issuedAt !== undefined && issuedAt > nowSeconds + CLOCK_SKEW_SECONDS) refuse()
  if (expiresAt - (issuedAt ?? nowSeconds) > MAX_LIFETIME_SECONDS[issuer.door]) refuse()
  return {
    kind: 'first',
    tenant: string(claims.tenant, 128) ?? 'default',
    namespace: issuer.namespace,
    subject,
    roles: (strings(claims.roles, 100, 128) ?? []).filter(role => !role.startsWith('mfa:') || issuer.grants.includes(role)),
    groups: strings(claims.groups, 500, 128),
    clientId: string(claims.client_id, 255) ?? string(claims.azp, 255),
    session: readSession(claims, issuer),
    amr: (strings(claims.amr, 20, 64) ?? []),
    authTime: loginTime(claims, issuer, issuedAt, nowSeconds),
    expiresAt,
    word: {
      issuer: issuer.issuer,
      account: string(claims.preferred_username, 255) ?? string(claims.email, 255),
      door: issuer.door,
      accounts: strings(claims.accounts, 10, 64)?.filter(account => account === 'local' || account === 'sso')
    },
    mfa: undefined
  }
}

/** A login in the future is none. */
function loginTime (claims: Claims, { isIatLogin }: Issuer, issuedAt: number | undefined, nowSeconds: number): number | undefined {
  const time = seconds(claims.auth_time) ?? (isIatLogin ? issuedAt : undefined)
  return time !== undefined && time <= nowSeconds + CLOCK_SKEW_SECONDS ? time : undefined
}

/** The session claim's, which is remembered, else that of `sid`, which an enrollment is bound to. */
function readSession (claims: Claims, { issuer, sessionClaim }: Issuer): Session | undefined {
  const claimed = sessionClaim === undefined ? undefined : sessionOf(claims[sessionClaim])
  const id = claimed ?? sessionOf(claims.sid)
  return id === undefined ? undefined : { id, issuer, isRemembered: claimed !== undefined }
}

const sessionOf = (value: unknown): string | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? String(value) : string(value, 255)
