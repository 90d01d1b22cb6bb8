// npm run check:schema: do the migrations make what schema.prisma describes? One database is made by the migrations, one
// by the SQL "from empty to schema.prisma", and their catalogs are compared (Prisma's engine as WebAssembly cannot
// describe a live database). What only a migration can say is not drift: functions, CHECK constraints, grants,
// storage parameters, partial indexes, those of expressions, how a column is generated, partitions.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbedded } from '../src/db/embedded.ts'
import { applyMigrations, diffSql, prismaDir } from '../src/db/migrate.ts'
import { createDatabase, dropDatabase, uniqueName, urlOf } from '../test/helpers/database.ts'
import { temporaryDir } from '../test/helpers/temporary.ts'

const [dir = prismaDir] = process.argv.slice(2) // another folder than prisma/: for the tests

/** Each yields one text per object. Inherited copies of a partition are left out: its parent speaks for them. */
const catalogs = {
  table: `
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition`,
  column: `
    SELECT format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
      CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, CASE WHEN a.attgenerated = '' THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END)
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

const server = process.env.TEST_DATABASE_URL
  ? undefined
  : await startEmbedded({
    dataDir: temporaryDir('drift'), database: 'postgres', isPersistent: false, settings: { fsync: 'off' }
  })
const serverUrl = server?.url ?? process.env.TEST_DATABASE_URL!
const byMigrations = uniqueName('migrations')
const bySchema = uniqueName('schema')
try {
  await createDatabase(serverUrl, byMigrations)
  await createDatabase(serverUrl, bySchema)
  await applyMigrations(urlOf(serverUrl, byMigrations), join(dir, 'migrations'))
  const sql = await diffSql({ from: 'empty', to: readFileSync(join(dir, 'schema.prisma'), 'utf8') })
  const made = await describe(byMigrations)
  const meant = await describe(bySchema, sql)
  const differences = [
    ...[...meant].filter(line => !made.has(line)).map(line => `only in schema.prisma: ${line}`),
    ...[...made].filter(line => !meant.has(line)).map(line => `only in the migrations: ${line}`)
  ].sort()
  process.stdout.write(differences.map(line => `${line}\n`).join('') || 'The migrations make what schema.prisma describes.\n')
  process.exitCode = differences.length > 0 ? 1 : 0
} finally {
  await dropDatabase(serverUrl, byMigrations)
  await dropDatabase(serverUrl, bySchema)
  await server?.stop()
}

async function describe (database: string, setup = ''): Promise<Set<string>> {
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
