// npm run import -- --from allauth|better-auth|keycloak|otpauth-csv FILE: brings people with their TOTP secrets. Says what it would do;
// with --commit it does it. A line of JSON for each row, without a secret; docs/import.md. With the environment of the service.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { readConfig } from '../config.ts'
import { Secrets } from '../config/secrets.ts'
import { connect } from '../db/client.ts'
import { startEmbedded } from '../db/embedded.ts'
import { DATA_DIR, environmentOf } from '../dev.ts'
import { readAllauth } from '../import/allauth.ts'
import { readBetterAuth } from '../import/better-auth.ts'
import type { Found } from '../import/found.ts'
import { readKeycloak } from '../import/keycloak.ts'
import { readOtpauthCsv } from '../import/otpauth-csv.ts'
import { planImport, type Target } from '../import/plan.ts'
import { importPeople } from '../import/run.ts'
import { SecretKeeper } from '../secrets.ts'

const USAGE = `npm run import -- --from allauth|better-auth|keycloak|otpauth-csv [options] FILE
  --commit             do it; without it the report says what would be done
  --tenant TENANT      of all of them; the issuer's if it has one, else default
  --namespace NAME     whose subjects they are; needed where the issuers have several
  --subject id|username|email   which of their names is the sub of your tokens; id
  --secret-file FILE   better-auth: what BETTER_AUTH_SECRET holds
  --secrets-file FILE  better-auth: what BETTER_AUTH_SECRETS holds`

const say = (line: object): void => { process.stdout.write(`${JSON.stringify(line)}\n`) }
const note = (line: string): void => { process.stderr.write(`${line}\n`) }
const fail = (why: string): never => { throw new Error(why) }

const env = environmentOf(process.env)

const { values, positionals: [path, ...more] } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: 'string' },
    commit: { type: 'boolean', default: false },
    tenant: { type: 'string' },
    namespace: { type: 'string' },
    subject: { type: 'string', default: 'id' },
    'secret-file': { type: 'string' },
    'secrets-file': { type: 'string' }
  }
})

async function main (): Promise<void> {
  const { from = '', commit, subject } = values
  if (path === undefined || more.length > 0 || !['id', 'username', 'email'].includes(subject)) fail(USAGE)
  const config = readConfig(env)
  const target = { source: from, subject: subject as Target['subject'], ...placeOf(config.ISSUERS) }
  const { people, left } = planImport(readFound(from, readFileSync(path as string, 'utf8')), target)

  const embedded = config.DATABASE_URL === undefined ? await startEmbedded({ dataDir: DATA_DIR, log: note }) : undefined
  const secrets = new Secrets(config, false)
  const db = connect(() => secrets.databaseUrl ?? embedded?.url as string, 4)
  // As a replica: rotation waits for whoever seals, and so for this.
  const keeper = new SecretKeeper({ env, secrets, db, log: (_level, text) => { note(text) }, onUnfit: error => { throw error } })
  try {
    await keeper.start()
    const counts: Record<string, number> = {}
    const count = (outcome: string): void => { counts[outcome] = (counts[outcome] ?? 0) + 1 }
    for (const line of left) {
      say({ ...line, outcome: 'left_behind' })
      count(`left_behind: ${line.reason}`)
    }
    for await (const line of importPeople(people, { db, ring: () => secrets.sealing, peppers: () => secrets.peppers, target, isDry: !commit, clock: () => new Date() })) {
      say(line)
      count(line.outcome)
    }
    note(Object.entries(counts).map(([outcome, rows]) => `${rows} ${outcome}`).join('\n') || 'The file has nothing that could be brought.')
    note(commit ? 'Nobody has recovery codes yet: tell them to make some (POST /mfa/recovery/codes, after a code of their app).' : 'Nothing was written: with --commit it is.')
  } finally {
    await keeper.stop()
    await db.close()
    await embedded?.stop()
  }
}

function readFound (from: string, file: string): Found[] {
  const secretOf = (name: 'secret-file' | 'secrets-file'): string | undefined => values[name] === undefined ? undefined : readFileSync(values[name], 'utf8').trim()
  switch (from) {
    case 'allauth': return readAllauth(file)
    case 'keycloak': return readKeycloak(file)
    case 'otpauth-csv': return readOtpauthCsv(file)
    case 'better-auth': {
      const secrets = { plain: secretOf('secret-file'), versions: secretOf('secrets-file') }
      if (secrets.plain === undefined && secrets.versions === undefined) fail('better-auth encrypts its secrets: --secret-file FILE (or --secrets-file) must hold the key.')
      return readBetterAuth(file, secrets)
    }
    default: return fail(USAGE)
  }
}

/** Where tokens will look for them: a typing error would bring people to a place that no token is of. */
function placeOf (issuers: ReturnType<typeof readConfig>['ISSUERS']): { tenant: string, namespace: string } {
  const namespaces = [...new Set(issuers.map(issuer => issuer.namespace))]
  const namespace = values.namespace ?? (namespaces.length === 1 ? namespaces[0] as string : fail(`--namespace must be one of ${namespaces.join(', ')}`))
  const tenant = values.tenant ?? issuers.find(issuer => issuer.namespace === namespace)?.tenant ?? 'default'
  const isSpokenFor = issuers.some(issuer => issuer.namespace === namespace && (issuer.tenants === '*' || issuer.tenants.includes(tenant)))
  return isSpokenFor ? { tenant, namespace } : fail(`No issuer speaks for tenant ${JSON.stringify(tenant)} and namespace ${JSON.stringify(namespace)}: nobody would find them there.`)
}

main().catch((error: unknown) => {
  note((error as Error).message)
  process.exitCode = 1
})
