// npm run migrate [-- --rolled-back <migration>]: brings a database up to date. The owner of the tables runs it; the
// service's own role need not be allowed to. On Citus it also distributes what is new (CITUS).
import { readSome } from '../config.ts'
import { distribute } from '../db/distribute.ts'
import { applyMigrations, markRolledBack } from '../db/migrate.ts'
import { withDotEnv } from '../dev.ts'
import { OWNER, ownerDatabase } from './owner.ts'

const say = (message: string) => process.stdout.write(`${message}\n`)

const [flag, failed] = process.argv.slice(2)
let database: Awaited<ReturnType<typeof ownerDatabase>> | undefined
try {
  const env = withDotEnv(process.env)
  const { CITUS, ...owner } = readSome(env, ['CITUS', ...OWNER])
  database = await ownerDatabase(env, owner, say)
  if (flag !== undefined) {
    if (flag !== '--rolled-back' || !failed) throw new Error('Usage: npm run migrate [-- --rolled-back <migration>]')
    await markRolledBack(database.url, failed)
    say(`${failed} may be applied again.`)
  }
  const applied = await applyMigrations(database.url)
  say(applied.length > 0 ? `Applied ${applied.join(', ')}` : 'The database is up to date.')
  const distributed = await distribute(database.url, CITUS)
  if (distributed.length > 0) say(`Distributed ${distributed.join(', ')}`)
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
} finally {
  await database?.stop()
}
