// Is the audit what was written? One line a tenant.
import { findTenants, type Verdict, verifyTenant } from '../audit/verify.sql.ts'
import { readConfig } from '../config/config.ts'
import { DATA_DIR, environmentOf } from '../config/development.ts'
import { connect } from '../platform/db/client.ts'
import { startEmbedded } from '../platform/embedded-postgres/embedded.ts'
import { explain } from './explain.ts'
import { readOptions, refuseCall } from './options.ts'

const USAGE = `npm run audit:verify [-- --tenant TENANT [--checkpoint COUNT:DIGEST]]      (in the image: node dist/cli/audit-verify.js)

Checks that the audit was not changed. It prints a line for each tenant: how many events, and ok or the first event that
does not fit. It can run beside the service, and needs its environment: the database and MFA_SIGNING_KEYS.

  --tenant TENANT             only this tenant
  --checkpoint COUNT:DIGEST   what the service's log has as "audit checkpoint": the chain must still have it

Exits with 0 if nothing was changed, 1 if something was changed or is no longer chained, 2 for a wrong call, or if the
configuration or the database cannot be used.`

const { values: { tenant, checkpoint } } = readOptions(USAGE, { options: { tenant: { type: 'string' }, checkpoint: { type: 'string' } } })
const [, count, digest] = /^(\d+):([0-9a-f]{64})$/.exec(checkpoint ?? '') ?? []
if (checkpoint !== undefined && digest === undefined) refuseCall(USAGE, '--checkpoint is a count, a colon and a digest of 64 characters.')
if (checkpoint !== undefined && tenant === undefined) refuseCall(USAGE, '--checkpoint is of one tenant: add --tenant.')

const say = (line: string): void => { process.stdout.write(`${line}\n`) }

function wrongWith ({ broken, waitingSince }: Verdict): string | undefined {
  if (broken !== null) return `broken at ${JSON.stringify(broken)}`
  return waitingSince === undefined ? undefined : `not chained since ${waitingSince}: does the service run?`
}

async function main (env: NodeJS.ProcessEnv): Promise<void> {
  const config = readConfig(env)
  const embedded = config.DATABASE_URL === undefined ? await startEmbedded({ dataDir: DATA_DIR, log: say }) : undefined
  const db = connect(config.DATABASE_URL ?? embedded?.url as string, 2)
  try {
    const known = digest === undefined ? undefined : { count: Number(count), digest }
    const tenants = tenant === undefined ? await findTenants(db) : [tenant]
    for (const each of tenants) {
      const verdict = await verifyTenant(db, each, config.MFA_SIGNING_KEYS, known)
      const wrong = wrongWith(verdict)
      say(`${JSON.stringify(each)} ${verdict.events} events: ${wrong ?? 'ok'}`)
      if (wrong !== undefined) process.exitCode = 1
    }
  } finally {
    await db.close()
    await embedded?.stop()
  }
}

let env: NodeJS.ProcessEnv = process.env
try {
  env = environmentOf(env)
  await main(env)
} catch (error) {
  process.stderr.write(`${explain(error, env)}\n`)
  process.exitCode = 2
}
