// npm run migrate:new -- <name>: writes the next migration, to be read and completed by hand before it is committed.
//
// The SQL is the difference between the model and the functions now and as they were when the last migration was written, of
// which prisma/migrations/schema.prisma is the copy and functions.json has the digests. (Prisma's own way, describing a database
// that the migrations made, would need that database, and would want to drop what they added by hand, such as partial indexes.)
// One copy rather than one per migration: when two branches both add a migration, git reports a conflict in it, and the later
// one is made anew.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { copiesOf, type FunctionDigests, functionsSql, readFunctions } from '../platform/db/baseline.ts'
import { diffSql, prismaDir } from '../platform/db/migrate.ts'
import { readOptions, refuseCall } from './options.ts'

const USAGE = `npm run migrate:new -- NAME

Writes the next migration: what changed in schema.prisma and functions/ since the last one. Read it, and add by hand what
changed in baseline.sql. For contributors. CONTRIBUTING.md says when.

  NAME   in lower case, with underscores, such as add_passkeys`

// Another folder than prisma/ is for the tests.
const { positionals: [name = '', dir = prismaDir] } = readOptions(USAGE, { allowPositionals: true })
if (!/^[a-z][a-z0-9_]*$/.test(name)) refuseCall(USAGE, 'Name the migration, in lower case, with underscores.')

const migrations = join(dir, 'migrations')
const [modelBefore, functionsBefore] = ['schema.prisma', 'functions.json'].map(name => {
  const copy = join(migrations, name)
  if (!existsSync(copy)) fail(`${copy} is missing: it says what the last migration left. npm run migrate:baseline writes the first one.`)
  return readFileSync(copy, 'utf8')
}) as [string, string]

const model = await diffSql({ from: modelBefore, to: readFileSync(join(dir, 'schema.prisma'), 'utf8') })
const functions = functionsSql(JSON.parse(functionsBefore) as FunctionDigests, readFunctions(dir))
const parts = [/^(\s*--.*)*\s*$/.test(model) ? '' : model, functions].filter(part => part !== '')
const text = parts.join('\n') || '-- Neither the model nor a function changed: constraints, indexes and grants are written here by hand.\n'

const last = readdirSync(migrations).filter(entry => existsSync(join(migrations, entry, 'migration.sql'))).sort().at(-1) ?? ''
const folder = `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}_${name}`
if (folder <= last) fail(`${folder} would not come after ${last}: wait, or check the clock.`)
const file = join(migrations, folder, 'migration.sql')
mkdirSync(join(migrations, folder))
writeFileSync(file, text)
for (const [name, text] of Object.entries(copiesOf(dir))) writeFileSync(join(migrations, name), text)
const hint = parts.length > 0
  ? 'Read it before you commit it.'
  : 'There is no difference in the model or the functions: the file holds only a comment.'
process.stdout.write(`${file}\n${hint}\n`)

function fail (message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
