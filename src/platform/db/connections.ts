import { randomInt } from 'node:crypto'
import pg from 'pg'
import { UnavailableError } from '../unavailable.ts'
import { type ConnectionEvent, ConnectionNews } from './connection-news.ts'
import { readDatabaseUrl } from './database-url.ts'
import { findServer, IDENTITY, type Server } from './server.ts'

const CONNECT_TIMEOUT_MS = 1500
const IDENTITY_TIMEOUT_MS = 1000
const LOCK_TIMEOUT_MS = 1000
const SERVER_AHEAD_MS = 200
const IDLE_IN_TRANSACTION_MS = 3000
/** Every server that the URL does not lead to any more is found out within ten seconds: by a look, which takes three at most. */
const LOOK_MS = 4000
/** `read_only_sql_transaction`: this server takes no writes. */
const READ_ONLY = '25006'
/** Between looks that something else asks for. */
const LOOK_SOON_MS = 500
/** A connection ends by its age too: in each process at another one, so that not all replicas connect anew at once. */
const TIMING = { lookMs: LOOK_MS, lifetimeSeconds: randomInt(240, 300) }

export interface PoolOptions { size: number, statementTimeoutMs: number }

/** The pools that began together, each connection to the same host of the URL. */
interface Generation<Name extends string> {
  host: number
  pools: Record<Name, pg.Pool>
  /** Which server each connection talks to. */
  servers: Map<pg.ClientBase, string>
}

/**
 * Pools of connections to the server that the URL leads to. An old server may stay up after a switch to another, and then answers
 * those who are still connected to it, for ever: so a new connection looks where the URL leads, again and again, and when that is another
 * server than the pools talk to, all of them begin anew.
 */
export class Connections<Name extends string> {
  readonly #url: () => string
  readonly #options: Record<Name, PoolOptions>
  readonly #news: ConnectionNews
  readonly #timing: typeof TIMING
  readonly #ending = new Set<Promise<void>>()
  #generation: Generation<Name> | undefined
  #beginning: Promise<Generation<Name>> | undefined
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  #lookedAt = -Infinity
  #isRefused = false
  #isClosed = false
  #switches = 0

  /** @param url asked for each new connection, since its password may come from a file that changes */
  constructor (url: () => string, options: Record<Name, PoolOptions>, report: (event: ConnectionEvent) => void, timing = TIMING) {
    this.#url = url
    this.#options = options
    this.#news = new ConnectionNews(report)
    this.#timing = timing
    this.#lookIn(timing.lookMs)
  }

  /** How often all connections began anew: what was read before may be what another server said. */
  get switches (): number { return this.#switches }

  /** One statement. @throws UnavailableError where there is no connection to send it over */
  async query (name: Name, statement: pg.QueryConfig | pg.QueryArrayConfig): Promise<pg.QueryResult> {
    const client = await this.#connect(name)
    const ignore = (): void => {} // the query hears of it
    client.once('error', ignore)
    try {
      const result = await client.query(statement as pg.QueryConfig)
      client.off('error', ignore)
      client.release()
      return result
    } catch (error) {
      client.off('error', ignore)
      client.release(error as Error)
      throw error
    }
  }

  async #connect (name: Name): Promise<pg.PoolClient> {
    try {
      return await (await this.pool(name)).connect()
    } catch (cause) {
      throw new UnavailableError('there is no connection to the database', {
        code: (cause as { code?: string }).code,
        cause,
        undone: 'unsent'
      })
    }
  }

  /** The pool of now: ask at each use. @throws UnavailableError where no host is as the URL wants it */
  async pool (name: Name): Promise<pg.Pool> {
    const { pools } = this.#generation ?? await (this.#beginning ??= this.#begin().finally(() => { this.#beginning = undefined }))
    return pools[name]
  }

  count (name: Name): { idle: number, busy: number, waiting: number } {
    const { idleCount = 0, totalCount = 0, waitingCount = 0 } = this.#generation?.pools[name] ?? {}
    return { idle: idleCount, busy: totalCount - idleCount, waiting: waitingCount }
  }

  /** A statement failed: where the server takes no writes, the URL may lead to another by now. */
  failed (sqlState: string | undefined): void {
    if (sqlState !== READ_ONLY) return
    this.#isRefused = true
    this.#lookSoon()
  }

  async close (): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#looking
    await this.#beginning?.catch(() => {})
    this.#retire()
    await Promise.all(this.#ending)
  }

