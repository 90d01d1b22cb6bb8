// npm run check:schema: do the migrations make what schema.prisma, functions/ and baseline.sql describe? One database is made by
// the migrations, one by the SQL "from empty to schema.prisma", and one by all parts together, and their catalogs are compared
// (Prisma's engine as WebAssembly cannot describe a live database). What schema.prisma cannot say is compared with the parts:
// functions, CHECK constraints, grants, storage parameters, views, partial indexes, those of expressions, how a column is
// generated, partitions. While the baseline is the only migration, it must be what the parts make, to the letter.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { BASELINE, baselineSql, copiesOf } from '../src/platform/db/baseline.ts'
import { startEmbedded } from '../src/platform/embedded-postgres/embedded.ts'
import { applyMigrations, diffSql, prismaDir } from '../src/platform/db/migrate.ts'
import { createDatabase, dropDatabase, uniqueName, urlOf } from '../test/helpers/database.ts'
import { temporaryDir } from '../test/helpers/temporary.ts'

const [dir = prismaDir] = process.argv.slice(2) // another folder than prisma/: for the tests

/** Each yields one text per object. Inherited copies of a partition are left out: its parent speaks for them. */
const ofTheModel = {
  table: `
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition`,
  column: `
    SELECT format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
      CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, CASE
        WHEN a.attgenerated = '' THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped`,
  constraint: `
    SELECT format('%s on %s: %s', o.conname, c.relname, pg_get_constraintdef(o.oid))
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
    WHERE o.connamespace = 'public'::regnamespace AND o.contype IN ('p', 'u', 'f') AND o.conparentid = 0
      AND NOT c.relispartition`,
  index: `
    SELECT regexp_replace(replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '), ' WITH \\([^)]*\\)', '')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND i.indpred IS NULL AND i.indexprs IS NULL`,
  'enum value': `
    SELECT format('%s.%s', t.typname, e.enumlabel)
    FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typnamespace = 'public'::regnamespace`
}
/** The same of what the model cannot say. */
const beyondTheModel = {
  function: `
    SELECT pg_get_functiondef(p.oid) FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`,
  view: `
    SELECT format('%s: %s', c.relname, pg_get_viewdef(c.oid)) FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`,
  'generated column': `
    SELECT format('%s.%s %s', c.relname, a.attname, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND a.attgenerated <> ''`,
  check: `
    SELECT format('%s on %s: %s', o.conname, c.relname, pg_get_constraintdef(o.oid))
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
    WHERE o.connamespace = 'public'::regnamespace AND o.contype = 'c' AND NOT c.relispartition`,
  index: `
    SELECT replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition`,
  storage: `
    SELECT format('%s %s %s', relname, reloptions, pg_get_partkeydef(oid)) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition`,
  grant: `
    SELECT format('%s on %s to %s', a.privilege_type, c.relname, a.grantee::regrole) FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS a
    WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND a.grantee <> c.relowner`
}

const server = process.env.TEST_DATABASE_URL
  ? undefined
  : await startEmbedded({
    dataDir: temporaryDir('drift'), database: 'postgres', isPersistent: false, settings: { fsync: 'off' }
  })
const serverUrl = server?.url ?? process.env.TEST_DATABASE_URL!
const byMigrations = uniqueName('migrations')
const bySchema = uniqueName('schema')
const byParts = uniqueName('parts')
try {
  await createDatabase(serverUrl, byMigrations)
  await createDatabase(serverUrl, bySchema)
  await createDatabase(serverUrl, byParts)
  await applyMigrations(urlOf(serverUrl, byMigrations), join(dir, 'migrations'))
  const model = await diffSql({ from: 'empty', to: readFileSync(join(dir, 'schema.prisma'), 'utf8') })
  const parts = await baselineSql(dir)
  const differences = [
    ...compared('schema.prisma', await describe(bySchema, ofTheModel, model), await describe(byMigrations, ofTheModel)),
    ...compared('functions/ or baseline.sql', await describe(byParts, beyondTheModel, parts), await describe(byMigrations, beyondTheModel))
  ].sort()
  if (isAlone()) {
    const written = Object.entries({ [`${BASELINE}/migration.sql`]: parts, ...copiesOf(dir) })
    const stale = written.filter(([name, text]) => readFileSync(join(dir, 'migrations', name), 'utf8') !== text)
    differences.push(...stale.map(([name]) => `not what its sources make: migrations/${name}; run npm run migrate:baseline`))
  }
  const none = 'The migrations make what schema.prisma, functions/ and baseline.sql describe.'
  process.stdout.write((differences.length > 0 ? differences : [none]).map(line => `${line}\n`).join(''))
  process.exitCode = differences.length > 0 ? 1 : 0
} finally {
  await dropDatabase(serverUrl, byMigrations)
  await dropDatabase(serverUrl, bySchema)
  await dropDatabase(serverUrl, byParts)
  await server?.stop()
}

function compared (source: string, meant: Set<string>, made: Set<string>): string[] {
  const missing = (from: string, lines: Set<string>, others: Set<string>): string[] =>
    [...lines].filter(line => !others.has(line)).map(line => `only in ${from}: ${line.split('\n')[0]}`)
  return [...missing(source, meant, made), ...missing('the migrations', made, meant)]
}

function isAlone (): boolean {
  const folders = readdirSync(join(dir, 'migrations')).filter(entry => existsSync(join(dir, 'migrations', entry, 'migration.sql')))
  return folders.length === 1 && folders[0] === BASELINE
}

async function describe (database: string, catalogs: Record<string, string>, setup = ''): Promise<Set<string>> {
  const client = new pg.Client({ connectionString: urlOf(serverUrl, database) })
  await client.connect()
  try {
    await client.query(setup)
    const lines = new Set<string>()
    for (const [kind, query] of Object.entries(catalogs)) {
      const { rows } = await client.query<[string]>({ text: query, rowMode: 'array' })
      for (const [text] of rows) if (!text.includes('_prisma_migrations')) lines.add(`${kind} ${text}`)
    }
    return lines
  } finally {
    await client.end()
  }
}
