import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { applyMigrations, diffSql, markRolledBack, prismaDir } from '../../src/db/migrate.ts'
import { ownDatabase, readRun } from '../helpers/database.ts'
import { nodeArguments, program } from '../helpers/program.ts'

const first = '20260101000000_first'
const second = '20260102000000_second'
const firstSql = 'CREATE TABLE notes (id integer PRIMARY KEY);'
/** What Prisma's adapter, left alone, would cut in pieces: a body with semicolons. */
const secondSql = `
  CREATE FUNCTION twice (p integer) RETURNS integer LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO notes VALUES (p); RETURN p * 2; END $$;
  CREATE TABLE more (id integer PRIMARY KEY);`

t.test('each migration is applied once, in the order of the names, functions included', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  const dir = migrationsIn(t, { [second]: secondSql, [first]: firstSql })
  t.same(await applyMigrations(url, dir), [first, second])
  t.same(await applyMigrations(url, dir), [])
  t.same(await query(url, 'SELECT twice(21)'), [{ twice: 42 }])
  t.same(await query(url, 'SELECT migration_name, finished_at IS NOT NULL AS finished FROM _prisma_migrations ORDER BY 1'),
    [{ migration_name: first, finished: true }, { migration_name: second, finished: true }])
})

t.test('processes that migrate at the same time take turns: one applies, the others find nothing to do', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  const dir = migrationsIn(t, { [first]: `SELECT pg_sleep(0.5); ${firstSql}`, [second]: secondSql })
  const { file, execArgv } = program('test/helpers/migrate-process.ts')
  const applied = await Promise.all([1, 2, 3].map(async () => (await once(fork(file, [url, dir], { execArgv }), 'message'))[0]))
  t.same(applied.flat(), [first, second])
  t.same(await query(url, 'SELECT count(*)::integer FROM _prisma_migrations'), [{ count: 2 }])
})

t.test('a migration that fails is named, leaves nothing behind, and stops the next deploy until it is marked', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  const dir = migrationsIn(t, { [first]: firstSql, [second]: `${secondSql} SELECT nonsense;` })
  await t.rejects(applyMigrations(url, dir), { message: /^Migration 20260102000000_second failed: .*nonsense$/s })
  t.same(await query(url, "SELECT to_regclass('notes') IS NULL AS notes, to_regclass('more') IS NULL AS more"),
    [{ notes: false, more: true }])
  await t.rejects(applyMigrations(url, dir), /found failed migrations.*20260102000000_second/s)

  writeFileSync(join(dir, second, 'migration.sql'), secondSql)
  await markRolledBack(url, second)
  t.same(await applyMigrations(url, dir), [second])
})

t.test('without a database there is an error, not a wait', async t => {
  await t.rejects(applyMigrations('postgresql://nobody@127.0.0.1:1/nothing'), { code: 'ECONNREFUSED' })
})

t.test('the migrations of this package make what schema.prisma describes', async t => {
  const { stdout, code } = await run('scripts/check-schema-drift.ts', [], { TEST_DATABASE_URL: readRun().server })
  t.match({ stdout, code }, { code: 0 }, stdout)
})

t.test('a column or an index that only one side has is drift', async t => {
  const dir = t.testdir({ 'schema.prisma': model('id Int @id\n at DateTime @db.Timestamptz(6)\n @@index([at])') })
  writeMigrations(join(dir, 'migrations'), {
    [first]: `CREATE TABLE "Note" (
      id integer CHECK (id > 0), note text, CONSTRAINT "Note_pkey" PRIMARY KEY (id)) WITH (fillfactor = 70);`
  })
  const { stdout, code } = await run('scripts/check-schema-drift.ts', [dir], { TEST_DATABASE_URL: readRun().server })
  t.equal(stdout, [
    'only in schema.prisma: column Note.at timestamp(6) with time zone NOT NULL',
    'only in schema.prisma: index CREATE INDEX "Note_at_idx" ON public."Note" USING btree (at)',
    'only in the migrations: column Note.note text', ''
  ].join('\n'))
  t.equal(code, 1)
})

