// npm run import -- --from SOURCE FILE: brings users with their TOTP secrets. Says what it would do; with --commit it does it.
// A line of JSON for each row, without a secret; docs/import.md. With the environment of the service.
import { readFileSync } from 'node:fs'
import { ConfigError, readConfig } from '../config/config.ts'
import { DATA_DIR, environmentOf } from '../config/development.ts'
import { Secrets } from '../config/secrets.ts'
import type { BetterAuthSecrets } from '../import/better-auth.ts'
import { decodeFile } from '../import/decode.ts'
import { planImport } from '../import/plan.ts'
import { importUsers } from '../import/run.ts'
import { SecretKeeper } from '../keys/keeper.ts'
import { connect } from '../platform/db/client.ts'
import { startEmbedded } from '../platform/embedded-postgres/embedded.ts'
import { UnavailableError } from '../platform/unavailable.ts'
import { wrong } from './admin-call.ts'
import { explain } from './explain.ts'
import { type ImportOptions, readImportCall, USAGE } from './import-call.ts'
import { Refusal } from './options.ts'

const say = (line: object): void => { process.stdout.write(`${JSON.stringify(line)}\n`) }
const note = (line: string): void => { process.stderr.write(`${line}\n`) }

let env: NodeJS.ProcessEnv = process.env

async function main (): Promise<void> {
  const call = readImportCall(process.argv.slice(2))
  if (call === null) {
    process.stdout.write(`${USAGE}\n`)
    return
  }
  const { options, source, subject, path } = call
  env = environmentOf(process.env)
  const config = readConfig(env)
  const target = { source: options.from, subject, ...placeOf(config.ISSUERS, options) }
  const found = source.read(readFile(path), { usersModel: options['users-model'], secrets: secretsOf(options) })
  const { users, left } = planImport(found, target, options.issuer)

  const embedded = config.DATABASE_URL === undefined ? await startEmbedded({ dataDir: DATA_DIR, log: note }) : undefined
  const secrets = new Secrets(config, false)
  const db = connect(() => secrets.databaseUrl ?? embedded?.url as string, 4)
  // As a replica: rotation waits for every process that seals, and so for this one.
  const keeper = new SecretKeeper({ env, secrets, db, log: (_level, text) => { note(text) }, onUnfit: error => { throw error } })
  try {
    await keeper.start()
    const counts: Record<string, number> = {}
    const count = (outcome: string): void => { counts[outcome] = (counts[outcome] ?? 0) + 1 }
    for (const line of left) {
      say({ ...line, outcome: 'left_behind' })
      count(`left_behind: ${line.reason}`)
    }
    const { commit } = options
    const run = { db, ring: () => secrets.sealing, peppers: () => secrets.peppers, target, isDry: !commit, clock: () => new Date() }
    for await (const line of importUsers(users, run)) {
      say(line)
      count(line.outcome)
    }
    note(Object.entries(counts).map(([outcome, rows]) => `${rows} ${outcome}`).join('\n') || 'The file has nothing that can be imported.')
    note(commit
      ? 'The imported users have no recovery codes yet: have them make some (POST /mfa/recovery/codes, after a code of their app).'
      : 'Nothing was written. Add --commit to write it.')
  } finally {
    await keeper.stop()
    await db.close()
    await embedded?.stop()
  }
}

function readFile (path: string): string {
  try { return decodeFile(readFileSync(path)) } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new Error(code === undefined ? message : `${path} cannot be read: ${code}.`)
  }
}

function secretsOf (options: ImportOptions): BetterAuthSecrets {
  const secretOf = (path: string | undefined): string | undefined => path === undefined ? undefined : readFile(path).trim()
  return { plain: secretOf(options['secret-file']), versions: secretOf(options['secrets-file']) }
}

/** Where tokens will look for them: a typing error would bring users to a place that no token is of. */
function placeOf (issuers: ReturnType<typeof readConfig>['ISSUERS'], options: ImportOptions): { tenant: string, namespace: string } {
  const namespaces = [...new Set(issuers.map(issuer => issuer.namespace))]
  const [only = '', ...others] = namespaces
  const namespace = options.namespace ?? (others.length === 0 ? only : wrong(`--namespace must be one of ${namespaces.join(', ')}`))
  const tenant = options.tenant ?? issuers.find(issuer => issuer.namespace === namespace)?.tenant ?? 'default'
  const isSpokenFor = issuers.some(issuer => issuer.namespace === namespace && (issuer.tenants === '*' || issuer.tenants.includes(tenant)))
  if (isSpokenFor) return { tenant, namespace }
  const place = `tenant ${JSON.stringify(tenant)} and namespace ${JSON.stringify(namespace)}`
  return wrong(`No issuer speaks for ${place}: the users would not be found there`)
}

main().catch((error: unknown) => {
  note(explain(error, env))
  if (error instanceof UnavailableError) note('The import has stopped. Run it again: it goes on, and imports no user twice.')
  process.exitCode = error instanceof Refusal || error instanceof ConfigError ? 2 : 1
})
