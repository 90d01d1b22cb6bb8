// npm run audit:verify [-- --tenant <tenant> [--checkpoint <count>:<digest>]]: is the audit what was written? One line a
// tenant; exits with 1 if one of them was changed, or is not chained any more. A checkpoint is what the service's log has of it.
import { parseArgs } from 'node:util'
import { readConfig } from '../config.ts'
import { findTenants, type Verdict, verifyTenant } from '../db/audit-verify.ts'
import { connect } from '../db/client.ts'
import { startEmbedded } from '../db/embedded.ts'
import { DATA_DIR, environmentOf } from '../dev.ts'

const say = (line: string): void => { process.stdout.write(`${line}\n`) }

function wrongWith ({ broken, waitingSince }: Verdict): string | undefined {
  if (broken !== null) return `broken at ${JSON.stringify(broken)}`
  return waitingSince === undefined ? undefined : `not chained since ${waitingSince}: does the service run?`
}

async function main (): Promise<void> {
  const { values: { tenant, checkpoint } } = parseArgs({ options: { tenant: { type: 'string' }, checkpoint: { type: 'string' } } })
  const [, count, digest] = /^(\d+):([0-9a-f]{64})$/.exec(checkpoint ?? '') ?? []
  if (checkpoint !== undefined && (tenant === undefined || digest === undefined)) throw new Error('Usage: npm run audit:verify [-- --tenant <tenant> [--checkpoint <count>:<digest>]]')
  const config = readConfig(environmentOf(process.env))
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

main().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 2
})
