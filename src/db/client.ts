import { createHash } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { UnavailableError } from '../core/unavailable.ts'
import { Prisma, PrismaClient } from './generated/client.ts'

/** Milliseconds. A client waits for at most the sum of the first two. */
const CONNECT_TIMEOUT = 1500
const STATEMENT_TIMEOUT = 1500
const LOCK_TIMEOUT = 1000
/** Of a report, which many rows are read for: at most two run at a time, and a third waits for no longer than to connect. */
const REPORT_TIMEOUT = 20_000
const REPORT_POOL = 2

/** What a settlement function answers: an outcome, and what belongs to it. */
export interface Settlement { outcome: string, [name: string]: unknown }

/** A part of a statement, for conditions that are not always asked; values in it are parameters too. */
export const fragment = Prisma.sql
/** Parts, one after the other, with a separator. */
export const joined = Prisma.join
export type Fragment = Prisma.Sql

export interface Database {
  /** The models, for what no race decides. Wrap calls in `run`. */
  prisma: PrismaClient
  /** Any trouble of the database becomes an UnavailableError: whatever was asked, nothing was accepted. */
  run: <T>(work: () => Promise<T>) => Promise<T>
  /** One tagged statement; values are parameters. */
  rows: <T>(strings: TemplateStringsArray, ...values: unknown[]) => Promise<T[]>
  /** The same for a statement about everybody of a tenant: few at a time, with more time, and on connections of their own. */
  reports: <T>(strings: TemplateStringsArray, ...values: unknown[]) => Promise<T[]>
  /** What one function answers, as JSON: `value`SELECT fn_v1(…) AS result``. The driver alone does it, at half of what Prisma takes. */
  value: <T>(strings: TemplateStringsArray, ...values: unknown[]) => Promise<T | null>
  /** A call of one settlement function: `settle`SELECT fn_v1(…) AS result``. */
  settle: (strings: TemplateStringsArray, ...values: unknown[]) => Promise<Settlement>
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
  const { pool, prisma } = open(currentUrl, poolSize, STATEMENT_TIMEOUT, onIdleError, isPooled ? {} : { statementNameGenerator: nameOf })
  // Without names each report is planned for what it asks: an index serves one group and not another.
  const reporting = open(currentUrl, Math.min(poolSize, REPORT_POOL), REPORT_TIMEOUT, onIdleError, {})

  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      throw new UnavailableError('the database did not do it', { code: sqlState(cause), cause })
    }
  }
  const rowsOf = (client: PrismaClient) => <T>(strings: TemplateStringsArray, ...values: unknown[]): Promise<T[]> =>
    run(() => client.$queryRaw<T[]>(Prisma.sql(strings, ...values)))
  const value = async <T>(strings: TemplateStringsArray, ...values: unknown[]): Promise<T | null> => {
    const { text, values: parameters } = Prisma.sql(strings, ...values)
    const { rows: [row] } = await run(() => pool.query<[T | null]>({ text, values: parameters, rowMode: 'array', ...(!isPooled && { name: nameOf({ sql: text }) }) }))
    return (row as [T | null])[0]
  }

  const database: Database = {
    prisma,
    run,
    rows: rowsOf(prisma),
    value,
    reports: rowsOf(reporting.prisma),
    async settle (strings, ...values) {
      const start = performance.now()
      const result = await value<Settlement>(strings, ...values)
      if (result === null || result.outcome === 'lost') throw new UnavailableError('a row that must be there is lost')
      database.onSettled(settlementOf(strings), result, (performance.now() - start) / 1000)
      return result
    },
    onSettled: () => {},
    connections: () => ({ idle: pool.idleCount, busy: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }),
    async close () {
      for (const each of [reporting, { pool, prisma }]) {
        await each.prisma.$disconnect()
        await each.pool.end()
      }
    }
  }
  return database
}

/** `SELECT accept_totp_v1(` is `accept_totp`: releases side by side count as one. */
const settlementOf = ([head]: TemplateStringsArray): string => (/(\w+)_v\d+\(/.exec(head as string) as RegExpExecArray)[1] as string

/** A statement that is sent under a name is planned once. */
function nameOf ({ sql }: { sql: string }): string {
  const name = names.get(sql) ?? `s${createHash('sha1').update(sql).digest('base64url')}`
  names.set(sql, name)
  return name
}
/** As many as a connection has statements. */
const names = new Map<string, string>()

function open (url: () => string, poolSize: number, statementTimeout: number, onIdleError: (error: Error) => void, options: { statementNameGenerator?: typeof nameOf }): { pool: pg.Pool, prisma: PrismaClient } {
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
  return { pool, prisma: new PrismaClient({ adapter: new PrismaPg(pool, options) }) }
}

/** Of the pool, which makes one for each connection. */
const clientTo = (url: () => string): new () => pg.Client => class extends pg.Client {
  constructor (config: pg.ClientConfig = {}) { super({ ...config, connectionString: url() }) }
}
