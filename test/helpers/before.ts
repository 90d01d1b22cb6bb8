// tap runs this once before all test files: one PostgreSQL for the whole run (embedded, or what TEST_DATABASE_URL
// names, as a role that may create databases), with a migrated template and a database made from it for all test files.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { distribute } from '../../src/platform/db/distribute.ts'
import { applyMigrations } from '../../src/platform/db/migrate.ts'
import { allowCheapHashes, createDatabase, uniqueName, urlOf, writeRun } from './database.ts'
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
await allowCheapHashes(urlOf(server, template))
await distribute(urlOf(server, template), 'auto')
const shared = uniqueName('shared')
await createDatabase(server, shared, template)
writeRun({ server, template, shared, rsaKeys: await rsaKeys, ...(holder ? { holder } : {}) })
