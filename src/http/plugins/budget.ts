import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { CallerGoneError, UnavailableError } from '../../platform/unavailable.ts'
import { ifUnknownOf, writeProblem } from '../errors.ts'
import { Problem } from '../problem.ts'

/**
 * In milliseconds: each request is answered within ten seconds, so what it is for begins within six. After that it takes a connection
 * and a statement, of which each has its own limit.
 */
export const BUDGET = { answer: 9500, begin: 6000 }

declare module 'fastify' {
  interface FastifyRequest {
    /** The time that is left to answer it. */
    budget: Budget
  }
}

class Budget {
  readonly #limits: typeof BUDGET
  readonly #onOver: () => void
  #startedAt = 0
  #timer: NodeJS.Timeout | undefined
  /** What the request is for has begun. */
  hasBegun = false

  constructor (limits: typeof BUDGET, onOver: () => void) {
    this.#limits = limits
    this.#onOver = onOver
    this.start()
  }

  /** From now on; again once the body is here, which a slow client may take its time for. */
  start (): void {
    this.stop()
    this.#startedAt = performance.now()
    this.#timer = setTimeout(this.#onOver, this.#limits.answer)
  }

  stop (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  get isStopped (): boolean { return this.#timer === undefined }

  /** Until when, by the clock of `performance`, what the request is for may begin. */
  get beginBy (): number { return this.#startedAt + this.#limits.begin }

  /** @throws UnavailableError where the time for the answer is over */
  check (): void {
    if (performance.now() > this.#startedAt + this.#limits.answer) throw new UnavailableError('the answer took too long')
  }
}

/** Answers whatever takes too long. Register it before whatever a request may wait for. */
export function registerBudget (app: FastifyInstance, limits = BUDGET): void {
  app.decorateRequest('budget', null as unknown as Budget)
  app.addHook('onRequest', (request, reply, done) => {
    const budget = new Budget(limits, () => { answerInstead(request, reply) })
    request.budget = budget
    reply.raw.once('close', () => { budget.stop() })
    done()
  })
  app.addHook('preParsing', ({ raw, budget }, _reply, payload, done) => {
    if (!raw.complete) budget.stop()
    done(null, payload)
  })
  app.addHook('preValidation', ({ budget }, _reply, done) => {
    if (budget.isStopped) budget.start()
    done()
  })
  app.addHook('onSend', ({ budget }, _reply, payload, done) => {
    budget.stop()
    done(null, payload)
  })
}

/** In place of the handler, whose answer comes too late. */
function answerInstead (request: FastifyRequest, reply: FastifyReply): void {
  const cause = new UnavailableError('the answer took too long')
  writeProblem(request, reply, request.budget.hasBegun
    ? new Problem('outcome_unknown', { cause, detail: ifUnknownOf(request) })
    : new Problem('unavailable', { cause }))
}

/**
 * Does what a request is for, if there is time left for it and the caller still waits for the answer: no code is spent, and no codes are
 * replaced, for a caller who has gone.
 * @throws UnavailableError before it has begun
 */
export async function forCaller<T> (request: FastifyRequest, work: () => Promise<T>): Promise<T> {
  if (!request.raw.socket.writable) throw new CallerGoneError()
  return await evenIfGone(request, work)
}

/** The same for what a user may ask for as they leave: a log-out. */
export async function evenIfGone<T> ({ budget }: FastifyRequest, work: () => Promise<T>): Promise<T> {
  if (performance.now() > budget.beginBy) throw new UnavailableError('there is no time left to begin the call')
  budget.hasBegun = true
  return await work()
}
