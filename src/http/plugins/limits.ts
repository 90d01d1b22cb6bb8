import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sourceOf, withoutPort } from '../../platform/address.ts'
import type { SemaphoreLimits } from '../../platform/semaphore.ts'
import { Shares } from '../../platform/shares.ts'
import { BASE_HEADERS } from '../base-headers.ts'
import { sendProblem } from '../errors.ts'
import { DETAILS, Problem } from '../problem.ts'

/** What a request may take (sizes in bytes); what its connection may stands in connections.ts. */
export const REQUEST_LIMITS = { bodyLimit: 16 * 1024, routerOptions: { maxParamLength: 100 } }

/** Paths that are not counted: probes, and what many ask for from one address. */
const UNCOUNTED = /^\/(health\/|metrics$|\.well-known\/jwks\.json$|mfa\/(authorize|forward-auth)([/?]|$))/

/**
 * Who is refused by the flood limit is told so after a pause: a connection that asks again and again gets two answers a
 * second. Where so many wait for theirs, others are told at once, as to keep them costs memory.
 */
const PAUSE = { milliseconds: 500, atMost: 1000 }
/** Whose requests are counted at the same time; of more, those that were quiet for longest are forgotten. */
const ADDRESSES = 20_000
/** The share of one address: requests that are answered at the same time, and how many others wait for how long. */
const SHARE: SemaphoreLimits = { atOnce: 8, maxWaiting: 100, maxWaitMs: 4000 }

declare module 'fastify' {
  interface FastifyRequest {
    /** Gives back the turn of its address's share; null where none was needed. */
    endTurn: (() => void) | null
    /** It was given back, as the body is still to come: a call that waits for its client holds nothing. */
    isTurnDue: boolean
  }
}

/** Headers that every answer carries, and a coarse limit for floods. Guessing is stopped per user, not here. */
export async function registerLimits (
  app: FastifyInstance, requestsPerMinute: number, { pause = PAUSE, share = SHARE, addresses = ADDRESSES } = {}
): Promise<void> {
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(BASE_HEADERS)
    const message = hostFault(request.raw)
    done(message === undefined ? undefined : new Problem('invalid_request', { errors: [{ field: 'headers.host', message }] }))
  })
  if (requestsPerMinute > 0) {
    await registerFloodLimit(app, requestsPerMinute, pause, addresses)
    registerShares(app, share)
  }
  app.setNotFoundHandler(
    requestsPerMinute > 0 ? { preHandler: app.rateLimit() } : {},
    (request, reply) => sendProblem(request, reply, new Problem('not_found', { detail: DETAILS.path }))
  )
}

/** The host that the request is for, exactly once (RFC 9112 §3.2): of two, a proxy before us may have believed the other. */
function hostFault ({ headers: { host }, rawHeaders, httpVersion }: IncomingMessage): string | undefined {
  let given = 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.length === 4 && rawHeaders[i]?.toLowerCase() === 'host') given++
  if (given > 1) return 'must be there once'
  if (host === undefined) return httpVersion === '1.1' ? 'is required' : undefined
  return HOST.test(host) ? undefined : 'is no host'
}
/** A name or an address, and perhaps a port (RFC 3986 §3.2.2). */
const HOST = /^([\w.~!$&'()*+,;=%-]*|\[[\da-f:.]+\])(:\d*)?$/i

async function registerFloodLimit (app: FastifyInstance, requestsPerMinute: number, pause: typeof PAUSE, addresses: number): Promise<void> {
  await app.register(rateLimit, {
    global: false,
    max: requestsPerMinute,
    timeWindow: 60_000,
    cache: addresses,
    keyGenerator: request => sourceOf(addressOf(request)),
    allowList: request => UNCOUNTED.test(request.url),
    addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    addHeadersOnExceeding: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    errorResponseBuilder: (_request, { ttl }) =>
      new Problem('too_many_attempts', { detail: DETAILS.flood, retryAfter: Math.max(1, Math.ceil(ttl / 1000)) })
  })
  // For every request and before its route's hooks: a flood costs no look into the database.
  const limit = app.rateLimit()
  let paused = 0
  app.addHook('onRequest', async function (request, reply) {
    try {
      await limit.call(this, request, reply)
    } catch (refusal) {
      if (paused < pause.atMost) {
        paused++
        await untilGone(reply, pause.milliseconds)
        paused--
      }
      throw refusal
    }
  })
}

/** For so long, or until the caller has gone. */
async function untilGone ({ raw }: FastifyReply, milliseconds: number): Promise<void> {
  const gone = new AbortController()
  raw.once('close', () => { gone.abort() })
  await sleep(milliseconds, undefined, { signal: gone.signal }).catch(() => {})
}

/**
 * What one address asks for is answered a few at a time: however many connections it has, others get their share. A turn ends
 * with the answer or with the connection, whichever ends first. A connection has one request at a time (connections.ts), and so
 * Node says of each of them that it has closed.
 */
function registerShares (app: FastifyInstance, share: SemaphoreLimits): void {
  const shares = new Shares(share, 'too many requests of one address wait')
  app.decorateRequest('endTurn', null)
  app.decorateRequest('isTurnDue', false)

  async function takeTurn (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const turn = shares.enter(sourceOf(addressOf(request)))
    request.endTurn = turn.end
    if (reply.raw.closed) turn.end()
    else reply.raw.once('close', turn.end)
    // The caller has gone.
    if (!await turn.come) reply.hijack()
  }

  app.addHook('onRequest', async (request, reply) => {
    if (!UNCOUNTED.test(request.url)) await takeTurn(request, reply)
  })
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (request.endTurn !== null && !request.raw.complete) {
      request.endTurn()
      request.isTurnDue = true
    }
    done(null, payload)
  })
  app.addHook('preValidation', async (request, reply) => {
    if (request.isTurnDue) await takeTurn(request, reply)
  })
}

/** The address that asks. A trusted proxy may add a port to it; if it names none at all, it is the proxy itself. */
export function addressOf ({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  const address = withoutPort(ip)
  return isIP(address) === 0 ? socket.remoteAddress ?? '0.0.0.0' : address
}
