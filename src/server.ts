import { serve } from './cli/serve.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { DATA_DIR, environmentOf, isDevelopment } from './dev.ts'

/** The process: configuration, database, and the service on them. */
async function main (): Promise<void> {
  const env = environmentOf(process.env)
  const config = readConfig(env)
  const { origin } = await serve({ env, config, database: await openDatabase(config), onUnfit: refuseToServe })
  if (isDevelopment(env)) {
    const { printWelcome } = await import('./cli/welcome.ts')
    printWelcome(origin, config.DOCS)
  }
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
  const line = error instanceof ConfigError ? error.message.replace(/^/gm, 'configuration: ') : `start failed: ${(error as Error).stack ?? String(error)}`
  process.stderr.write(`${line}\n`)
  process.exit(1)
}

main().catch(refuseToServe)
