import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { Type } from 'typebox'
import { shared } from '../../platform/shared.ts'
import { REFUSAL_CAUSES, type RefusalCause } from '../auth/refused-token.ts'
import { operation } from '../openapi.ts'
import { PROBLEMS } from '../problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What kind of code this call takes: its outcomes are counted. */
    codeKind?: string
  }
}

/** Seconds: from a round trip to the database to what a client no longer waits for. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** Why connections to the database begin anew. */
const RECONNECTS = ['broken', 'moved', 'read_only']

/** Between two renderings, in milliseconds: each takes some of the event loop, and counts webhook events in the database. */
const PAUSE_MS = 100

/** What an operator sees of the service. No label names a user, a tenant, a path or anything else without bounds. */
export class Metrics {
  readonly registry = new Registry()
  readonly #requests = this.#histogram(
    'mfa_http_request_duration_seconds',
    'Requests, by route and by the status of the answer; `aborted` if the caller had gone.',
    ['method', 'route', 'status']
  )

  readonly #problems = this.#counter('mfa_problems_total', 'Errors that were answered, by their `code`.', ['code'])
  readonly #refusedTokens = this.#counter(
    'mfa_refused_tokens_total',
    'Tokens that were refused, by the check that they failed; the log says more.',
    ['cause']
  )

  readonly #codes = this.#counter('mfa_codes_total', 'Codes that were sent: accepted, or the `code` of the error.', ['kind', 'outcome'])
  readonly #events = this.#counter(
    'mfa_events_total',
    'Audit events, by the replica that chained them: locks, resets, changes of the policy.',
    ['action', 'outcome']
  )

  readonly #auditBreaks = this.#counter('mfa_audit_breaks_total', 'Times that the audit was found to be not what was written.', [])
  readonly #auditWaiting = new Gauge({
    name: 'mfa_audit_waiting_seconds',
    help: 'How long the oldest audit event has waited to be chained, when this replica last looked.',
    registers: [this.registry]
  })

  readonly #drift = this.#counter(
    'mfa_accepted_step_drift_total',
    'Accepted TOTP codes by the distance of their time step from ours: where one side grows, a clock is wrong.',
    ['steps']
  )

  readonly #wouldEnroll = this.#counter(
    'mfa_would_enroll_total',
    'Users that a report-only policy would ask, each once for each version of the policy.',
    []
  )

  readonly #deliveries = this.#counter('mfa_notice_deliveries_total', 'Tries to deliver a webhook event, by their outcome.', ['outcome'])
  readonly #crypto = this.#histogram(
    'mfa_crypto_duration_seconds',
    'Opening and comparing, hashing (with its wait in the queue), signing.',
    ['operation']
  )

  readonly #reconnects = this.#counter(
    'mfa_database_reconnects_total',
    'Connections that began anew: `broken` is one that broke while it was idle, `moved` and `read_only` are all, as another server has ' +
    'taken over or this one took no writes for a while.',
    ['cause']
  )

  readonly #logLost = this.#counter(
    'mfa_log_lines_lost_total',
    'Lines of the log that are lost, as it could not be written: a full disk, or nothing that reads it.',
    []
  )

  readonly #settlements = this.#histogram('mfa_settlement_duration_seconds', 'Settlements in the database, by what they decided.', [
    'settlement',
    'outcome'
  ])

  /** What an alert waits for is there from the beginning, as 0: else its first time would be no increase. */
  constructor () {
    for (const code of Object.keys(PROBLEMS)) this.#problems.inc({ code }, 0)
    for (const cause of REFUSAL_CAUSES) this.#refusedTokens.inc({ cause }, 0)
    for (const action of ['secret.unreadable', 'spray.suspected', 'guessing.suspected']) this.#events.inc({ action, outcome: 'failure' }, 0)
    for (const cause of RECONNECTS) this.#reconnects.inc({ cause }, 0)
    for (const outcome of ['delivered', 'failed']) this.#deliveries.inc({ outcome }, 0)
  }

  /** Of the process: its memory, the lag of its event loop. Once for each process. */
  collectProcess (): void { collectDefaultMetrics({ register: this.registry }) }

  /** A number that is read when it is asked for. */
  watch (name: string, help: string, label: string, read: () => Record<string, number> | Promise<Record<string, number>>): void {
    const gauge = new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.registry],
      async collect () {
        // What cannot be read now is not shown, and the other numbers are.
        gauge.reset()
        const values = await Promise.resolve().then(read).catch(() => ({}))
        for (const [value, count] of Object.entries(values)) gauge.set({ [label]: value }, count)
      }
    })
  }

  /** Seconds, read when they are asked for. */
  clockSkew (read: () => number): void {
    const gauge = new Gauge({
      name: 'mfa_clock_skew_seconds',
      help: "How far the clock of this replica is ahead of the database's, or behind it where negative.",
      registers: [this.registry],
      collect: () => {
        gauge.set(read())
      }
    })
  }

  request (method: string, route: string, status: string, seconds: number): void {
    this.#requests.observe({ method, route, status }, seconds)
  }

  problem (code: string): void { this.#problems.inc({ code }) }
  refusedToken (cause: RefusalCause): void { this.#refusedTokens.inc({ cause }) }
  code (kind: string, outcome: string): void { this.#codes.inc({ kind, outcome }) }
  event (action: string, outcome: string): void { this.#events.inc({ action, outcome }) }
  auditBreak (): void { this.#auditBreaks.inc() }
  auditWaiting (seconds: number): void { this.#auditWaiting.set(seconds) }
  drift (steps: number): void { this.#drift.inc({ steps }) }
  /** Of what happens to connections, that which makes new ones. */
  connection (event: string): void { if (RECONNECTS.includes(event)) this.#reconnects.inc({ cause: event }) }
  logLineLost (): void { this.#logLost.inc() }
  delivery (outcome: string): void { this.#deliveries.inc({ outcome }) }
  wouldEnroll (): void { this.#wouldEnroll.inc() }
  settlement (settlement: string, outcome: string, seconds: number): void { this.#settlements.observe({ settlement, outcome }, seconds) }

  time<T> (operation: string, work: () => T): T {
    const end = this.#crypto.startTimer({ operation })
    try { return work() } finally { end() }
  }

  async timeAsync<T> (operation: string, work: () => Promise<T>): Promise<T> {
    const end = this.#crypto.startTimer({ operation })
    try { return await work() } finally { end() }
  }

  #counter (name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] })
  }

  #histogram (name: string, help: string, labelNames: string[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets: BUCKETS, registers: [this.registry] })
  }
}

/** Counts every request. Register it before whatever may refuse one. */
export function countRequests (app: FastifyInstance, metrics: Metrics): void {
  const count = (request: FastifyRequest, { raw, elapsedTime }: FastifyReply): void => {
    const { url = request.resource?.url ?? 'none', config: { codeKind } } = request.routeOptions
    metrics.request(request.method, url, raw.writableFinished ? String(raw.statusCode) : 'aborted', elapsedTime / 1000)
    const problemCode = request.problem?.code
    if (problemCode !== undefined) metrics.problem(problemCode)
    if (codeKind !== undefined && raw.writableFinished) metrics.code(codeKind, problemCode ?? 'accepted')
  }
  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.once('close', () => { count(request, reply) })
    done()
  })
}

/** Shows the numbers. */
export function registerMetrics (app: FastifyInstance, metrics: Metrics): void {
  // Who asks gets the numbers of now: all who come while one rendering is under way, or due, share it.
  let due: Promise<unknown> = Promise.resolve()
  const render = shared(async () => {
    await due
    const text = await metrics.registry.metrics()
    due = sleep(PAUSE_MS)
    return text
  })
  app.get('/metrics', {
    schema: operation({
      id: 'getMetrics',
      tag: 'Operation',
      summary: 'Read the numbers for Prometheus',
      description:
        "In Prometheus' text format. They have no user, tenant or code in them. They are computed at most ten times a second, for all " +
        'callers together.',
      isPublic: true,
      answers: {
        200: {
          description: 'The numbers.',
          contentTypes: { 'text/plain': { schema: Type.String({ examples: ['mfa_codes_total{kind="totp",outcome="accepted"} 1027\n'] }) } }
        }
      },
      errors: []
    })
  }, async (_request, reply) => reply.type(metrics.registry.contentType).send(await render()))
}
