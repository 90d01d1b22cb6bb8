// Brings a database up to date. The owner of the tables runs it; the service's own role need not be allowed to. On Citus it also
// distributes what is new.
import { readSome } from '../config/config.ts'
import { withDotEnv } from '../config/development.ts'
import { distribute } from '../platform/db/distribute.ts'
import { applyMigrations, markRolledBack } from '../platform/db/migrate.ts'
import { explain } from './explain.ts'
import { readOptions } from './options.ts'
import { OWNER, ownerDatabase } from './owner.ts'

const USAGE = `npm run migrate [-- --rolled-back MIGRATION]      (in the image: node dist/cli/migrate.js)

Applies the migrations that the database does not have yet, and says which. Several can run at once: they wait for
each other. On Citus it distributes the tables too.

  --rolled-back MIGRATION   tries a migration again that failed, after you fixed the cause

  DATABASE_OWNER_URL   the database, as the owner of its tables; by default DATABASE_URL, and in development without
                       either the embedded one
  CITUS                auto, on or off: whether the tables are distributed

Exits with 0 when it is done, 1 if it is not, 2 for a wrong call.`

const { values } = readOptions(USAGE, { options: { 'rolled-back': { type: 'string' } } })
const failed = values['rolled-back']
const say = (message: string): void => { process.stdout.write(`${message}\n`) }
let env: NodeJS.ProcessEnv = process.env
let database: Awaited<ReturnType<typeof ownerDatabase>> | undefined
try {
  env = withDotEnv(env)
  const { CITUS, ...owner } = readSome(env, ['CITUS', ...OWNER])
  database = await ownerDatabase(env, owner, say)
  if (failed !== undefined) {
    await markRolledBack(database.url, failed)
    say(`${failed} may be applied again.`)
  }
  const applied = await applyMigrations(database.url)
  say(applied.length > 0 ? `Applied ${applied.join(', ')}` : 'The database is up to date.')
  const distributed = await distribute(database.url, CITUS)
  if (distributed.length > 0) say(`Distributed ${distributed.join(', ')}`)
} catch (error) {
  process.stderr.write(`${explain(error, env, true)}\n`)
  process.exitCode = 1
} finally {
  await database?.stop()
}
