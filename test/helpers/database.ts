import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import pg from 'pg'

/** What before.ts made and the test processes, which inherit nothing from it, need. */
interface Run { server: string, template: string, shared: string, holder?: number }

const runFile = new URL('../../.tap/database.json', import.meta.url)

/** The migrated database that all test files share: each test must own its data, for instance by a tenant of its own. */
export function databaseUrl (): string {
  const { server, shared } = readRun()
  return urlOf(server, shared)
}

/** A fresh, migrated database on the same server, for tests of outages, tampering or locks; dropped after the test. */
export async function ownDatabase (t: Teardown, { isMigrated = true } = {}): Promise<{ url: string, drop (): Promise<void> }> {
  const { server, template } = readRun()
  const name = uniqueName('own')
  await createDatabase(server, name, isMigrated ? template : undefined)
  const drop = () => dropDatabase(server, name)
  t.teardown(drop)
  return { url: urlOf(server, name), drop }
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

export async function createDatabase (server: string, name: string, template = 'template0'): Promise<void> {
  await execute(server, `CREATE DATABASE ${name} TEMPLATE ${template}`)
}

export async function dropDatabase (server: string, name: string): Promise<void> {
  await execute(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
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
