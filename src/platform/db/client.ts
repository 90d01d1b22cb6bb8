import { createHash } from 'node:crypto'
import type pg from 'pg'
import sql, { raw, type Sql } from 'sql-template-tag'
import { OutcomeUnknownError, UnavailableError } from '../unavailable.ts'
import { ActorGoneError } from './actor-gone.ts'
import { type Send, Batcher } from './batcher.ts'
import type { ConnectionEvent } from './connection-news.ts'
import { Connections } from './connections.ts'
import { readDatabaseUrl } from './database-url.ts'
import type { PrismaClient } from './generated/client.ts'
import { LONG, PRELUDES, type Settled, type SettlementName } from './settlements.ts'
import { isTakenBack } from './taken-back.ts'

/** Milliseconds. A client waits for that and as long for a connection, and once more where others took back what they were sent with. */
export const STATEMENT_TIMEOUT = 1500
/** Of a report, which many rows are read for: at most two run at a time, and a third waits for no longer than to connect. */
const REPORT_TIMEOUT = 20_000
const REPORT_POOL = 2
/** Of a settlement for many users at once, of which one runs at a time. */
const BULK_TIMEOUT = 5000

/** One tagged statement; values are parameters. */
type Query = <T>(strings: TemplateStringsArray, ...values: unknown[]) => Promise<T[]>

/**
 * A statement, by what it is for. Any trouble of the database becomes an UnavailableError, which says whether it is known that
 * nothing was done.
 */
export interface Database {
  /**
   * What people look at, by Prisma's models: one of a thing, or a short list. On the connections of reports. Prisma is loaded when it
   * is first wanted, as it takes as much memory as the rest of the service.
   */
  models: <T>(read: (models: PrismaClient) => Promise<T>) => Promise<T>
  /** What every replica asks all day: by the driver alone, at half of what Prisma takes. */
  rows: Query
  /**
   * What is counted or listed over many rows, for people or for a worker: few at a time, with more time, and on connections of
   * their own. Statements, since they need the database's clock, microseconds, or an index that a condition of a model has not.
   */
  reports: Query
  /**
   * What every replica must know within a second: on a connection of its own, so that no load on the others keeps it waiting. With the
   * time of a report where all of it is read.
   */
  polls: (options: { isWhole: boolean }) => Query
  /**
   * A call of a function that decides, with its arguments: `settle('sign_out', sql`${tenant}, …`)`; or what sends it together
   * with others.
   * @throws OutcomeUnknownError where it was sent, and it is not known whether it was done
   */
  settle: <Name extends SettlementName>(name: Name, call: Sql | (() => Promise<Settled<Name> | null>)) => Promise<Settled<Name>>
  /** Of those that ask for the same `key` at the same moment, one call. */
  batched: <Item, Answer>(key: string, item: Item, send: Send<Item, Answer>) => Promise<Answer>
  /** Who is told of each settlement: the function's name, what it answered, and how long that took in seconds. */
  onSettled: (name: SettlementName, result: Settled, seconds: number) => void
  /** Who is told what happens to connections. */
  onConnection: (event: ConnectionEvent) => void
  /** Connections of the pool, and calls that wait for one. */
  connections: () => { idle: number, busy: number, waiting: number }
  /** How often all connections began anew: what was read before may be what another server said. */
  switches: () => number
  close: () => Promise<void>
}

/** What the driver said, also where Prisma stands between: its code is SQLSTATE or the system's, never an argument of the query. */
function driverError (error: unknown): Error & { code?: string } {
  const { originalCode, originalMessage } = (error as PrismaError).meta?.driverAdapterError?.cause ?? {}
  if (originalCode === undefined) return error as Error
  return Object.assign(new Error(originalMessage, { cause: error }), { code: originalCode, severity: 'ERROR' })
}
interface PrismaError { meta?: { driverAdapterError?: { cause?: { originalCode?: string, originalMessage?: string } } } }

/**
 * @param url asked for each new connection, since its password may come from a file that changes; `?pgbouncer=true` in it: a
 *   pooler gives each transaction another connection, which has no statements with names
 */
