import type { FastifyRequest } from 'fastify'
import type { Settings } from '../config/secrets.ts'
import type { Acr } from '../http/auth/caller.ts'
import { peerIn } from '../http/auth/gateway.ts'
import { originalUrl } from './forwarded.ts'

/** Where a user is led, with the way back; undefined where no such page is configured. */
export interface Pages {
  /** @param acr what must be proved there, where that is more than `mfa` */
  enroll: (request: FastifyRequest, acr: Acr | undefined) => string | undefined
  verify: (request: FastifyRequest, acr: Acr | undefined) => string | undefined
  /** @param issuer whose log-in page; @param maxAge seconds: a live session that is older must not come straight back */
  login: (request: FastifyRequest, issuer: string | undefined, maxAge?: number) => string | undefined
}

export function createPages (
  { ENROLL_PAGE_URL, VERIFY_PAGE_URL, LOGIN_PAGE_URL, RETURN_HOSTS, TRUSTED_PROXIES, ISSUERS }: Settings
): Pages {
  const isTrustedPeer = peerIn(TRUSTED_PROXIES)

  function leadTo (page: string | undefined, request: FastifyRequest, parameters: Record<string, string> = {}): string | undefined {
    if (page === undefined) return undefined
    const url = new URL(page)
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    const returnTo = isTrustedPeer(request) ? originalUrl(request, RETURN_HOSTS) : undefined
    if (returnTo !== undefined) url.searchParams.set('return_to', returnTo)
    return url.href
  }

  /** The issuer's own, else the general one; the only issuer's where no other is said. */
  const loginPage = (issuer: string | undefined): string | undefined =>
    ISSUERS.find(({ issuer: name, loginUrl }) => name === issuer && loginUrl !== undefined)?.loginUrl ??
    LOGIN_PAGE_URL ?? (ISSUERS.length === 1 ? ISSUERS[0]?.loginUrl : undefined)

  return {
    enroll: (request, acr) => leadTo(ENROLL_PAGE_URL, request, acr === 'phr' ? { kind: 'passkey' } : {}),
    verify: (request, acr) => leadTo(VERIFY_PAGE_URL, request, acr === 'phr' ? { acr } : {}),
    login: (request, issuer, maxAge) => leadTo(loginPage(issuer), request, maxAge === undefined ? {} : { max_age: String(maxAge) })
  }
}
