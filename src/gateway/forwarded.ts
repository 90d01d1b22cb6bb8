import type { FastifyRequest } from 'fastify'
import { accepts } from '../http/accepts.ts'

/** A host as a URL has it: no user, no path, nothing that a parser may take for either. */
const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i
const MAX_URL_LENGTH = 2048

const headerOf = ({ headers }: FastifyRequest, name: string): string | undefined => {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}

/**
 * The URL that the browser asked the gateway for, if it is of one of these hosts; undefined where the gateway does not say
 * so. Call it only of a trusted proxy's request.
 */
export function originalUrl (request: FastifyRequest, hosts: readonly string[]): string | undefined {
  const [proto, host, uri] = ['proto', 'host', 'uri'].map(name => headerOf(request, `x-forwarded-${name}`))
  const text = proto !== undefined && host !== undefined && uri?.startsWith('/') === true && HOST.test(host)
    ? `${proto}://${host}${uri}`
    : headerOf(request, 'x-original-url')
  if (text === undefined || text.length > MAX_URL_LENGTH || !URL.canParse(text)) return undefined
  const url = new URL(text)
  const isAllowed = /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && hosts.includes(url.host)
  return isAllowed && url.href.length <= MAX_URL_LENGTH ? url.href : undefined
}

/** The gateways' calls, and what they put behind them: the path that they were asked for. */
const BELOW = /^(\/mfa\/(?:authorize|forward-auth))\/+(.*)$/s

/**
 * What a gateway asks about is its own: its path and query are no part of ours, whatever they hold, and not for our log. But a
 * slash at the end is no path below: it would take the gateway's own demand away, and nothing would show it.
 */
export const withoutOriginalPath = ({ url = '' }: { url?: string | undefined }): string => {
  const [, call, below] = BELOW.exec(url) as [string, string, string] | null ?? []
  if (call === undefined || below === undefined) return url
  return /^(\?|$)/.test(below) ? call + below : `${call}/*`
}

/** Is it a browser that asked the gateway for a page? */
export function isPageRequest (request: FastifyRequest, isTrusted: boolean): boolean {
  const method = (isTrusted ? headerOf(request, 'x-forwarded-method') : undefined) ?? request.method
  return (method === 'GET' || method === 'HEAD') && accepts(request, 'text/html')
}

/**
 * Text as a header's value: percent-encoded (UTF-8) where it is no printable ASCII. And `%` itself, and a space at either
 * end, which a parser would drop: so that no two texts look the same.
 */
export const headerValue = (text: string): string => text.replace(/[^\x20-\x7e]+|%|^ | $/gu, encodeURIComponent)
