import closeWithGrace from 'close-with-grace'
import { createApp, VERSION } from './app.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { Secrets } from './config/secrets.ts'
import { startChaining } from './db/audit-worker.ts'
import { connect } from './db/client.ts'
import { Metrics } from './http/metrics.ts'
import type { Tracing } from './http/tracing.ts'
import { startWatching, watchAttempts } from './db/suspicions.ts'
import { startSweeping } from './db/sweep.ts'
import { startNotices } from './notices.ts'
import { DATA_DIR, developmentEnvironment } from './dev.ts'
import { SecretKeeper } from './secrets.ts'

/** The process: configuration, database, application, socket; and the same backwards at the end. */
async function main (): Promise<void> {
  const isProduction = process.env.NODE_ENV === 'production'
  const env = isProduction ? process.env : developmentEnvironment(process.env)
  const config = readConfig(env)
  const secrets = new Secrets(config, false)
  const database = await openDatabase(config)
  let logIdleError = (_error: Error): void => {}
  const db = connect(() => secrets.databaseUrl ?? database.url as string, config.DATABASE_POOL, error => { logIdleError(error) })
  const metrics = new Metrics()
  metrics.collectProcess()
  const tracing = await traceTo(config.OTEL_EXPORTER_OTLP_ENDPOINT)
  const app = await createApp({ config, secrets, db, metrics, ...(tracing !== undefined && { tracing }) })
  logIdleError = error => { app.log.warn({ err: error }, 'a database connection broke') }

  const keeper = new SecretKeeper({ env, secrets, db, log: (level, text, err) => { app.log[level]({ err }, text) }, onUnfit: refuseToServe })
  await keeper.start()
  const stopSweeping = startSweeping(db, error => { app.log.warn({ err: error }, 'the sweep of ended rows failed') })
  const stopChaining = startChaining(db, {
    get keys () { return secrets.signing },
    retentionDays: config.AUDIT_RETENTION_DAYS,
    onError: error => { app.log.warn({ err: error }, 'chaining the audit failed') },
    onChained: async events => {
      for (const { action, outcome } of events) metrics.event(action, outcome)
      await watchAttempts(db, events)
    },
    onSigned: ({ tenant, count, digest }) => { app.log.info({ tenant, count, digest }, 'audit checkpoint') },
    onBroken: (tenant, brokenAt) => {
      metrics.auditBreak()
      app.log.error({ tenant, brokenAt }, 'the audit was changed')
    }
  })
  const stopWatching = startWatching(db, error => { app.log.warn({ err: error }, 'looking for attacks failed') })
  const stopNotices = startNotices({ config, secrets, db, metrics, log: app.log, version: VERSION })
  closeWithGrace({ delay: 10_000, logger: undefined }, async ({ err }) => {
    if (err !== undefined) app.log.fatal({ err }, 'unexpected error: stopping')
    await keeper.stop()
    stopSweeping()
    await stopChaining()
    stopWatching()
    await stopNotices()
    await app.close()
    await db.close()
    await tracing?.stop()
    await database.stop()
  })

  await app.listen({ host: config.HOST, port: config.PORT })
  if (config.ADMIN_PORT !== undefined) app.log.info(`Administration at ${await app.listenAdmin(config.ADMIN_HOST, config.ADMIN_PORT)}`)
  if (!isProduction) {
    const { printWelcome } = await import('./cli/welcome.ts')
    printWelcome(app.listeningOrigin, config.DOCS)
  }
}

/** Loaded only where it is wanted: it takes as much memory as all the rest. */
async function traceTo (endpoint: string | undefined): Promise<Tracing | undefined> {
  return endpoint === undefined ? undefined : (await import('./http/tracing.ts')).startTracing(endpoint, VERSION)
}

/** The configured database, or the embedded one. Migrations are a job of their own in production. */
async function openDatabase ({ DATABASE_URL, DATABASE_OWNER_URL, CITUS, NODE_ENV }: Config): Promise<{ url?: string, stop: () => Promise<void> }> {
  if (NODE_ENV === 'production' && DATABASE_URL !== undefined) return { stop: async () => {} }
  const { applyMigrations } = await import('./db/migrate.ts')
  if (DATABASE_URL !== undefined) {
    await applyMigrations(DATABASE_OWNER_URL ?? DATABASE_URL)
    const { distribute } = await import('./db/distribute.ts')
    await distribute(DATABASE_OWNER_URL ?? DATABASE_URL, CITUS)
    return { stop: async () => {} }
  }
  const { startEmbedded } = await import('./db/embedded.ts')
  const embedded = await startEmbedded({ dataDir: DATA_DIR, log: (line: string) => { process.stdout.write(`${line}\n`) } } as Parameters<typeof startEmbedded>[0])
  await applyMigrations(embedded.url)
  return embedded
}

function refuseToServe (error: unknown): never {
  const line = error instanceof ConfigError ? `configuration: ${error.message}` : `start failed: ${(error as Error).stack ?? String(error)}`
  process.stderr.write(`${line}\n`)
  process.exit(1)
}

main().catch(refuseToServe)
