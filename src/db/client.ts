import { createHash } from 'node:crypto'
import pg from 'pg'
import { UnavailableError } from '../core/unavailable.ts'
import { fragment } from './fragment.ts'
import { type Send, Together } from './together.ts'
import type { Prisma, PrismaClient } from './generated/client.ts'

/** Milliseconds. A client waits for at most the sum of the first two, and once more where others took back what he was sent with. */
const CONNECT_TIMEOUT = 1500
const STATEMENT_TIMEOUT = 1500
const LOCK_TIMEOUT = 1000
/** Of a report, which many rows are read for: at most two run at a time, and a third waits for no longer than to connect. */
const REPORT_TIMEOUT = 20_000
const REPORT_POOL = 2

/** What a settlement function answers: an outcome, and what belongs to it. */
export interface Settlement { outcome: string, [name: string]: unknown }

export interface Database {
  /** Any trouble of the database becomes an UnavailableError: whatever was asked, nothing was accepted. */
  run: <T>(work: () => Promise<T>) => Promise<T>
  /** One tagged statement; values are parameters. What every replica asks all day the driver alone does, at half of what Prisma takes. */
  rows: <T>(strings: TemplateStringsArray, ...values: unknown[]) => Promise<T[]>
  /**
   * The same for what an administrator or an operator asks of many people: few at a time, with more time, and on connections of
   * their own. By Prisma, which is loaded when it is first wanted, as it takes as much memory as the rest of the service.
   */
  reports: <T>(strings: TemplateStringsArray, ...values: unknown[]) => Promise<T[]>
  /** With the time and the connections of reports, for what each replica does by itself. */
  chores: <T>(strings: TemplateStringsArray, ...values: unknown[]) => Promise<T[]>
  /** What one function answers, as JSON: `value`SELECT fn(…) AS result``. */
  value: <T>(strings: TemplateStringsArray, ...values: unknown[]) => Promise<T | null>
  /** A call of one settlement function: `settle`SELECT fn(…) AS result``. */
  settle: (strings: TemplateStringsArray, ...values: unknown[]) => Promise<Settlement>
  /** Of those that ask for the same `key` at the same moment, one call. */
  together: <Item, Answer>(key: string, item: Item, send: Send<Item, Answer>) => Promise<Answer>
  /** What `together` does of a settlement, whose name is what `onSettled` is told. */
  settleTogether: <Item>(name: string, key: string, item: Item, send: Send<Item, Settlement | null>) => Promise<Settlement>
  /** Who is told of each settlement: the function's name, what it answered, and how long that took in seconds. */
  onSettled: (name: string, result: Settlement, seconds: number) => void
  /** Connections of the pool, and calls that wait for one. */
  connections: () => { idle: number, busy: number, waiting: number }
  close: () => Promise<void>
}

/** SQLSTATE or the system's error code: what an operator needs, and never an argument of the query. */
function sqlState (error: unknown): string | undefined {
  const { meta, code } = error as { meta?: { driverAdapterError?: { cause?: { originalCode?: string } } }, code?: string }
  return meta?.driverAdapterError?.cause?.originalCode ?? code
}

/**
 * @param url asked for each new connection, since its password may come from a file that changes; `?pgbouncer=true` in it: a
 *   pooler gives each transaction another connection, which has no statements with names
 * @param onIdleError a pooled connection broke while nobody used it: the next one is made anew
 */
