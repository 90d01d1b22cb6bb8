import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { applyMigrations, diffSql, markRolledBack, prismaDir } from '../../../src/platform/db/migrate.ts'
import { ownDatabase, readRun } from '../../helpers/database.ts'
import { nodeArguments, program } from '../../helpers/program.ts'

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
  await t.rejects(applyMigrations('postgresql://none@127.0.0.1:1/nothing'), { code: 'ECONNREFUSED' })
})

t.test('the migrations of this package make what schema.prisma, the functions and baseline.sql describe', async t => {
  const { stdout, code } = await drift()
  t.match({ stdout, code }, { code: 0 }, stdout)
})

t.test('a column, an index, a function or a grant that only one side has is drift, and so is a function with another text', async t => {
  const dir = parts(t, model('id Int @id\n at DateTime @db.Timestamptz(6)\n @@index([at])'), { same: saying(1), fresh: saying(2) })
  writeMigrations(join(dir, 'migrations'), {
    [first]: `CREATE TABLE "Note" (
      id integer CHECK (id > 0), note text, CONSTRAINT "Note_pkey" PRIMARY KEY (id)) WITH (fillfactor = 70);
      ${saying(3)('same')} ${saying(4)('old')} GRANT SELECT ON "Note" TO pg_monitor;`
  })
  const { stdout, code } = await drift(dir)
  t.equal(stdout, [
    'only in functions/ or baseline.sql: function CREATE OR REPLACE FUNCTION public.fresh()',
    'only in functions/ or baseline.sql: function CREATE OR REPLACE FUNCTION public.same()',
    'only in functions/ or baseline.sql: index CREATE INDEX "Note_at_idx" ON public."Note" USING btree (at)',
    'only in functions/ or baseline.sql: storage Note  ',
    'only in schema.prisma: column Note.at timestamp(6) with time zone NOT NULL',
    'only in schema.prisma: index CREATE INDEX "Note_at_idx" ON public."Note" USING btree (at)',
    'only in the migrations: check Note_id_check on Note: CHECK ((id > 0))',
    'only in the migrations: column Note.note text',
    'only in the migrations: function CREATE OR REPLACE FUNCTION public.old()',
    'only in the migrations: function CREATE OR REPLACE FUNCTION public.same()',
    'only in the migrations: grant SELECT on Note to pg_monitor',
    'only in the migrations: storage Note {fillfactor=70} ', ''
  ].join('\n'))
  t.equal(code, 1)
})

t.test('while the baseline is the only migration it is drift if it is not what its parts make, to the letter', async t => {
  const dir = parts(t, model('id Int @id'), { same: saying(1) })
  t.match(await run('src/cli/migrate-baseline.ts', [dir]), { code: 0 })
  t.match(await drift(dir), { code: 0 })
  writeFileSync(join(dir, 'functions', 'same.sql'), `-- Another comment.\n${saying(1)('same')}`)
  const baseline = 'not what its sources make: migrations/20261128000000_baseline/migration.sql; run npm run migrate:baseline\n'
  t.match(await drift(dir), { code: 1, stdout: baseline })
  writeFileSync(join(dir, 'migrations', 'functions.json'), '{}\n')
  t.match(await drift(dir), { code: 1, stdout: `${baseline}${baseline.replace(/\d+_baseline\/migration\.sql/, 'functions.json')}` })
  writeMigrations(join(dir, 'migrations'), { '20990101000000_later': 'SELECT 1;' })
  t.match(await drift(dir), { code: 0 }, 'later it stays as it is')
})

t.test('the difference between two datamodels needs no database', async t => {
  t.match(await diffSql({ from: 'empty', to: readFileSync(join(prismaDir, 'schema.prisma'), 'utf8') }), /CREATE TABLE "factors"/)
  t.match(await diffSql({ from: model('id Int @id'), to: model('id Int @id\n text String?') }),
    /ALTER TABLE "Note" ADD COLUMN +"text" TEXT;/)
})

