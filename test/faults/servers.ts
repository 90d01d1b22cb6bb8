// Two PostgreSQL servers that a run may kill, stop, fill up and lead its replicas away from: one, and a standby that follows it.
import { execFileSync, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Embedded, startEmbedded } from '../../src/platform/embedded-postgres/embedded.ts'
import { readPostmaster } from '../../src/platform/embedded-postgres/cluster.ts'
import { applyMigrations } from '../../src/platform/db/migrate.ts'
import { allowCheapHashes } from '../helpers/database.ts'
import { program } from '../helpers/program.ts'
import { startProxy } from '../helpers/proxy.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

const SETTINGS = { fsync: 'off', full_page_writes: 'off', max_wal_size: '64MB', min_wal_size: '32MB', max_connections: '100' }

/** One server. What was committed outlives its processes, as the machine below it goes on. */
export class Server {
  readonly dir: string
  #embedded: Embedded | undefined
  constructor (readonly home: string, readonly settings: Record<string, string> = {}) { this.dir = join(home, 'pgdata') }

  get url (): string { return (this.#embedded as Embedded).url }

  async start (): Promise<void> {
    this.#embedded = await startEmbedded({ dataDir: this.home, settings: { ...SETTINGS, ...this.settings } })
  }

  async stop (): Promise<void> { await this.#embedded?.stop() }

  get isRunning (): boolean { return readPostmaster(this) !== undefined }

  /** As the kernel does where memory is short, and then nothing of it is left. */
  async kill (): Promise<void> {
    const found = readPostmaster(this)
    if (found !== undefined) for (const pid of [found.pid, ...childrenOf(found.pid)]) signal(pid, 'SIGKILL')
    await this.stop()
  }

  freeze (): void { this.#signalAll('SIGSTOP') }
  thaw (): void { this.#signalAll('SIGCONT') }

  #signalAll (name: NodeJS.Signals): void {
    const { pid } = readPostmaster(this) as { pid: number }
    for (const each of [pid, ...childrenOf(pid)]) signal(each, name)
  }
}

function signal (pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {} // it has ended meanwhile
}

const childrenOf = (parent: number): number[] => readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number).filter(pid => {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]) === parent
  } catch {
    return false
  }
})

const HOMES = ['first', 'second']

/** However this process ends, another one that has waited for that ends the servers and takes away what they were on. */
function clearAfterwards (t: Teardown, dir: string): void {
  const { file, execArgv } = program('test/helpers/faults-process.ts')
  const waiting = fork(file, [dir], { execArgv, detached: true, stdio: 'ignore' })
  t.teardown(async () => {
    const ended = once(waiting, 'exit')
    waiting.disconnect()
    await ended
  })
}

export async function clear (dir: string): Promise<void> {
  for (const home of HOMES.map(name => join(dir, name))) {
    await new Server(home).kill()
    spawnSync('umount', ['-l', home]) // where it is a disk
  }
  rmSync(dir, { recursive: true, force: true })
}

/** The first, migrated, on a small disk of its own where we may make one (root); and the standby. */
export async function startServers (t: Teardown, dir: string): Promise<{ first: Server, second: Server, disk: string | undefined }> {
  const homes = HOMES.map(name => join(dir, name)) as [string, string]
  for (const home of homes) mkdirSync(home)
  clearAfterwards(t, dir)
  const disk = process.getuid?.() === 0 ? homes[0] : undefined
  if (disk !== undefined) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400m,mode=0755', 'tmpfs', disk])
  const first = new Server(homes[0])
  await first.start()
  await applyMigrations(first.url)
  await allowCheapHashes(first.url)
  await first.stop()
  const { uid, gid } = statSync(first.dir)
  execFileSync('cp', ['-a', first.dir, homes[1]])
  await first.start()
  // It finds the first one again wherever that listens after a crash.
  const stream = await startProxy(t, first.url)
  const start = first.start.bind(first)
  first.start = async () => { await start(); stream.lead(first.url) }
  const { hostname, port, username, password } = new URL(stream.url)
  const second = new Server(homes[1], {
    primary_conninfo: `host=${hostname} port=${port} user=${username} password=${password} application_name=second`,
    hot_standby_feedback: 'on'
  })
  writeFileSync(join(second.dir, 'standby.signal'), '')
  chownSync(join(second.dir, 'standby.signal'), uid, gid)
  await second.start()
  return { first, second, disk }
}
