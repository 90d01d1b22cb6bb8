// tap runs this once before all test files: one PostgreSQL for the whole run (embedded, or what TEST_DATABASE_URL
// names, as a role that may create databases), with a migrated template and a database made from it for all test files.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { distribute } from '../../src/db/distribute.ts'
import { applyMigrations } from '../../src/db/migrate.ts'
import { createDatabase, execute, uniqueName, urlOf, writeRun } from './database.ts'
import { program } from './program.ts'
import { makeRsaKeys } from './rsa.ts'

const rsaKeys = makeRsaKeys()
let server = process.env.TEST_DATABASE_URL
let holder: number | undefined
if (!server) {
  const { file, execArgv } = program('test/helpers/server.ts')
  const child = fork(file, [String(process.ppid)], {
    detached: true, execArgv, stdio: ['ignore', 'ignore', 'inherit', 'ipc']
  })
  holder = child.pid
  const [answer] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  if (typeof answer !== 'string') throw new Error('The embedded PostgreSQL did not start.')
  server = answer
  child.unref()
}
const template = uniqueName('template')
await createDatabase(server, template)
await applyMigrations(urlOf(server, template))
// Ten hashes of an enrollment take half a second at the least cost that is allowed elsewhere.
for (const table of ['recovery_codes', 'bypasses']) {
  await execute(urlOf(server, template), `ALTER TABLE ${table} DROP CONSTRAINT ${table}_bcrypt, ADD CONSTRAINT ${table}_bcrypt CHECK (hash ~ '^[$]2[aby][$][01][0-9][$]')`)
}
await distribute(urlOf(server, template), 'auto')
const shared = uniqueName('shared')
await createDatabase(server, shared, template)
writeRun({ server, template, shared, rsaKeys: await rsaKeys, ...(holder ? { holder } : {}) })
