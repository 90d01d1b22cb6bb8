// The first migration is written from the model, baseline.sql and the functions' own files.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { BASELINE, readFunctions } from '../../../src/platform/db/baseline.ts'
import { settlePlans } from '../../../src/platform/db/distribute.ts'
import { applyMigrations, prismaDir } from '../../../src/platform/db/migrate.ts'
import { ownDatabase } from '../../helpers/database.ts'
import { nodeArguments } from '../../helpers/program.ts'

const FUNCTION = (name: string): string => `-- Says a number.
CREATE OR REPLACE FUNCTION ${name}(p_note jsonb) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 7; END $$;
`
const PARTS = {
  'schema.prisma': `datasource db {\n provider = "postgresql"\n}
    model Note {\n id Int\n at DateTime @db.Timestamptz(6)\n text Json\n number Int?\n @@id([id, at])\n @@index([number])\n}\n`,
  'baseline.sql': `-- For users.

--! function number_of

--! tables
--!   column Note.number GENERATED ALWAYS AS (number_of(text)) STORED
--!   table Note PARTITION BY RANGE (at)
--! indexes
--! functions
CREATE TABLE "Rest" PARTITION OF "Note" DEFAULT;
`,
  'functions/a/other.sql': FUNCTION('other'),
  'functions/b/number_of.sql': FUNCTION('number_of')
}

function folder (t: Test, changed: Record<string, string> = {}): string {
  const dir = t.testdir()
  for (const [path, text] of Object.entries({ ...PARTS, ...changed })) {
    mkdirSync(join(dir, path, '..'), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
  return dir
}

const write = async (dir: string): Promise<{ code: unknown, stdout: string, stderr: string }> => await new Promise(resolve => {
  execFile(process.execPath, nodeArguments('src/cli/migrate-baseline.ts', dir), (error, stdout, stderr) => {
    resolve({ code: error?.code ?? 0, stdout, stderr })
  })
})

t.test('it makes tables with what Prisma cannot say, and every function once, those that a table needs before it', async t => {
  const dir = folder(t)
  t.match(await write(dir), { code: 0, stdout: /baseline\/migration\.sql\n$/ })
  const sql = readFileSync(join(dir, 'migrations', BASELINE, 'migration.sql'), 'utf8')
  t.same(sql.match(/CREATE OR REPLACE FUNCTION \w+|CREATE TABLE "\w+"|CREATE INDEX/g), [
    'CREATE OR REPLACE FUNCTION number_of', 'CREATE TABLE "Note"', 'CREATE INDEX', 'CREATE OR REPLACE FUNCTION other', 'CREATE TABLE "Rest"'
  ])
  t.notMatch(sql, /--!|For users/)
  t.equal(readFileSync(join(dir, 'migrations', 'schema.prisma'), 'utf8'), PARTS['schema.prisma'], 'from which the next migration begins')

  const { url } = await ownDatabase(t, { isMigrated: false })
  t.same(await applyMigrations(url, join(dir, 'migrations')), [BASELINE])
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.same((await client.query('INSERT INTO "Note" (id, at, text) SELECT 1, now(), to_jsonb(1) RETURNING number')).rows, [{ number: 7 }])
  t.same((await client.query('SELECT count(*)::int FROM "Rest"')).rows, [{ count: 1 }])
  await client.end()
})

t.test('what does not fit together is named, and nothing is written', async t => {
  for (const [changed, message] of [
    [{ 'functions/a/other.sql': FUNCTION('another') }, /functions\/a\/other\.sql must hold CREATE OR REPLACE FUNCTION other/],
    [{ 'functions/a/other.sql': FUNCTION('other') + FUNCTION('more') }, /functions\/a\/other\.sql must hold .*no other function/],
    [{ 'baseline.sql': '-- x\n\n--! function missing\n' }, /baseline\.sql asks for what is not there.*--! function missing/],
    [{ 'baseline.sql': '-- x\n\n--! functions\n--! function other\n' }, /was there before: --! function other/],
    [{ 'baseline.sql': '-- x\n\n--! tables\n--!   column Note.nothing GENERATED\n' }, /schema\.prisma does not have: .*Note\.nothing/],
    [{ 'baseline.sql': '-- x\n\n--! tables\n--!   table Nothing PARTITION\n' }, /schema\.prisma does not have: .*Nothing/],
    [{ 'baseline.sql': '-- x\n\n--! tables\n--!   view Note\n' }, /schema\.prisma does not have: .*view Note/]
  ] as Array<[Record<string, string>, RegExp]>) {
    const dir = folder(t, changed)
    t.match(await write(dir), { code: 1, stdout: '', stderr: message })
    t.notOk(existsSync(join(dir, 'migrations', BASELINE)))
  }
})

t.test('once another migration comes after it, it stays as it is', async t => {
  const dir = folder(t, { 'migrations/20990101000000_later/migration.sql': 'SELECT 1;' })
  t.match(await write(dir), { code: 1, stderr: /20990101000000_later comes after the baseline, .* migrate:new/ })
})

t.test('each function says in a comment what it guarantees', t => {
  const functions = readFunctions(prismaDir)
  t.ok(functions.length > 50)
  const isExplained = (text: string): boolean => /^-- .+\n(-- .*\n)*CREATE OR REPLACE FUNCTION /.test(text) && text.endsWith('END $$;\n')
  t.same(functions.filter(({ text }) => !isExplained(text)).map(({ name }) => name), [])
  t.same(functions.filter(({ text }) => text.split('\n').some(line => line.length > 140)).map(({ name }) => name), [])
  t.end()
})

t.test('on a Citus that would keep a plan for each use none is kept, and afterwards each function has its own mode again', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  await applyMigrations(url)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const modes = async (): Promise<unknown[]> => (await client.query(`
    SELECT proname, array_to_string(proconfig, ',') AS mode FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND proargnames[1] = 'p_tenant' ORDER BY 1`)).rows
  const own = await modes() as Array<{ proname: string, mode: string | null }>
  t.ok(own.some(({ mode }) => mode === 'plan_cache_mode=force_generic_plan') && own.some(({ mode }) => mode === null))
  for (let time = 0; time < 2; time++) {
    await settlePlans(client, true)
    t.same(await modes(), own.map(({ proname }) => ({ proname, mode: 'plan_cache_mode=force_custom_plan' })))
  }
  await settlePlans(client, false)
  t.same(await modes(), own)
  await client.end()
})
