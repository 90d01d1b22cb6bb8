import type { FastifyRequest } from 'fastify'
import { decodeUtf8 } from '../../platform/text.ts'
import type { JwsHeader } from './claims.ts'
import { refuse } from './refused-token.ts'

/** A compact JWS: three parts of base64url without padding (RFC 7515 §7.1). Five parts would be a JWE. */
const JWS = '([A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+)'
const BEARER = new RegExp(`^Bearer +${JWS}$`, 'i')
const BARE = new RegExp(`^${JWS}$`)

/**
 * The bearer token of a request: from `Authorization` (RFC 6750 §2.1), exactly one.
 * @throws RefusedToken
 */
export function bearerToken (request: FastifyRequest): string {
  let given = 0
  // Node keeps the first of two headers in `headers`; what a proxy before it kept is not known.
  for (let i = 0; i < request.raw.rawHeaders.length; i += 2) {
    if (request.raw.rawHeaders[i]?.toLowerCase() === 'authorization') given++
  }
  const header = request.headers.authorization
  if (header === undefined) refuse('missing')
  if (given > 1) refuse('ambiguous', { why: 'there is more than one Authorization header' })
  return parseBearer(header)
}

/** The token of an `Authorization` header. @throws RefusedToken */
export const parseBearer = (header: string): string => BEARER.exec(header)?.[1] ?? refuse('malformed', { why: whyMalformed(header) })

/** Says nothing of what it holds: it may be a password. */
function whyMalformed (header: string): string {
  if (!/^Bearer +\S/i.test(header)) return 'Authorization does not begin with "Bearer" and a token'
  const token = header.replace(/^Bearer +/i, '')
  if (/\s/.test(token)) return 'there is white space in the token, or "Bearer" twice'
  return whyNoJws(token)
}

function whyNoJws (token: string): string {
  switch (token.split('.').length) {
    case 3: return 'one of its three parts is empty, or is not base64url without padding'
    case 5: return 'it has five parts, as an encrypted token (JWE) has: ask the issuer for a signed one'
    default: return 'it does not have the three parts of a signed JWT: it may be an opaque token'
  }
}

/**
 * The token that a gateway put into a header of its own; undefined if there is none. Node joins two of one name with a
 * comma, which no token has.
 * @throws RefusedToken
 */
export function gatewayToken (request: FastifyRequest, name: string): string | undefined {
  const header = request.headers[name]
  if (header === undefined || header === '') return undefined
  return BARE.exec(String(header))?.[1] ?? refuse('malformed', { why: `${name}: ${whyNoJws(String(header))}` })
}

/**
 * Header and payload before any check, to choose the issuer. Parameters that change how a JWS is read are refused, since
 * we know none of them; those that bring a key along (`jwk`, `jku`, `x5c`, `x5u`) are never looked at (RFC 8725 §3.10).
 */
export function peek (token: string): { header: JwsHeader, payload: Record<string, unknown> } {
  const [header, payload] = token.split('.', 2).map(part => parseObject(part)) as [JwsHeader, Record<string, unknown>]
  const changing = ['crit', 'b64', 'zip', 'enc', 'cty'].find(name => Object.hasOwn(header, name))
  return changing === undefined ? { header, payload } : refuse('header', { why: `its header has ${changing}, which is not supported` })
}

function parseObject (part: string): Record<string, unknown> {
  let value: unknown
  // The libraries put U+FFFD in the place of bytes that are not UTF-8: that would be another user's name.
  try { value = JSON.parse(decodeUtf8(Buffer.from(part, 'base64url'))) } catch { refuse('malformed', NO_OBJECT) }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : refuse('malformed', NO_OBJECT)
}

const NO_OBJECT = { why: 'its header or its payload is not a JSON object in UTF-8' }
