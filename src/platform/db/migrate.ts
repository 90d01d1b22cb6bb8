import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { withOfflineSchemaEngine, withSchemaEngine } from './schema-engine.ts'
import { chooseHost } from './server.ts'

/** The package's prisma/ folder: three levels up both from src/platform/db (tsx) and from dist/platform/db (compiled). */
export const prismaDir = fileURLToPath(new URL('../../../prisma/', import.meta.url))

const noFilters = { externalTables: [], externalEnums: [] }
/** Any number, but always this one: processes that change the tables of the same database take turns by it. */
const lockKey = 7_366_041_204

/**
 * Applies what `prisma migrate deploy` would, in name order, recording it in `_prisma_migrations`, and returns the names
 * applied (none: it was up to date). Several processes may call it at once: they queue on an advisory lock, which needs a
 * direct connection or a pooler in session mode. Throws an error that names the migration when one fails; that one left
 * nothing behind (unless it contains COMMIT), but the next deploy refuses until `markRolledBack`.
 */
export async function applyMigrations (
  databaseUrl: string, migrationsDir = join(prismaDir, 'migrations')
): Promise<string[]> {
  const migrationsList = await listMigrations(migrationsDir)
  return await holdingLock(databaseUrl, url => withSchemaEngine(url, async engine => {
    const input = { migrationsList, filters: noFilters }
    const { appliedMigrationNames } = await engine.applyMigrations(input).catch(error => { throw legible(error) })
    return appliedMigrationNames
  }))
}

/** The engine names the migration only in its trace, which does not help the reader of the error. */
function legible (error: Error): Error {
  const name = /migration_name="([^"]+)"/.exec(error.message)?.[1]
  const reason = (error.message.split(/^ +0: /m)[0] as string).trim()
  return new Error(name === undefined ? reason : `Migration ${name} failed: ${reason}`, { cause: error })
}

/** After a failed migration was looked at (and its file perhaps corrected): lets the next `applyMigrations` try it again. */
export async function markRolledBack (databaseUrl: string, migrationName: string): Promise<void> {
  await holdingLock(databaseUrl, url => withSchemaEngine(url, engine =>
    engine.markMigrationRolledBack({ migrationName })))
}

/** The SQL that leads from one datamodel (the text of a schema.prisma, or 'empty') to another. No database is asked. */
export async function diffSql ({ from, to }: { from: string, to: string }): Promise<string> {
  const target = (content: string) => content === 'empty'
    ? { tag: 'empty' as const }
    : { tag: 'schemaDatamodel' as const, files: [{ path: 'schema.prisma', content }] }
  return await withOfflineSchemaEngine(async engine => {
    const params = { from: target(from), to: target(to), script: true, exitCode: null, filters: noFilters }
    return (await engine.diff(params)).stdout! // null without `script`
  })
}

/** Only folders count, and of each only its migration.sql: what else lies beside them is for readers and for migrate:new. */
async function listMigrations (baseDir: string) {
  const entries = await readdir(baseDir, { withFileTypes: true })
  const names = entries.filter(entry => entry.isDirectory()).map(entry => entry.name).sort()
  const migrationDirectories = await Promise.all(names.map(async path => {
    const value = await readFile(join(baseDir, path, 'migration.sql'), 'utf8')
    return { path, migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value } } }
  }))
  const lockfile = { path: 'migration_lock.toml', content: await readFile(join(baseDir, 'migration_lock.toml'), 'utf8') }
  return { baseDir, lockfile, shadowDbInitScript: '', migrationDirectories }
}

/**
 * One at a time changes tables. The lock is the session's: if this process dies, PostgreSQL gives it to the next one. `work` is told
 * the URL of the server that has the lock, where there are several.
 */
export async function holdingLock<T> (databaseUrl: string, work: (url: string) => Promise<T>): Promise<T> {
  const url = await chooseHost(databaseUrl)
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {}) // a lost connection shows in the engine's, which does the work
  await client.connect()
  try {
    // Asking again, as a statement that waits would hold a snapshot, which a CREATE INDEX CONCURRENTLY waits for in turn.
    while (!(await client.query('SELECT pg_try_advisory_lock($1) AS held', [lockKey])).rows[0].held) await sleep(100)
    return await work(url)
  } finally {
    await client.end()
  }
}
