import type { FastifyRequest } from 'fastify'
import { decodeUtf8 } from '../core/text.ts'
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
  // Node keeps the first of two headers in `headers`; what somebody else kept is not known.
  for (let i = 0; i < request.raw.rawHeaders.length; i += 2) {
    if (request.raw.rawHeaders[i]?.toLowerCase() === 'authorization') given++
  }
  const header = request.headers.authorization
  if (header === undefined) refuse('missing')
  if (given > 1) refuse('ambiguous')
  return BEARER.exec(header)?.[1] ?? refuse('malformed')
}

/**
 * The token that a gateway put into a header of its own; undefined if there is none. Node joins two of one name with a
 * comma, which no token has.
 * @throws RefusedToken
 */
export function gatewayToken (request: FastifyRequest, name: string): string | undefined {
  const header = request.headers[name]
  if (header === undefined || header === '') return undefined
  return BARE.exec(String(header))?.[1] ?? refuse('malformed')
}

export interface JwsHeader { alg?: unknown, kid?: unknown, typ?: unknown, [name: string]: unknown }

/**
 * Header and payload before any check, to choose the issuer. Parameters that change how a JWS is read are refused, since
 * we know none of them; those that bring a key along (`jwk`, `jku`, `x5c`, `x5u`) are never looked at (RFC 8725 §3.10).
 */
export function peek (token: string): { header: JwsHeader, payload: Record<string, unknown> } {
  const [header, payload] = token.split('.', 2).map(part => parseObject(part)) as [JwsHeader, Record<string, unknown>]
  const changing = ['crit', 'b64', 'zip', 'enc', 'cty'].find(name => Object.hasOwn(header, name))
  return changing === undefined ? { header, payload } : refuse('header', { claim: changing })
}

function parseObject (part: string): Record<string, unknown> {
  let value: unknown
  // The libraries put U+FFFD in the place of bytes that are not UTF-8: that would be somebody else's name.
  try { value = JSON.parse(decodeUtf8(Buffer.from(part, 'base64url'))) } catch { refuse('malformed') }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : refuse('malformed')
}
