// npm run migrate:baseline: writes the first migration anew, after schema.prisma, baseline.sql or a file of functions/ changed.
// Until the first release there is no other; what comes after it, migrate:new writes.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BASELINE, baselineSql, copiesOf } from '../platform/db/baseline.ts'
import { prismaDir } from '../platform/db/migrate.ts'
import { readOptions } from './options.ts'

const USAGE = `npm run migrate:baseline

Writes prisma/migrations' baseline from schema.prisma, baseline.sql and functions/. For contributors, before the first
release. After it, use npm run migrate:new. CONTRIBUTING.md says when.`

const { positionals: [dir = prismaDir] } = readOptions(USAGE, { allowPositionals: true }) // another folder than prisma/: for the tests
const migrations = join(dir, 'migrations')

try {
  mkdirSync(migrations, { recursive: true })
  const later = readdirSync(migrations).filter(entry => entry > BASELINE && existsSync(join(migrations, entry, 'migration.sql')))
  if (later.length > 0) {
    throw new Error(`${later[0]} comes after the baseline, which stays as it is: npm run migrate:new writes the next one.`)
  }
  const file = join(migrations, BASELINE, 'migration.sql')
  const sql = await baselineSql(dir)
  mkdirSync(join(migrations, BASELINE), { recursive: true })
  writeFileSync(file, sql)
  for (const [name, text] of Object.entries(copiesOf(dir))) writeFileSync(join(migrations, name), text)
  process.stdout.write(`${file}\n`)
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