  async #begin (): Promise<Generation<Name>> {
    const { isChoice } = readDatabaseUrl(this.#url())
    return this.#open(isChoice ? (await findServer(this.#url(), CONNECT_TIMEOUT_MS)).host : 0)
  }

  #open (host: number): Generation<Name> {
    const servers = new Map<pg.ClientBase, string>()
    const pools = Object.fromEntries(
      Object.entries<PoolOptions>(this.#options).map(([name, options]) => [name, this.#openPool(host, options, servers)])
    )
    return (this.#generation = { host, pools: pools as Record<Name, pg.Pool>, servers })
  }

  #openPool (host: number, { size, statementTimeoutMs }: PoolOptions, servers: Generation<Name>['servers']): pg.Pool {
    const pool = new pg.Pool({
      Client: clientTo(() => readDatabaseUrl(this.#url()).urls[host] as string),
      max: size,
      maxLifetimeSeconds: this.#timing.lifetimeSeconds,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      // A pooler refuses these, or would pass them on to the next user of the connection: there the role has them (docs/scaling.md).
      ...(!readDatabaseUrl(this.#url()).isPooled && {
        // A little less than we wait: then it is the server that ends it, and says that nothing was done.
        statement_timeout: statementTimeoutMs - SERVER_AHEAD_MS,
        lock_timeout: LOCK_TIMEOUT_MS,
        idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS
      }),
      // The server may be gone without a word: then nothing but our own clock ends the wait.
      query_timeout: statementTimeoutMs,
      onConnect: client => this.#identify(client, servers),
      keepAlive: true,
      application_name: 'headless-mfa'
    })
    pool.on('error', error => { this.#news.tell({ kind: 'broken', error }) })
    pool.on('remove', client => { servers.delete(client) })
    return pool
  }

  /** Before the first statement of a connection. */
  async #identify (client: pg.ClientBase, servers: Generation<Name>['servers']): Promise<void> {
    const statement = { text: `SELECT ${IDENTITY} AS identity`, query_timeout: IDENTITY_TIMEOUT_MS }
    const { identity } = (await client.query<{ identity: string }>(statement)).rows[0] as { identity: string }
    servers.set(client, identity)
    if ([...servers.values()].some(other => other !== identity)) this.#lookSoon()
  }

  #lookSoon (): void {
    if (this.#looking === undefined) this.#lookIn(Math.max(0, this.#lookedAt + LOOK_SOON_MS - performance.now()))
  }

  #lookIn (ms: number): void {
    clearTimeout(this.#timer)
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined
        this.#lookIn(this.#isRefused ? LOOK_SOON_MS : this.#timing.lookMs)
      })
    }, ms)
    this.#timer.unref()
  }

  /** Where does the URL lead now? Never throws. */
  async #look (): Promise<void> {
    this.#lookedAt = performance.now()
    const isRefused = this.#isRefused
    this.#isRefused = false
    try {
      const server = await findServer(this.#url(), CONNECT_TIMEOUT_MS)
      this.#news.lasts('unreachable', false)
      this.#news.lasts('no_writes', server.isReadOnly)
      this.#news.lasts('unbounded', server.isUnbounded && readDatabaseUrl(this.#url()).isPooled)
      this.#compare(server, isRefused)
    } catch (error) {
      this.#news.lasts('unreachable', true, error as Error)
    }
  }

  /** A server that takes no writes is of no use, unless it is the first of several hosts that is as the URL wants it. */
  #compare ({ host, identity, isReadOnly }: Server, isRefused: boolean): void {
    if (this.#generation === undefined) return
    const isOther = [...this.#generation.servers.values()].some(other => other !== identity)
    if (host !== this.#generation.host || (isOther && !isReadOnly)) this.#beginAnew('moved', host)
    else if (isRefused && !isReadOnly) this.#beginAnew('read_only', host)
  }

  #beginAnew (kind: 'moved' | 'read_only', host: number): void {
    this.#retire()
    this.#open(host)
    this.#switches++
    this.#news.tell({ kind })
  }

  /** Idle connections end now, the others with what they do. */
  #retire (): void {
    for (const pool of Object.values<pg.Pool>(this.#generation?.pools ?? {})) {
      const ending = pool.end().finally(() => { this.#ending.delete(ending) })
      this.#ending.add(ending)
    }
  }
}

/** Of the pool, which makes one for each connection. */
const clientTo = (url: () => string): new () => pg.Client => class extends pg.Client {
  constructor (config: pg.ClientConfig = {}) { super({ ...config, connectionString: url() }) }
}
