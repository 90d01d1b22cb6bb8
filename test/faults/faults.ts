// The faults, each of which begins, lasts for a while under load, and ends. What must hold for all of them auditor.ts says.
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { applyMigrations, prismaDir } from '../../src/platform/db/migrate.ts'
import { execute } from '../helpers/database.ts'
import { setReadOnly } from '../helpers/servers.ts'
import { hasPooler, type Pooler, startPooler } from './pooler.ts'
import type { Stage } from './stage.ts'

export interface Fault {
  name: string
  begin: (stage: Stage) => Promise<unknown> | unknown
  end: (stage: Stage) => Promise<unknown> | unknown
  /** Why it cannot be done here, if it cannot. */
  missing?: (stage: Stage) => string | undefined
  /** No call is turned away: no 503, and no connection that is reset. */
  isUnseen?: boolean
  /** Some call is answered 503 with this code, or else the fault was none. */
  isFelt?: 'unavailable' | 'outcome_unknown'
}

/** The database's address leads to this server from now on, and nothing is still connected to another. */
function lead ({ proxy }: Stage, url: string): void {
  proxy.lead(url)
  proxy.cut()
}

async function restartServer (stage: Stage): Promise<void> {
  await stage.server.start()
  lead(stage, stage.server.url)
}

/** One after the other, as a deployment is rolled out. */
async function roll (stage: Stage, env: Record<string, string>): Promise<void> {
  for (const replica of stage.replicas) {
    await replica.stop()
    await replica.start(env)
  }
}

let [loss, losing] = [new AbortController(), Promise.resolve()]
/** Of a settlement, and not of a look at the audit, whose events have an outcome too. */
const SETTLED = /"outcome": ?"(?!success|failure)/
/** Again and again, a change is made, its answer is lost, and the connection breaks. */
async function loseAnswers ({ proxy }: Stage): Promise<void> {
  while (!loss.signal.aborted) {
    await Promise.race([proxy.loseAnswers(SETTLED), sleep(1000)])
    proxy.cut()
    await proxy.restore()
    await sleep(300)
  }
}

let pooler: Pooler | undefined
async function throughPooler (stage: Stage): Promise<void> {
  pooler = await startPooler(stage.server.url)
  lead(stage, pooler.url)
  await roll(stage, { ...stage.env, DATABASE_URL: `${stage.env.DATABASE_URL as string}?pgbouncer=true` })
  await pooler.stop()
}

async function pastPooler (stage: Stage): Promise<void> {
  pooler = await startPooler(stage.server.url)
  lead(stage, pooler.url)
}

async function leavePooler (stage: Stage): Promise<void> {
  if (pooler !== undefined) lead(stage, stage.server.url)
  await roll(stage, stage.env)
  await pooler?.stop()
}

const FILLER = 'filler'
function fillDisk ({ disk }: Stage): void {
  for (const size of [1 << 20, 1 << 12]) {
    for (let index = 0; ; index++) {
      try {
        writeFileSync(join(disk as string, `${FILLER}-${size}-${index}`), Buffer.alloc(size))
      } catch {
        break
      }
    }
  }
}

async function freeDisk (stage: Stage): Promise<void> {
  const disk = stage.disk as string
  for (const name of readdirSync(disk)) if (name.startsWith(FILLER)) rmSync(join(disk, name))
  if (!stage.server.isRunning) await restartServer(stage)
}

/** Nothing that was answered with success is lost with the first server, as with any standby that is meant to take over. */
async function failOver (stage: Stage): Promise<void> {
  const { server, second } = stage
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  await client.query("ALTER SYSTEM SET synchronous_standby_names = 'second'")
  await client.query('SELECT pg_reload_conf()')
  while ((await client.query("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")).rowCount === 0) await sleep(50)
  client.on('error', () => {})
  await server.kill()
  await execute(second.url, 'SELECT pg_promote()')
  lead(stage, second.url)
  ;[stage.server, stage.second] = [second, server]
}