t.test('the difference between two datamodels needs no database', async t => {
  t.match(await diffSql({ from: 'empty', to: readFileSync(join(prismaDir, 'schema.prisma'), 'utf8') }), /CREATE TABLE "factors"/)
  t.match(await diffSql({ from: model('id Int @id'), to: model('id Int @id\n text String?') }),
    /ALTER TABLE "Note" ADD COLUMN +"text" TEXT;/)
})

t.test('migrate:new writes what changed since the last migration', async t => {
  const dir = t.testdir({ 'schema.prisma': model('id Int @id') })
  const migrations = join(dir, 'migrations')
  const add = async (name: string) => {
    const result = await run('src/cli/migrate-new.ts', [name, dir])
    const newest = readdirSync(migrations).filter(entry => entry.endsWith(`_${name}`))[0]
    return { ...result, sql: newest && readFileSync(join(migrations, newest, 'migration.sql'), 'utf8') }
  }
  t.match(await add('init'), { code: 0, sql: /CREATE TABLE "Note"/ })
  writeFileSync(join(dir, 'schema.prisma'), model('id Int @id\n text String?'))
  await nextSecond()
  t.match(await add('text'), { code: 0, sql: /^-- AlterTable\nALTER TABLE "Note" ADD COLUMN +"text" TEXT;\n$/ })
  await nextSecond()
  t.match(await add('functions'), { code: 0, stdout: /no difference/, sql: /^-- .*by hand\.\n$/ })
  t.match(await run('src/cli/migrate-new.ts', ['Bad Name', dir]), { code: 1, stderr: /Usage/ })

  const { url } = await ownDatabase(t, { isMigrated: false })
  t.equal((await applyMigrations(url, migrations)).length, 3, 'the copy of the schema beside them is no obstacle')
})

t.test('npm run migrate says what it did, and what failed', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  const DATABASE_OWNER_URL = url
  t.match(await run('src/cli/migrate.ts', [], { DATABASE_OWNER_URL }), { code: 0, stdout: /^Applied \d+_baseline/ })
  t.match(await run('src/cli/migrate.ts', [], { DATABASE_OWNER_URL }), { code: 0, stdout: 'The database is up to date.\n' })
  t.match(await run('src/cli/migrate.ts', ['--rolled-back', 'unheard-of'], { DATABASE_OWNER_URL }),
    { code: 1, stderr: /unheard-of/ })
})

function model (fields: string) {
  return `datasource db {\n provider = "postgresql"\n}\nmodel Note {\n ${fields}\n}\n`
}

function migrationsIn (t: Test, migrations: Record<string, string>): string {
  return writeMigrations(t.testdir(), migrations)
}

function writeMigrations (dir: string, migrations: Record<string, string>): string {
  for (const [name, sql] of Object.entries(migrations)) {
    mkdirSync(join(dir, name), { recursive: true })
    writeFileSync(join(dir, name, 'migration.sql'), sql)
  }
  writeFileSync(join(dir, 'migration_lock.toml'), 'provider = "postgresql"\n')
  return dir
}

async function run (script: string, args: string[], env: Record<string, string> = {}) {
  return await new Promise<{ code: unknown, stdout: string, stderr: string }>(resolve => {
    execFile(process.execPath, nodeArguments(script, ...args), { env: { ...process.env, ...env } },
      (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr }))
  })
}

/** The names of migrations are timestamps in seconds. */
async function nextSecond () {
  await new Promise(resolve => setTimeout(resolve, 1_000 - Date.now() % 1_000))
}

async function query (url: string, sql: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return (await client.query(sql).finally(() => client.end())).rows
}

t.test('the migrated database refuses a recovery code that is hashed too cheaply', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  await applyMigrations(url)
  t.match(JSON.stringify(await query(url, "SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE conname = 'recovery_codes_bcrypt'")), "'^[$]2[aby][$]1[0-9][$]'")
})
