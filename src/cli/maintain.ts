// Makes the audit's partitions of the months to come and drops those that are too old. The owner of the tables runs it.
import { readSome } from '../config/config.ts'
import { withDotEnv } from '../config/development.ts'
import { maintain } from '../maintenance/maintain.sql.ts'
import { explain } from './explain.ts'
import { readOptions } from './options.ts'
import { OWNER, ownerDatabase } from './owner.ts'

const USAGE = `npm run maintain      (in the image: node dist/cli/maintain.js)

Run it once a day. It makes the audit's partitions for the next months, drops the months that are older than
AUDIT_RETENTION_DAYS, and recomputes the user counters. It can run beside the service.

  DATABASE_OWNER_URL     the database, as the owner of its tables; by default DATABASE_URL, and in development without
                         either the embedded one
  AUDIT_RETENTION_DAYS   how long audit events stay (400)

Exits with 0 when it is done, 1 if it is not, or if something due could not be dropped, 2 for a wrong call.`

readOptions(USAGE, {})
const say = (message: string): void => { process.stdout.write(`${message}\n`) }
let env: NodeJS.ProcessEnv = process.env
let database: Awaited<ReturnType<typeof ownerDatabase>> | undefined
try {
  env = withDotEnv(env)
  const { AUDIT_RETENTION_DAYS: days, ...owner } = readSome(env, ['AUDIT_RETENTION_DAYS', ...OWNER])
  database = await ownerDatabase(env, owner, say)
  const { added, dropped, unsigned, mended } = await maintain(database.url, days)
  say(`Partitions made: ${added}. Dropped: ${dropped.join(', ') || 'none'}. Counts of users put right: ${mended}.`)
  if (unsigned.length > 0) {
    throw new Error(
      `Nothing was dropped: no checkpoint says yet that events older than ${days} days may be gone, for ${unsigned.length} tenants, as ` +
      `${JSON.stringify(unsigned[0])}. ` +
      'Let the service run for some minutes with that retention, and see what audit:verify says.')
  }
} catch (error) {
  process.stderr.write(`${explain(error, env, true)}\n`)
  process.exitCode = 1
} finally {
  await database?.stop()
}
