// npm run maintain: makes the audit's partitions of the months to come and drops those that are older than
// AUDIT_RETENTION_DAYS. The owner of the tables runs it, once a day or so; exits with 1 if it could not drop what is due.
import { readSome } from '../config.ts'
import { maintain } from '../db/maintain.ts'
import { withDotEnv } from '../dev.ts'
import { OWNER, ownerDatabase } from './owner.ts'

const say = (message: string): void => { process.stdout.write(`${message}\n`) }

let database: Awaited<ReturnType<typeof ownerDatabase>> | undefined
try {
  const env = withDotEnv(process.env)
  const { AUDIT_RETENTION_DAYS: days, ...owner } = readSome(env, ['AUDIT_RETENTION_DAYS', ...OWNER])
  database = await ownerDatabase(env, owner, say)
  const { added, dropped, unsigned, mended } = await maintain(database.url, days)
  say(`Partitions made: ${added}. Dropped: ${dropped.join(', ') || 'none'}. Counts of people put right: ${mended}.`)
  if (unsigned.length > 0) {
    throw new Error(`Nothing was dropped: no checkpoint says yet that events older than ${days} days may be gone, for ${unsigned.length} tenants, as ${JSON.stringify(unsigned[0])}. ` +
      'Let the service run for some minutes with that retention, and see what audit:verify says.')
  }
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
} finally {
  await database?.stop()
}