/** As the next release has it beside this one: a column more, which this one does not know. */
async function migrateFurther ({ dir, server }: Stage): Promise<void> {
  const migrations = join(dir, 'migrations')
  cpSync(join(prismaDir, 'migrations'), migrations, { recursive: true })
  const name = `next_${readdirSync(migrations).length}` // each round another
  const next = join(migrations, `29991231000000_${name}`)
  mkdirSync(next)
  writeFileSync(join(next, 'migration.sql'), `ALTER TABLE factors ADD COLUMN ${name} text; ALTER TABLE users ADD COLUMN ${name} text`)
  await applyMigrations(server.url, migrations)
}

async function takeWritesAgain ({ server }: Stage): Promise<void> {
  await execute(server.url, 'ALTER SYSTEM RESET default_transaction_read_only')
  await execute(server.url, 'SELECT pg_reload_conf()')
}

const none = (): void => {}

export const FAULTS: Fault[] = [
  { name: 'none', begin: none, end: none, isUnseen: true },
  { name: 'a replica is killed', begin: ({ replicas: [a] }) => a.kill(), end: ({ replicas: [a], env }) => a.start(env) },
  { name: 'a replica is stopped (SIGSTOP)', begin: ({ replicas: [a] }) => { a.freeze() }, end: ({ replicas: [a] }) => { a.thaw() } },
  { name: 'PostgreSQL is killed', begin: ({ server }) => server.kill(), end: restartServer, isFelt: 'unavailable' },
  {
    name: 'PostgreSQL is stopped (SIGSTOP)',
    begin: ({ server }) => { server.freeze() },
    end: ({ server }) => { server.thaw() },
    isFelt: 'unavailable'
  },
  {
    name: 'its answers are cut off after the commit',
    begin: stage => { loss = new AbortController(); losing = loseAnswers(stage) },
    end: () => { loss.abort(); return losing },
    isFelt: 'outcome_unknown'
  },
  { name: 'it refuses connections', begin: ({ proxy }) => proxy.refuse(), end: ({ proxy }) => proxy.restore(), isFelt: 'unavailable' },
  { name: 'it is slow (100 ms each way)', begin: ({ proxy }) => { proxy.slow(100) }, end: ({ proxy }) => proxy.restore() },
  { name: 'it is read-only', begin: ({ server }) => setReadOnly(server.url), end: takeWritesAgain, isFelt: 'unavailable' },
  {
    name: 'its disk is full',
    begin: fillDisk,
    end: freeDisk,
    missing: ({ disk }) => disk === undefined ? 'needs root, for a small disk' : undefined,
    isFelt: 'unavailable'
  },
  {
    name: 'the disk of a replica\'s log is full',
    begin: ({ replicas: [, b], env }) => b.stop().then(() => b.start({ ...env, LOG_LEVEL: 'info' }, '/dev/full')),
    end: ({ replicas: [, b], env }) => b.stop().then(() => b.start(env))
  },
  {
    name: 'a replica\'s clock is 90 s ahead',
    begin: ({ replicas: [a] }) => { a.setClock(90_000) },
    end: ({ replicas: [a] }) => { a.setClock(0) }
  },
  {
    name: 'a replica\'s clock is 90 s behind',
    begin: ({ replicas: [, b] }) => { b.setClock(-90_000) },
    end: ({ replicas: [, b] }) => { b.setClock(0) }
  },
  {
    name: 'the webhook endpoint fails (500)',
    begin: ({ endpoint }) => { endpoint.answer = response => response.writeHead(500).end() },
    end: ({ endpoint }) => { endpoint.recover() },
    isUnseen: true
  },
  { name: 'the next release migrates, this one goes on', begin: migrateFurther, end: none },
  {
    name: 'PgBouncer before it is lost',
    begin: throughPooler,
    end: pastPooler,
    missing: () => hasPooler() ? undefined : 'needs root and PgBouncer',
    isFelt: 'unavailable'
  },
  { name: 'replicas are restarted one after the other', begin: leavePooler, end: none },
  { name: 'PostgreSQL is lost, and its standby leads', begin: failOver, end: none, isFelt: 'unavailable' }
]
