import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import pg from 'pg'

/** What before.ts made and the test processes, which inherit nothing from it, need. */
interface Run { server: string, template: string, shared: string, holder?: number, rsaKeys: string[] }

const runFile = new URL('../../.tap/database.json', import.meta.url)

/** The migrated database that all test files share: each test must own its data, for instance by a tenant of its own. */
export function databaseUrl (): string {
  const { server, shared } = readRun()
  return urlOf(server, shared)
}

/**
 * A fresh, migrated database on the same server, for tests of outages, tampering or locks, or the copy of another; dropped after
 * the test.
 */
export async function ownDatabase (
  t: Teardown,
  { isMigrated = true, template = readRun().template } = {}
): Promise<{ url: string, drop(): Promise<void> }> {
  const { server } = readRun()
  const name = uniqueName('own')
  await createDatabase(server, name, isMigrated ? template : undefined)
  const drop = () => dropDatabase(server, name)
  t.teardown(drop)
  return { url: urlOf(server, name), drop }
}

/** As a service has it: through the pooler of scripts/with-pgbouncer.sh, where there is one. */
export function pooled (databaseUrl: string): string {
  const pooler = process.env.TEST_POOLER
  if (pooler === undefined) return databaseUrl
  const url = new URL(databaseUrl)
  url.host = pooler
  url.searchParams.set('pgbouncer', 'true')
  return url.href
}

interface Teardown { teardown (action: () => Promise<void>): void }

export function uniqueName (purpose: string): string {
  return `mfa_test_${purpose}_${randomBytes(6).toString('hex')}`
}

export function urlOf (server: string, database: string): string {
  const url = new URL(server)
  url.pathname = `/${database}`
  return url.href
}

/** On a cluster of Citus one on every node, and they know each other. */
export async function createDatabase (server: string, name: string, template?: string): Promise<void> {
  const nodes = await nodesOf(server)
  await Promise.all(nodes.map(node => createOn(node, name, template ?? 'template0')))
  const [coordinator, ...workers] = nodes.map(node => urlOf(node, name)) as [string, ...string[]]
  if (template !== undefined || workers.length === 0) return
  await Promise.all([coordinator, ...workers].map(node => execute(node, 'CREATE EXTENSION citus')))
  const add = (call: string, url: string): string => `SELECT ${call}('${new URL(url).hostname}', ${new URL(url).port})`
  // Few shards: a test has few tenants, and each shard of each table is a table that every copy of the template copies.
  await execute(coordinator, `ALTER DATABASE ${name} SET citus.shard_count = 2; ${add('citus_set_coordinator_host', coordinator)}`)
  for (const worker of workers) await execute(coordinator, add('citus_add_node', worker))
}

export async function dropDatabase (server: string, name: string): Promise<void> {
  await Promise.all((await nodesOf(server)).map(async node => {
    // A client that is still connected would have Citus begin a daemon for it anew, in the moment in which it ends the one that there is.
    await execute(
      node,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND backend_type = 'client backend'`
    )
    await execute(node, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  }))
}

async function createOn (node: string, name: string, template: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      // A daemon of Citus for each database holds the template, and comes back some seconds after it was ended.
      await execute(node, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${template}'`)
      return await execute(node, `CREATE DATABASE ${name} TEMPLATE ${template}`)
    } catch (error) {
      if ((error as { code?: string }).code !== '55006' || tries === 5) throw error
    }
  }
}

const known = new Map<string, Promise<string[]>>()

/** The servers behind a URL, by the same role: one, or the coordinator of Citus and then its workers. */
export function nodesOf (server: string): Promise<string[]> {
  if (!known.has(server)) known.set(server, findNodes(server))
  return known.get(server) as Promise<string[]>
}

async function findNodes (server: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    const { rowCount: isCitus } = await client.query("SELECT 1 FROM pg_extension WHERE extname = 'citus'")
    if (!isCitus) return [server]
    const { rows } = await client.query<{ nodename: string, nodeport: number }>(
      "SELECT nodename, nodeport FROM pg_dist_node WHERE groupid > 0 AND noderole = 'primary' ORDER BY groupid"
    )
    return [server, ...rows.map(({ nodename, nodeport }) => {
      const url = new URL(server)
      url.hostname = nodename
      url.port = String(nodeport)
      return url.href
    })]
  } finally {
    await client.end()
  }
}

/** Does a statement wait for a row or a table in this database, on whichever node? */
export async function isSomebodyWaiting (url: string): Promise<boolean> {
  for (const node of await nodesOf(url)) {
    const client = new pg.Client({ connectionString: node })
    await client.connect()
    try {
      const { rowCount } = await client.query(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
      )
      if (rowCount !== 0) return true
    } finally {
      await client.end()
    }
  }
  return false
}

export async function execute (url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** Ten hashes of an enrollment take half a second at the least cost that is allowed elsewhere. */
export async function allowCheapHashes (url: string): Promise<void> {
  for (const table of ['recovery_codes', 'bypasses']) {
    await execute(
      url,
      `ALTER TABLE ${table} DROP CONSTRAINT ${table}_bcrypt, ADD CONSTRAINT ${table}_bcrypt CHECK (hash ~ '^[$]2[aby][$][01][0-9][$]')`
    )
  }
}

export function readRun (): Run {
  try {
    return JSON.parse(readFileSync(runFile, 'utf8'))
  } catch (cause) {
    throw new Error('No test database: run this through tap (`npx tap test/…`), which starts one.', { cause })
  }
}

export function writeRun (run: Run): void {
  mkdirSync(new URL('.', runFile), { recursive: true })
  writeFileSync(runFile, JSON.stringify(run), { mode: 0o600 })
}

export function forgetRun (): void {
  rmSync(runFile, { force: true })
}
