import type { FastifyRequest } from 'fastify'
import type { Settings } from '../config/secrets.ts'
import { peerIn } from '../http/auth/gateway.ts'
import { originalUrl } from './forwarded.ts'

/** Where a user is led, with the way back; undefined where no such page is configured. */
export interface Pages {
  enroll: (request: FastifyRequest) => string | undefined
  verify: (request: FastifyRequest) => string | undefined
  /** @param issuer whose log-in page; @param maxAge seconds: a live session that is older must not come straight back */
  login: (request: FastifyRequest, issuer: string | undefined, maxAge?: number) => string | undefined
}

export function createPages ({ ENROLL_PAGE_URL, VERIFY_PAGE_URL, LOGIN_PAGE_URL, RETURN_HOSTS, TRUSTED_PROXIES, ISSUERS }: Settings): Pages {
  const isTrustedPeer = peerIn(TRUSTED_PROXIES)

  function leadTo (page: string | undefined, request: FastifyRequest, maxAge?: number): string | undefined {
    if (page === undefined) return undefined
    const url = new URL(page)
    if (maxAge !== undefined) url.searchParams.set('max_age', String(maxAge))
    const returnTo = isTrustedPeer(request) ? originalUrl(request, RETURN_HOSTS) : undefined
    if (returnTo !== undefined) url.searchParams.set('return_to', returnTo)
    return url.href
  }

  /** The issuer's own, else the general one; the only issuer's where no other is said. */
  const loginPage = (issuer: string | undefined): string | undefined =>
    ISSUERS.find(({ issuer: name, loginUrl }) => name === issuer && loginUrl !== undefined)?.loginUrl ??
    LOGIN_PAGE_URL ?? (ISSUERS.length === 1 ? ISSUERS[0]?.loginUrl : undefined)

  return {
    enroll: request => leadTo(ENROLL_PAGE_URL, request),
    verify: request => leadTo(VERIFY_PAGE_URL, request),
    login: (request, issuer, maxAge) => leadTo(loginPage(issuer), request, maxAge)
  }
}
