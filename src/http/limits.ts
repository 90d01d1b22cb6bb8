import rateLimit from '@fastify/rate-limit'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { sourceOf } from '../core/address.ts'
import { Turns } from '../core/turns.ts'
import { BASE_HEADERS } from './base-headers.ts'
import { sendProblem } from './errors.ts'
import { Problem } from './problem.ts'

/** What a request may take of the server (times in milliseconds, sizes in bytes). */
export const SERVER_LIMITS = {
  bodyLimit: 16 * 1024,
  routerOptions: { maxParamLength: 100 },
  connectionTimeout: 15_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 10_000,
  // Node looks for slow clients every half a minute by default. It answers a missing Host by itself, without a body.
  http: { headersTimeout: 10_000, maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 500, requireHostHeader: false }
}

/** Paths that are not counted: probes, and what many ask for from one address. */
const UNCOUNTED = /^\/(health\/|metrics$|\.well-known\/jwks\.json$|mfa\/(authorize|forward-auth)([/?]|$))/

/**
 * Who is refused by the flood limit is told so after a pause: a connection that asks again and again gets two answers a
 * second. Where so many wait for theirs, others are told at once, as to keep them costs memory.
 */
const PAUSE = { milliseconds: 500, atMost: 1000 }
/** Requests of one address that are answered at the same time. */
const AT_ONCE = 8

/** Headers that every answer carries, and a coarse limit for floods. Guessing is stopped per user, not here. */
export async function registerLimits (app: FastifyInstance, requestsPerMinute: number, pause = PAUSE): Promise<void> {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(BASE_HEADERS)
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1') throw new Problem('invalid_request', { errors: [{ field: 'headers.host', message: 'is required' }] })
  })
  // An expectation that nobody knows may be ignored (RFC 9110 §10.1.1); Node would answer it by itself.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  if (requestsPerMinute > 0) await registerFloodLimit(app, requestsPerMinute, pause)
  app.setNotFoundHandler(
    requestsPerMinute > 0 ? { preHandler: app.rateLimit() } : {},
    (request, reply) => sendProblem(request, reply, new Problem('not_found'))
  )
}

async function registerFloodLimit (app: FastifyInstance, requestsPerMinute: number, pause: typeof PAUSE): Promise<void> {
  await app.register(rateLimit, {
    global: false,
    max: requestsPerMinute,
    timeWindow: 60_000,
    cache: 20_000,
    keyGenerator: request => sourceOf(addressOf(request)),
    allowList: request => UNCOUNTED.test(request.url),
    addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    addHeadersOnExceeding: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    errorResponseBuilder: (_request, { ttl }) => new Problem('too_many_attempts', { retryAfter: Math.max(1, Math.ceil(ttl / 1000)) })
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
        await sleep(pause.milliseconds)
        paused--
      }
      throw refusal
    }
  })
  registerTurns(app)
}

/** What one address asks for is answered a few at a time: however many connections it has, others get their share. */
function registerTurns (app: FastifyInstance): void {
  const sources = new Map<string, Turns>()
  app.addHook('onRequest', async (request, reply) => {
    if (UNCOUNTED.test(request.url)) return
    const source = sourceOf(addressOf(request))
    const turns = sources.get(source) ?? new Turns(AT_ONCE)
    sources.set(source, turns)
    await turns.take()
    const done = (): void => {
      turns.give()
      if (turns.isIdle) sources.delete(source)
    }
    // Of who has gone while he waited there is nothing to come.
    if (reply.raw.closed) done()
    else reply.raw.once('close', done)
  })
}

/** The address that asks. A trusted proxy may add a port to it; if it names none at all, it is the proxy itself. */
export function addressOf ({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  const address = /^\[(.+)\](:\d+)?$/.exec(ip)?.[1] ?? /^([\d.]+):\d+$/.exec(ip)?.[1] ?? ip
  return isIP(address) === 0 ? socket.remoteAddress ?? '0.0.0.0' : address
}
