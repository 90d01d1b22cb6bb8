// Sends requests to several replicas as a load balancer does, at a steady pace, and remembers each with its answer. The id that each
// request carries is in the audit event that it leaves, so that both can be held against each other.
import { randomUUID } from 'node:crypto'
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { exchange } from '../helpers/exchange.ts'
import type { Replica } from '../helpers/replica-server.ts'

/** What a user may ask for; `code` and `wrong` are codes that are good and that are none. */
export type Kind = 'status' | 'code' | 'wrong' | 'recovery' | 'codes' | 'logout' | 'signout' | 'authorize' | 'ended' | 'export'

export interface Asked {
  id: string
  kind: Kind
  /** Which code, of which user: what has the same key must open once at most. */
  key: string | undefined
  /** Milliseconds since 1970. */
  sentAt: number
  answeredAt: number
  /** 0: none. */
  status: number
  /** The problem's, or what became of the connection. */
  code: string | undefined
  /** It may have been done or not. */
  isUnknown: boolean
  /** Of an `ended` token: since when it must not pass. */
  deadSince: number | undefined
}

export interface Call {
  kind: Kind
  method: string
  path: string
  token: string
  body?: object
  key?: string
  deadSince?: number
  accept?: string
}
export interface Answer { status: number, body: any }

/** Longer than the service takes for any answer, and than the longest time for which a replica is stopped. */
const PATIENCE_MS = 25_000

export class Driver {
  readonly asked: Asked[] = []
  #agents = new Map<Replica, Agent>()
  #isOver = false
  #workers: Array<Promise<void>> = []
  constructor (readonly replicas: Replica[]) {
    for (const replica of replicas) this.#agents.set(replica, new Agent({ keepAlive: true }))
  }

  /** Each of `workers` takes the user who has waited for the longest, lets them act, and pauses. */
  start (people: Array<{ act: (driver: Driver) => Promise<unknown> }>, workers: number, pauseMs: number): void {
    this.#isOver = false
    const waiting = [...people]
    this.#workers = Array.from({ length: workers }, async () => {
      while (!this.#isOver) {
        const person = waiting.shift() as typeof people[number]
        await person.act(this)
        waiting.push(person)
        await sleep(pauseMs)
      }
    })
  }

  /** When all that was asked is answered. */
  async pause (): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#workers)
  }

  /** To any replica, and to the next one where the connection is refused. */
  async ask (call: Call, first = Math.floor(Math.random() * this.replicas.length)): Promise<Answer> {
    const id = randomUUID()
    const { kind, key, deadSince, method, path, token, accept } = call
    const headers = { authorization: `Bearer ${token}`, 'x-request-id': id, ...(accept !== undefined && { accept }) }
    const body = call.body && JSON.stringify(call.body)
    const sentAt = Date.now()
    const done = (status: number, code: string | undefined, isUnknown: boolean): void => {
      this.asked.push({ id, kind, key, deadSince, sentAt, answeredAt: Date.now(), status, code, isUnknown })
    }
    for (let tries = 0; ; tries++) {
      const replica = this.replicas[(first + tries) % this.replicas.length] as Replica
      try {
        const agent = this.#agents.get(replica) as Agent
        const { status, text } = await exchange({ agent, port: replica.port, method, path, headers, body, timeoutMs: PATIENCE_MS })
        const answer = text.startsWith('{') && kind !== 'export' ? JSON.parse(text) : {}
        done(status, answer.code, answer.code === 'outcome_unknown')
        return { status, body: answer }
      } catch (error) {
        const { code, message } = error as Error & { code?: string }
        const isRefused = code === 'ECONNREFUSED'
        if (isRefused && tries < this.replicas.length - 1) continue
        done(0, code ?? message, !isRefused)
        return { status: 0, body: {} }
      }
    }
  }
}
