import type { FastifyRequest } from 'fastify'
import { within } from '../../platform/address.ts'
import { FORBIDDEN, Problem } from '../problem.ts'
import type { Caller } from './caller.ts'

/** Is the socket's peer one of these ranges? What `X-Forwarded-For` says does not count: any client can write that. */
export function peerIn (cidrs: readonly string[]): (request: FastifyRequest) => boolean {
  const isTrusted = within(cidrs)
  return ({ socket: { remoteAddress } }) => isTrusted(remoteAddress)
}

/**
 * Tokens of one request must be of one user and, where they name a session, of one session: else a stranger's MFA token
 * would lift a session that it has nothing to do with.
 */
export const doAgree = (callers: Caller[]): boolean =>
  callers.every((one, index) => callers.slice(index + 1).every(other => agree(one, other)))

function agree (one: Caller, other: Caller): boolean {
  const isSameUser = one.tenant === other.tenant && one.namespace === other.namespace && one.subject === other.subject
  const isSameKind = (one.kind === 'service') === (other.kind === 'service')
  const isSameSession = one.session === undefined || other.session === undefined ||
    (one.session.id === other.session.id && one.session.issuer === other.session.issuer)
  return isSameUser && isSameKind && isSameSession
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Behind a gateway's header stands its cookie, which a browser sends along for any page. A page of another site can send
 * neither `application/json` without a preflight, nor this `Sec-Fetch-Site`.
 * @throws Problem forbidden
 */
export function refuseCrossSite ({ method, headers }: FastifyRequest): void {
  if (SAFE_METHODS.has(method) || headers['sec-fetch-site'] === 'same-origin') return
  if (!/^application\/json *(;|$)/i.test(headers['content-type'] ?? '')) {
    throw new Problem('forbidden', { detail: FORBIDDEN['page of another site'] })
  }
}
