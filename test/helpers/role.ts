// A login as the service has it in production: a member of headless_mfa, and owner of nothing.
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { readRun, uniqueName } from './database.ts'

interface Teardown { teardown: (action: () => unknown) => unknown }

/** The URL of `databaseUrl` for a new role, which is dropped after the test. */
export async function serviceRole (t: Teardown, databaseUrl: string): Promise<{ url: string, name: string }> {
  const name = uniqueName('role')
  const password = randomBytes(18).toString('hex')
  await asOwner(databaseUrl, [`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`, `GRANT headless_mfa TO ${name}`])
  t.teardown(() => asOwner(readRun().server, [`DROP ROLE ${name}`]))
  const url = new URL(databaseUrl)
  url.username = name
  url.password = password
  return { url: url.href, name }
}

/** Runs statements one after the other as the owner of the database. */
export async function asOwner (databaseUrl: string, statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
