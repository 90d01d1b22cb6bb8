import { explain } from './cli/explain.ts'
import { readOptions } from './cli/options.ts'
import { serve } from './cli/serve.ts'
import { type Config, readConfig } from './config/config.ts'
import { DATA_DIR, environmentOf, isDevelopment } from './config/development.ts'

const USAGE = `npm start      (in the image: node dist/server.js)

Starts the service. In development it brings a PostgreSQL and keys of its own, in .data, and applies the migrations. In
production (NODE_ENV=production) you give it the database and the keys, and run npm run migrate as a job of its own.

Everything is set in the environment: .env.example has every variable, docs/configuration.md says what each means.
Development reads a .env beside package.json too.

  PORT=3500 npm start      on another port
  npm run token            a token to try it with
  npm run reset            deletes what development keeps in .data, so that you can start over

At Ctrl-C or SIGTERM it answers the requests under way, and exits with 0. It exits with 1 if it cannot start, and 2 for a
wrong call.`

let env: NodeJS.ProcessEnv = process.env

/** The process: configuration, database, and the service on them. */
async function main (): Promise<void> {
  readOptions(USAGE, {})
  env = environmentOf(env)
  const config = readConfig(env)
  const { origin } = await serve({ env, config, database: await openDatabase(config), onUnfit: refuseToServe })
  if (isDevelopment(env)) {
    const { printWelcome } = await import('./cli/welcome.ts')
    printWelcome(origin, config, env)
  }
}

/** The configured database, or the embedded one. Migrations are a job of their own in production. */
async function openDatabase (
  { DATABASE_URL, DATABASE_OWNER_URL, CITUS, NODE_ENV }: Config
): Promise<{ url?: string, stop: () => Promise<void> }> {
  if (NODE_ENV === 'production' && DATABASE_URL !== undefined) return { stop: async () => {} }
  const { applyMigrations } = await import('./platform/db/migrate.ts')
  if (DATABASE_URL !== undefined) {
    await applyMigrations(DATABASE_OWNER_URL ?? DATABASE_URL)
    const { distribute } = await import('./platform/db/distribute.ts')
    await distribute(DATABASE_OWNER_URL ?? DATABASE_URL, CITUS)
    return { stop: async () => {} }
  }
  const { startEmbedded } = await import('./platform/embedded-postgres/embedded.ts')
  const embedded = await startEmbedded(
    {
      dataDir: DATA_DIR,
      log: (line: string) => {
        process.stdout.write(`${line}\n`)
      }
    } as Parameters<typeof startEmbedded>[0]
  )
  await applyMigrations(embedded.url)
  return embedded
}

function refuseToServe (error: unknown): never {
  // In development the migrations were applied, as the owner if there is one.
  process.stderr.write(`${explain(error, env, isDevelopment(env))}\n`)
  process.exit(1)
}

main().catch(refuseToServe)
