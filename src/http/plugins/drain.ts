import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Listener } from './connections.ts'

declare module 'fastify' {
  interface FastifyInstance {
    drain: Drain
  }
}

/** In milliseconds. */
const CALM = 500
const LINGER = 2500

/**
 * What a stop begins with, while everything is still answered: it is not ready any more, and each answer is the last on its connection,
 * so that load balancers and clients find another replica before this one closes.
 */
export class Drain {
  readonly #listeners: Listener[] = []
  #isBegun = false

  add (listener: Listener): void { this.#listeners.push(listener) }

  get isBegun (): boolean { return this.#isBegun }

  async run (ms: number): Promise<void> {
    this.#isBegun = true
    if (ms === 0) return
    for (const listener of this.#listeners) listener.lingerMs = LINGER
    // A connection that the system has made and we have not taken up yet is reset when the listener closes. At the end connections are
    // kept again: so hardly any client makes a new one. And only
    // briefly, as the client hears: so hardly any uses one in the moment in which it is closed for having been quiet.
    const calm = Math.min(CALM, ms / 2)
    this.#keepAlive(false)
    await sleep(ms - calm)
    this.#keepAlive('briefly')
    await sleep(calm)
  }

  #keepAlive (isKept: false | 'briefly'): void { for (const listener of this.#listeners) listener.keepAlive(isKept) }
}

export function registerDrain (app: FastifyInstance): void {
  app.decorate('drain', new Drain())
  app.drain.add(app.server as Listener)
}
