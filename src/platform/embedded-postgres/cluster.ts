import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, readlinkSync, realpathSync, renameSync,
  rmSync, writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Place } from './place.ts'

/** The files of one PostgreSQL server, below Place.dataDir. */
export interface Cluster extends Place {
  dir: string
  logFile: string
  password: string
}

/** PGDATA, PGOPTIONS and their like are none of this server's business. */
const env = { PATH: process.env.PATH, LC_ALL: 'C' }

/**
 * Makes the cluster if there is none. It is made under a name of this process and then renamed, so that a crash leaves
 * nothing half made and two processes end up with the same one.
 */
export async function initialise (place: Place, isPersistent: boolean): Promise<Cluster> {
  const dir = join(place.dataDir, 'pgdata')
  if (!existsSync(dir)) await make(place, dir, isPersistent)
  return { ...place, dir, logFile: join(place.dataDir, 'server.log'), password: readFileSync(join(dir, 'password'), 'utf8') }
}

async function make (place: Place, dir: string, isPersistent: boolean) {
  for (const name of readdirSync(place.dataDir)) {
    const pid = /^pgdata\.(\d+)/.exec(name)?.[1]
    if (pid && !isAlive(Number(pid))) rmSync(join(place.dataDir, name), { recursive: true, force: true })
  }
  const half = `${dir}.${process.pid}`
  const passwordFile = `${half}.password`
  mkdirSync(half, { mode: 0o700 })
  writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 })
  /* c8 ignore next -- only root has to */
  if (place.owner) { for (const path of [half, passwordFile]) chownSync(path, place.owner.uid, place.owner.gid) }
  await promisify(execFile)(join(place.binDir, 'initdb'), [
    `--pgdata=${half}`, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8',
    // PostgreSQL's own C.UTF-8, as not every system has one
    '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8',
    '--no-instructions', ...(isPersistent ? [] : ['--no-sync'])
  ], { ...place.owner, cwd: '/', env })
  renameSync(passwordFile, join(half, 'password'))
  try {
    renameSync(half, dir)
    /* c8 ignore start -- a race */
  } catch (error) {
    rmSync(half, { recursive: true })
    if (!existsSync(dir)) throw error // else another process was faster
  }
  /* c8 ignore stop */
}

/** Starts the server in a session of its own, so that a Ctrl-C reaches it through `stop` and after the application. */
export function launch (cluster: Cluster, port: number, settings: Record<string, string>) {
  const log = openSync(cluster.logFile, 'w')
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings }
  const child = spawn(join(cluster.binDir, 'postgres'), [
    '-D', cluster.dir, '-p', String(port), ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  ], { ...cluster.owner, cwd: '/', env, detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  /* c8 ignore next -- initdb, beside it, could be executed a moment ago */
  child.once('error', error => writeFileSync(cluster.logFile, error.message))
  child.unref()
  return {
    hasExited: () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null,
    lastWords: () => readFileSync(cluster.logFile, 'utf8').slice(-2_000)
  }
}

/** What postmaster.pid says, if the process that it names lives. */
export function readPostmaster (cluster: Pick<Cluster, 'dir'>): { pid: number, port: number, isReady: boolean } | undefined {
  const file = join(cluster.dir, 'postmaster.pid')
  let lines
  try {
    lines = readFileSync(file, 'utf8').split('\n')
  } catch {
    return undefined
  }
  const pid = Number(lines[0])
  if (!pid || !isAlive(pid)) return undefined
  if (isElsewhere(pid, cluster.dir)) {
    // After a crash its number was given to another process. PostgreSQL would take that one for a running server.
    rmSync(file, { force: true })
    return undefined
  }
  return { pid, port: Number(lines[3]), isReady: lines[7]?.trim() === 'ready' }
}

/**
 * A server's working directory is its cluster; a zombie has none. Where /proc does not say (no permission, or macOS), it
 * counts as the server, which at worst means waiting in vain, never two servers on the same files.
 */
function isElsewhere (pid: number, dir: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) !== realpathSync(dir)
  } catch (error) {
    return process.platform === 'linux' && (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

function isAlive (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Records that this process uses the cluster. `end` takes that back, and answers whether it was the last one. */
export function registerUse (cluster: Cluster): { end (): boolean } {
  const dir = join(cluster.dataDir, 'users')
  const mine = join(dir, `${process.pid}.${randomBytes(4).toString('hex')}`)
  mkdirSync(dir, { recursive: true })
  writeFileSync(mine, '')
  return {
    end () {
      rmSync(mine, { force: true })
      const alive = findProcesses(cluster.dataDir)
      // killed before they could
      for (const name of readdirSync(dir)) if (!alive.includes(pidOf(name))) rmSync(join(dir, name), { force: true })
      return alive.length === 0
    }
  }
}

const pidOf = (name: string): number => Number.parseInt(name, 10)

/** The processes that use a cluster, by their numbers. */
export function findProcesses (dataDir: string): number[] {
  const dir = join(dataDir, 'users')
  return existsSync(dir) ? readdirSync(dir).map(pidOf).filter(isAlive) : []
}