export function connect (url: string | (() => string), poolSize: number, onIdleError: (error: Error) => void): Database {
  const currentUrl = typeof url === 'string' ? () => url : url
  const isPooled = new URL(currentUrl()).searchParams.get('pgbouncer') === 'true'
  const pool = openPool(currentUrl, poolSize, STATEMENT_TIMEOUT, onIdleError)
  const reporting = openPool(currentUrl, Math.min(poolSize, REPORT_POOL), REPORT_TIMEOUT, onIdleError)
  const nameFor = (text: string): { name?: string } => isPooled ? {} : { name: nameOf(text) }
  let models: Promise<Models> | undefined

  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      throw new UnavailableError('the database did not do it', { code: sqlState(cause), cause })
    }
  }
  const rowsOf = (from: pg.Pool, nameFor: (text: string) => { name?: string }): Database['rows'] => async <T>(strings: TemplateStringsArray, ...values: unknown[]): Promise<T[]> => {
    const { text, values: parameters } = fragment(strings, ...values)
    const { rows } = await run(() => from.query({ text, values: parameters, ...nameFor(text) }))
    return rows as T[]
  }
  const value = async <T>(strings: TemplateStringsArray, ...values: unknown[]): Promise<T | null> => {
    const { text, values: parameters } = fragment(strings, ...values)
    const { rows: [row] } = await run(() => pool.query<[T | null]>({ text, values: parameters, rowMode: 'array', ...nameFor(text) }))
    return (row as [T | null])[0]
  }

  const settled = async (name: string, work: () => Promise<Settlement | null>): Promise<Settlement> => {
    const start = performance.now()
    const result = await work()
    if (result === null || result.outcome === 'lost') throw new UnavailableError('a row that must be there is lost')
    database.onSettled(name, result, (performance.now() - start) / 1000)
    return result
  }
  const all = new Together()

  const database: Database = {
    run,
    rows: rowsOf(pool, nameFor),
    value,
    // Without names each is planned for what it asks: an index serves one group and not another.
    chores: rowsOf(reporting, () => ({})),
    reports: async <T>(strings: TemplateStringsArray, ...values: unknown[]) => await run(async () => {
      const { prisma, sql } = await (models ??= openModels(reporting))
      const statement = fragment(strings, ...values)
      return await prisma.$queryRaw<T[]>(sql(statement.strings, ...statement.values))
    }),
    settle: async (strings, ...values) => await settled(settlementOf(strings), () => value<Settlement>(strings, ...values)),
    together: async (key, item, send) => await all.ask(key, item, send),
    settleTogether: async (name, key, item, send) => await settled(name, () => all.ask(key, item, send)),
    onSettled: () => {},
    connections: () => ({ idle: pool.idleCount, busy: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }),
    async close () {
      await (await models)?.prisma.$disconnect()
      for (const each of [reporting, pool]) await each.end()
    }
  }
  return database
}

/** The function that a statement calls: `SELECT accept_totp(` is `accept_totp`. */
const settlementOf = ([head]: TemplateStringsArray): string => (/SELECT (\w+)\(/.exec(head as string) as RegExpExecArray)[1] as string

/** A statement that is sent under a name is planned once. */
function nameOf (text: string): string {
  const name = names.get(text) ?? `s${createHash('sha1').update(text).digest('base64url')}`
  names.set(text, name)
  return name
}
/** As many as a connection has statements. */
const names = new Map<string, string>()

function openPool (url: () => string, poolSize: number, statementTimeout: number, onIdleError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    Client: clientTo(url),
    max: poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    statement_timeout: statementTimeout,
    lock_timeout: LOCK_TIMEOUT,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT * 2,
    // The server may be gone without a word: then nothing but our own clock ends the wait.
    query_timeout: statementTimeout,
    keepAlive: true,
    application_name: 'headless-mfa'
  })
  pool.on('error', onIdleError)
  return pool
}

interface Models { prisma: PrismaClient, sql: typeof Prisma.sql }

async function openModels (pool: pg.Pool): Promise<Models> {
  const [{ PrismaPg }, { Prisma, PrismaClient }] = await Promise.all([import('@prisma/adapter-pg'), import('./generated/client.ts')])
  return { prisma: new PrismaClient({ adapter: new PrismaPg(pool) }), sql: Prisma.sql }
}

/** Of the pool, which makes one for each connection. */
const clientTo = (url: () => string): new () => pg.Client => class extends pg.Client {
  constructor (config: pg.ClientConfig = {}) { super({ ...config, connectionString: url() }) }
}
