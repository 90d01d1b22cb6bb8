import type { FastifyRequest } from 'fastify'
import { Problem } from './problem.ts'

const MAX_TOKEN_LENGTH = 8192

/** A compact JWS: three parts of base64url without padding (RFC 7515 §7.1). Five parts would be a JWE. */
const JWS = '([A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+)'
const BEARER = new RegExp(`^Bearer +${JWS}$`, 'i')
const BARE = new RegExp(`^${JWS}$`)

/**
 * The bearer token of a request: from `Authorization` (RFC 6750 §2.1), exactly one.
 * @throws Problem invalid_token, one body for every cause
 */
export function bearerToken (request: FastifyRequest): string {
  let given = 0
  // Node keeps the first of two headers in `headers`; what somebody else kept is not known.
  for (let i = 0; i < request.raw.rawHeaders.length; i += 2) {
    if (request.raw.rawHeaders[i]?.toLowerCase() === 'authorization') given++
  }
  const header = request.headers.authorization
  const token = header === undefined || given > 1 || header.length > MAX_TOKEN_LENGTH ? undefined : BEARER.exec(header)?.[1]
  if (token === undefined) throw new Problem('invalid_token')
  return token
}

/**
 * The token that a gateway put into a header of its own; undefined if there is none. Node joins two of one name with a
 * comma, which no token has.
 * @throws Problem invalid_token
 */
export function gatewayToken (request: FastifyRequest, name: string): string | undefined {
  const header = request.headers[name]
  if (header === undefined || header === '') return undefined
  const token = typeof header !== 'string' || header.length > MAX_TOKEN_LENGTH ? undefined : BARE.exec(header)?.[1]
  if (token === undefined) throw new Problem('invalid_token')
  return token
}

export interface JwsHeader { alg?: unknown, kid?: unknown, typ?: unknown, [name: string]: unknown }

/**
 * Header and payload before any check, to choose the issuer. Parameters that change how a JWS is read are refused, since
 * we know none of them; those that bring a key along (`jwk`, `jku`, `x5c`, `x5u`) are never looked at (RFC 8725 §3.10).
 */
export function peek (token: string): { header: JwsHeader, payload: Record<string, unknown> } {
  const [header, payload] = token.split('.', 2).map(part => parseObject(part)) as [JwsHeader, Record<string, unknown>]
  if ('crit' in header || 'b64' in header || 'zip' in header || 'enc' in header || 'cty' in header) throw new Problem('invalid_token')
  return { header, payload }
}

function parseObject (part: string): Record<string, unknown> {
  let value: unknown
  try { value = JSON.parse(Buffer.from(part, 'base64url').toString()) } catch { throw new Problem('invalid_token') }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Problem('invalid_token')
  return value as Record<string, unknown>
}
