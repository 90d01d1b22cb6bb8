// Two PostgreSQL servers of a test's own, for tests of a switch from one to the other.
import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Embedded, startEmbedded } from '../../src/platform/embedded-postgres/embedded.ts'
import { applyMigrations } from '../../src/platform/db/migrate.ts'
import { allowCheapHashes, execute } from './database.ts'
import { temporaryDir } from './temporary.ts'

const SETTINGS = { fsync: 'off', full_page_writes: 'off' }

/**
 * A migrated server, and another with the same files: a copy that goes its own way, or a standby that follows the first one. Both have
 * one system identifier, as copies of a cloud's storage have.
 */
export async function startPair (t: Test, { isStandby = false } = {}): Promise<{ first: Embedded, second: Embedded }> {
  const dir = temporaryDir('pair')
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }) })
  const start = async (name: string, settings: Record<string, string> = {}): Promise<Embedded> => {
    const server = await startEmbedded({ dataDir: join(dir, name), settings: { ...SETTINGS, ...settings } })
    t.teardown(() => server.stop())
    return server
  }
  const origin = await start('first')
  await applyMigrations(origin.url)
  await allowCheapHashes(origin.url)
  await origin.stop()
  const [from, to] = [join(dir, 'first', 'pgdata'), join(dir, 'second', 'pgdata')]
  const { uid, gid } = statSync(from)
  mkdirSync(join(dir, 'second'))
  execFileSync('cp', ['-a', from, to])

  const first = await start('first')
  if (!isStandby) return { first, second: await start('second') }
  const { hostname, port, username, password } = new URL(first.url)
  const signal = join(to, 'standby.signal')
  writeFileSync(signal, '')
  chownSync(signal, uid, gid)
  return {
    first,
    second: await start('second', { primary_conninfo: `host=${hostname} port=${port} user=${username} password=${password}` })
  }
}

/** As operators do before they move the name, so that nothing is written to the old server any more. */
export async function setReadOnly (url: string): Promise<void> {
  await execute(url, 'ALTER SYSTEM SET default_transaction_read_only = on')
  await execute(url, 'SELECT pg_reload_conf()')
}
