// More replicas of a running service, each a process of its own on the same database and at the same frozen instant.
// Some bugs show only so: what is decided in the memory of one process is not decided at all.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { program } from './program.ts'
import type { Order, Report } from './replica-process.ts'
import { type Answer, type Call, callTo, type User, type Service } from './service.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

export type RaceCall = [method: string, path: string, call: Call]

export interface Replicas {
  /** Of every replica, the first service's too. */
  urls: string[]
  /**
   * `count` calls at once, spread over all replicas, at the service's present instant; `call` gives the n-th. A lock
   * holds the user's rows meanwhile, until those calls that got so far have made their decision and wait to write it:
   * without that, a first one may be done before a second one has begun, and the race is none.
   */
  race: (user: User, count: number, call: (index: number) => RaceCall) => Promise<Answer[]>
  /** Sets every replica's clock to the service's. */
  syncClocks: () => Promise<void>
  /** Writes all that the further replica has in its heap to a file. */
  writeHeap: (path: string) => Promise<void>
  /** What `keyNames` says of each further replica. */
  keyNames: () => Promise<string[][]>
  /** bcrypt runs of the further replicas so far. */
  bcryptRuns: () => Promise<{ hashes: number, compares: number }>
}

/** `count` further processes beside `service`, ended after the test. */
export async function startReplicas (t: Teardown, service: Service, count = 1): Promise<Replicas> {
  const { file, execArgv } = program('test/helpers/replica-process.ts')
  const children = Array.from({ length: count }, () => fork(file, [String(service.clock.read().getTime())], {
    execArgv, env: { PATH: process.env.PATH, ...service.env }
  }))
  t.teardown(() => Promise.all(children.map(end)))
  const started = await Promise.all(children.map(child => answerOf<{ url: string }>(child)))
  const urls = [service.url, ...started.map(({ url }) => url)]
  const calls = urls.map(callTo)
  const ask = <T extends object>(child: ChildProcess, order: Order): Promise<T> => {
    const answer = answerOf<T>(child)
    child.send(order)
    return answer
  }
  let asked: Promise<unknown> = Promise.resolve()
  /** One order after the other: the next message is the answer to the last. */
  const askAll = <T extends object>(order: Order): Promise<T[]> => {
    const answers = asked.then(() => Promise.all(children.map(child => ask<T>(child, order))))
    asked = answers.catch(() => {})
    return answers
  }

  const syncClocks = async (): Promise<void> => { await askAll({ now: service.clock.read().getTime() }) }

  return {
    urls,
    syncClocks,
    async race (user, count, call) {
      await syncClocks()
      // Sockets and pools are open before it starts.
      await Promise.all(
        Array.from({ length: count }, (_, index) => (calls[index % calls.length] as Service['call'])('GET', '/health/ready'))
      )
      return await holding(
        user,
        () => Promise.all(Array.from({ length: count }, (_, index) => (calls[index % calls.length] as Service['call'])(...call(index))))
      )
    },
    async writeHeap (path) { await askAll({ heap: path }) },
    async keyNames () { return (await askAll<{ keys: string[] }>({ keys: true })).map(({ keys }) => keys) },
    async bcryptRuns () {
      const runs = await askAll<{ hashes: number, compares: number }>({ count: true })
      return { hashes: runs.reduce((sum, run) => sum + run.hashes, 0), compares: runs.reduce((sum, run) => sum + run.compares, 0) }
    }
  }
}

const HELD_MILLISECONDS = 300

/** Locks what the settlements of a user lock, in their order, for less than they wait. */
async function holding<T> ({ service, tenant, sub }: User, work: () => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: service.config.DATABASE_URL })
  await client.connect()
  try {
    await client.query('BEGIN')
    const { rows } = await client.query('SELECT id FROM users WHERE tenant = $1 AND subject = $2 FOR NO KEY UPDATE', [tenant, sub])
    await client.query('SELECT 1 FROM throttles WHERE tenant = $1 AND user_id = $2 FOR NO KEY UPDATE', [tenant, rows[0]?.id])
    await client.query('SELECT 1 FROM policies WHERE tenant = $1 FOR NO KEY UPDATE', [tenant])
    const done = work()
    await sleep(HELD_MILLISECONDS)
    await client.query('COMMIT')
    return await done
  } finally {
    await client.end()
  }
}

async function answerOf<T extends object> (child: ChildProcess): Promise<T> {
  const settled = new AbortController()
  const [message] = await Promise.race([
    once(child, 'message', { signal: settled.signal }) as Promise<[Report]>,
    once(child, 'exit', { signal: settled.signal })
  ]).finally(() => { settled.abort() })
  if (typeof message !== 'object' || message === null) throw new Error('A replica did not start, or ended.')
  return message as T
}

async function end (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  if (child.connected) child.disconnect()
  await exit
}

/**
 * How many answers had each status. Left out is the 503 that a busy machine gives to calls which it had no time for: it
 * says that nothing was accepted, and what the tests count says whether that is true.
 */
export const tally = (answers: Answer[]): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const { status } of answers) if (status !== 503) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** Exactly one answer of the first status, and all others of one of the rest. */
export const isOneOf = (answers: Answer[], status: number, ...others: number[]): boolean => {
  const { [status]: winners, ...rest } = tally(answers)
  return winners === 1 && Object.keys(rest).every(other => others.includes(Number(other)))
}