t.test('migrate:new writes what changed since the last migration, of the model and of the functions', async t => {
  const dir = parts(t, model('id Int @id'), { stays: saying(1), changes: saying(2), turns: saying(3), goes: saying(4) })
  const migrations = join(dir, 'migrations')
  const add = async (name: string) => {
    await nextSecond()
    const result = await run('src/cli/migrate-new.ts', [name, dir])
    const newest = readdirSync(migrations).filter(entry => entry.endsWith(`_${name}`))[0]
    return { ...result, sql: newest && readFileSync(join(migrations, newest, 'migration.sql'), 'utf8') }
  }
  t.match(await run('src/cli/migrate-new.ts', ['first', dir]), { code: 1, stderr: /schema\.prisma is missing.*migrate:baseline/ })
  t.match(await run('src/cli/migrate-baseline.ts', [dir]), { code: 0 })
  writeFileSync(join(dir, 'schema.prisma'), model('id Int @id\n text String?'))
  t.match(await add('text'), { code: 0, stdout: /Read it/, sql: /^-- AlterTable\nALTER TABLE "Note" ADD COLUMN +"text" TEXT;\n$/ })

  const file = (name: string): string => join(dir, 'functions', `${name}.sql`)
  writeFileSync(file('changes'), saying(5)('changes'))
  writeFileSync(file('turns'), saying('\'six\'', 'text')('turns'))
  writeFileSync(file('fresh'), `-- What it is for.\n${saying(7)('fresh')}`)
  writeFileSync(file('stays'), `-- A comment is no change.\n${saying(1)('stays')}`)
  rmSync(file('goes'))
  t.match(await add('functions'), {
    code: 0,
    sql: [
      saying(5)('changes'), `-- What it is for.\n${saying(7)('fresh')}`,
      `DROP FUNCTION turns;\n${saying('\'six\'', 'text')('turns')}`, 'DROP FUNCTION goes;\n'
    ].join('\n')
  })
  t.match(await add('nothing'), { code: 0, stdout: /no difference/, sql: /^-- .*by hand\.\n$/ })
  t.match(await run('src/cli/migrate-new.ts', ['Bad Name', dir]), { code: 2, stderr: /^Name the migration, .*\n\nnpm run migrate:new/ })

  t.match(await drift(dir), { code: 0 })
  const { url } = await ownDatabase(t, { isMigrated: false })
  t.equal((await applyMigrations(url, migrations)).length, 4, 'what lies beside them is no obstacle')
  const answers = await query(url, 'SELECT stays(), changes(), turns(), fresh(), to_regproc(\'goes\') AS goes')
  t.same(answers, [{ stays: 1, changes: 5, turns: 'six', fresh: 7, goes: null }])

  writeMigrations(migrations, { '20990101000000_later': '' })
  t.match(await run('src/cli/migrate-new.ts', ['early', dir]), { code: 1, stderr: /would not come after 20990101000000_later/ })
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

/** A function without arguments that answers `value`. */
const saying = (value: number | string, type = 'int') => (name: string): string =>
  `CREATE OR REPLACE FUNCTION ${name}() RETURNS ${type} LANGUAGE plpgsql AS $$ BEGIN RETURN ${value}; END $$;\n`

/** What a baseline is made of: a model, and functions each in its file. */
function parts (t: Test, model: string, functions: Record<string, (name: string) => string>): string {
  const sources = Object.entries(functions).map(([name, textOf]) => [`${name}.sql`, textOf(name)])
  const baseline = '-- All.\n\n--! tables\n--! indexes\n--! functions\n'
  return t.testdir({ 'schema.prisma': model, 'baseline.sql': baseline, functions: Object.fromEntries(sources) })
}

const drift = async (...dir: string[]) => await run('scripts/check-schema-drift.ts', dir, { TEST_DATABASE_URL: readRun().server })

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
  t.match(
    JSON.stringify(await query(url, "SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE conname = 'recovery_codes_bcrypt'")),
    "'^[$]2[aby][$]1[0-9][$]'"
  )
})
