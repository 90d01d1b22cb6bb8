// npm run migrate:new -- <name>: writes the next migration, to be read and completed by hand before it is committed.
//
// The SQL is the difference between schema.prisma now and as it was when the last migration was written, of which
// prisma/migrations/schema.prisma is the copy. (Prisma's own way, describing a database that the migrations made, would
// need that database, and would want to drop what they added by hand, such as partial indexes.) One copy rather than one
// per migration: when two branches both add a migration, git reports a conflict in it, and the later one is made anew.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { diffSql, prismaDir } from '../db/migrate.ts'

const [name = '', dir = prismaDir] = process.argv.slice(2) // another folder than prisma/: for the tests
if (!/^[a-z][a-z0-9_]*$/.test(name)) fail('Usage: npm run migrate:new -- <name in lower case, with underscores>')

const migrations = join(dir, 'migrations')
const copy = join(migrations, 'schema.prisma')
const schema = readFileSync(join(dir, 'schema.prisma'), 'utf8')

mkdirSync(migrations, { recursive: true })
const older = readdirSync(migrations).filter(entry => existsSync(join(migrations, entry, 'migration.sql'))).sort()
if (older.length > 0 && !existsSync(copy)) fail(`${copy} is missing: it is the schema as of the last migration, ${older.at(-1)}.`)

const sql = await diffSql({ from: existsSync(copy) ? readFileSync(copy, 'utf8') : 'empty', to: schema })
const isEmpty = /^(\s*--.*)*\s*$/.test(sql)
const text = isEmpty ? '-- The schema did not change: functions, constraints and grants are written here by hand.\n' : sql

const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
const folder = `${timestamp}_${name}`
if (older.length > 0 && folder <= older.at(-1)!) fail(`${folder} would not come after ${older.at(-1)}: wait, or check the clock.`)
const file = join(migrations, folder, 'migration.sql')
mkdirSync(join(migrations, folder))
writeFileSync(file, text)
writeFileSync(copy, schema)
writeFileSync(join(migrations, 'migration_lock.toml'), 'provider = "postgresql"\n')
const hint = isEmpty ? 'There is no difference in the schema: the file holds only a comment.' : 'Read it before you commit it.'
process.stdout.write(`${file}\n${hint}\n`)

function fail (message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