export function connect (url: string | (() => string), poolSize: number): Database {
  const currentUrl = typeof url === 'string' ? () => url : url
  const { isPooled } = readDatabaseUrl(currentUrl())
  const connections = new Connections(currentUrl, {
    logins: { size: poolSize, statementTimeoutMs: STATEMENT_TIMEOUT },
    reports: { size: Math.min(poolSize, REPORT_POOL), statementTimeoutMs: REPORT_TIMEOUT },
    polls: { size: 1, statementTimeoutMs: REPORT_TIMEOUT },
    bulk: { size: 1, statementTimeoutMs: BULK_TIMEOUT }
  }, event => { database.onConnection(event) })
  type PoolName = Parameters<typeof connections.query>[0]
  const nameFor = (text: string): { name?: string } => isPooled ? {} : { name: nameOf(text) }
  let opened: { pool: pg.Pool, models: Promise<PrismaClient> } | undefined

  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      if (error instanceof UnavailableError) throw error
      const cause = driverError(error)
      connections.failed(cause.code)
      throw new UnavailableError('the database statement failed', {
        code: cause.code,
        cause,
        undone: isTakenBack(cause) ? 'taken back' : undefined
      })
    }
  }
  type OptionsFor = (text: string) => { name?: string, query_timeout?: number }
  const unnamed: OptionsFor = () => ({})
  const send = async <T>(from: PoolName, { text, values }: Sql, options: ReturnType<OptionsFor>): Promise<T[]> => {
    const { rows } = await run(async () => await connections.query(from, { text, values, ...options }))
    return rows as T[]
  }
  const over = (from: PoolName, optionsFor: OptionsFor): Query => async <T>(strings: TemplateStringsArray, ...values: unknown[]) => {
    const statement = sql(strings, ...values)
    return await send<T>(from, statement, optionsFor(statement.text))
  }
  const call = async <Name extends SettlementName>(name: Name, args: Sql): Promise<Settled<Name> | null> => {
    const statement = sql`SELECT ${raw(name)}(${args}) AS result`
    const from = LONG[name]
    const [row] = await send<{ result: Settled<Name> | null }>(
      from ?? 'logins',
      statement,
      (from === undefined ? nameFor : unnamed)(statement.text)
    )
    return (row as { result: Settled<Name> | null }).result
  }
  const batcher = new Batcher()

  const database: Database = {
    rows: over('logins', nameFor),
    models: async read => await run(async () => {
      const pool = await connections.pool('reports')
      if (opened?.pool !== pool) opened = { pool, models: openModels(pool) }
      return await read(await opened.models)
    }),
    // Without names each is planned for what it asks: an index serves one group and not another.
    reports: over('reports', unnamed),
    polls: ({ isWhole }) => over('polls', isWhole ? unnamed : text => ({ ...nameFor(text), query_timeout: STATEMENT_TIMEOUT })),
    async settle (name, work) {
      const start = performance.now()
      let result
      try {
        result = typeof work === 'function' ? await work() : await call(name, work)
      } catch (error) {
        const mayBeDone = error instanceof UnavailableError && error.undone === undefined && !PRELUDES.has(name)
        throw mayBeDone ? new OutcomeUnknownError(error) : error
      }
      if (result === null || isThrown(result, 'lost')) throw new UnavailableError('a row that must exist is missing')
      database.onSettled(name, result, (performance.now() - start) / 1000)
      if (isThrown(result, 'actor_gone')) throw new ActorGoneError()
      return result
    },
    batched: async (key, item, send) => await batcher.load(key, item, send),
    onSettled: () => {},
    onConnection: () => {},
    connections: () => connections.count('logins'),
    switches: () => connections.switches,
    async close () {
      await (await opened?.models)?.$disconnect()
      await connections.close()
    }
  }
  return database
}

/** What any settlement may answer, and no caller is answered. */
const isThrown = ({ outcome }: { outcome: string }, thrown: 'lost' | 'actor_gone'): boolean => outcome === thrown

/** A statement that is sent under a name is planned once. */
function nameOf (text: string): string {
  const name = names.get(text) ?? `s${createHash('sha1').update(text).digest('base64url')}`
  names.set(text, name)
  return name
}
/** As many as a connection has statements. */
const names = new Map<string, string>()

async function openModels (pool: pg.Pool): Promise<PrismaClient> {
  const [{ PrismaPg }, { PrismaClient }] = await Promise.all([import('@prisma/adapter-pg'), import('./generated/client.ts')])
  return new PrismaClient({ adapter: new PrismaPg(pool) })
}
