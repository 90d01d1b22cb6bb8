import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { firstTime } from '../../platform/first-time.ts'
import { isOrigin } from '../../platform/origin.ts'
import { sendProblem } from '../errors.ts'
import { DETAILS, Problem } from '../problem.ts'

/** All that Node's parser lets through; CONNECT never becomes a request. */
export const ALL_METHODS = METHODS.filter(method => method !== 'CONNECT')
const PREFLIGHT_SECONDS = 600
/** Each origin that may not call is told of once, and so many of them: any client can make one up. */
const MOST_TOLD = 100

/** Paths that answer no other origin: they are not a page's business. */
const NOT_FOR_PAGES = /^\/(docs|health|mfa\/authorize|mfa\/forward-auth)(\/|$)/

/**
 * Completes what the router leaves out: 405 with `Allow` where it would say 404, and CORS for a list of exact origins,
 * never `*` and never with credentials (the Fetch standard's CORS protocol). Call it before the routes,
 * and what it returns after all hooks that every request meets.
 *
 * `@fastify/cors` answers preflights by a route of its own for every path: one that is refused, or of no path, would be none of ours.
 */
export function registerMethods (app: FastifyInstance, origins: readonly string[]): () => void {
  for (const method of ALL_METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  const originOf = (request: FastifyRequest): string | undefined => {
    const { origin } = request.headers
    return origin !== undefined && origins.includes(origin) && !NOT_FOR_PAGES.test(request.resource?.url ?? '') ? origin : undefined
  }

  const isNew = firstTime(MOST_TOLD)
  /** A browser says nothing of it to its user, and to the page only that there was no answer. */
  function tellRefused ({ headers: { origin = '' }, log }: FastifyRequest): void {
    if (origin.length <= 255 && isOrigin(origin) && isNew(origin)) {
      log.info(`a page of ${origin} may not call: CORS_ORIGINS does not name it`)
    }
  }

  app.addHook('onRequest', async (request, reply) => {
    if (origins.length > 0) reply.header('vary', 'Origin')
    const origin = originOf(request)
    if (origin === undefined) return
    reply.header('access-control-allow-origin', origin)
    reply.header('access-control-expose-headers', 'WWW-Authenticate, Retry-After, ETag')
  })

  // Before the body is read: whatever it is, the method is what is wrong.
  const answerOther = (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    if (!request.is404 || request.resource === undefined) return done()
    const allow = [...request.resource.methods].join(', ')
    const isPreflight = request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined
    if (isPreflight && originOf(request) !== undefined) {
      reply.code(204).headers({
        'access-control-allow-methods': allow,
        'access-control-allow-headers': 'authorization, content-type, if-match, traceparent, tracestate, baggage, sentry-trace',
        'access-control-max-age': String(PREFLIGHT_SECONDS)
      }).send()
    } else {
      const isRefused = isPreflight && !NOT_FOR_PAGES.test(request.resource.url)
      if (isRefused) tellRefused(request)
      sendProblem(request, reply.header('allow', allow), new Problem('method_not_allowed', isRefused ? { detail: DETAILS.origin } : {}))
    }
  }
  return () => { app.addHook('onRequest', answerOther) }
}
