import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../config.ts'
import { startEmbedded } from '../db/embedded.ts'
import { DEV_AUDIENCE, developmentEnvironment } from '../dev.ts'

/** What a test needs to know of the service, under the names of the variables in which the client's helper looks for it. */
export interface Access { MFA_TEST_URL: string, MFA_TEST_TOKEN_SECRET: string, MFA_TEST_ISSUER: string, MFA_TEST_AUDIENCE: string }

export interface Disposable { access: Access, stop: () => Promise<void> }

const TEST_ISSUER = 'http://localhost/issuer-for-tests'

/** Nothing has to survive a test run, so nothing waits for a disk. */
const FORGETFUL = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

const QUIET = { RATE_LIMIT_PER_MINUTE: '0', LOG_LEVEL: 'silent' }

/**
 * The service with all its workers, on a database, keys and a token secret of its own, in a folder that is gone afterwards.
 * Of the environment it takes nothing: a CI job has a DATABASE_URL and a PORT that are somebody else's.
 * @param settings variables of the service
 * @param clock the time of codes and tokens
 */
export async function startDisposable (settings: Record<string, string> = {}, clock?: () => Date): Promise<Disposable> {
  if (process.env.NODE_ENV === 'production' || settings.NODE_ENV === 'production') throw new Error('A service for tests is refused where NODE_ENV is production.')
  const directory = mkdtempSync(join(tmpdir(), 'headless-mfa-disposable-'))
  chmodSync(directory, 0o755) // root's PostgreSQL runs as somebody else; what is secret in here is 0600 or 0700
  let stopDatabase = async (): Promise<void> => {}
  const remove = async (): Promise<void> => {
    try { await stopDatabase() } finally { rmSync(directory, { recursive: true, force: true }) }
  }
  try {
    // Reading the sources takes as long as making the database: at once.
    const [url, { serve }] = await Promise.all([openDatabase(join(directory, 'postgres'), stop => { stopDatabase = stop }), import('./serve.ts')])
    const secret = randomBytes(32).toString('base64url')
    const env = developmentEnvironment({
      ...QUIET,
      ...(settings.TRUSTED_ISSUERS_FILE === undefined && { JWT_ISSUER: TEST_ISSUER, JWT_SECRET: secret, JWT_SESSION_CLAIM: 'sid' }),
      PORT: '0',
      MFA_ISSUER: 'http://localhost/headless-mfa-for-tests',
      ...settings,
      NODE_ENV: 'test',
      DATABASE_URL: url
    }, directory)
    const config = readConfig(env)
    const { origin, stop } = await serve({
      env, config, database: { url, stop: remove }, onUnfit: error => { throw error }, ...(clock !== undefined && { clock })
    })
    await fetch(`${origin}/health/ready`) // the first connection, so that no test waits for it
    return {
      access: { MFA_TEST_URL: origin, MFA_TEST_TOKEN_SECRET: env.JWT_SECRET ?? secret, MFA_TEST_ISSUER: env.JWT_ISSUER ?? TEST_ISSUER, MFA_TEST_AUDIENCE: env.JWT_AUDIENCE ?? DEV_AUDIENCE },
      stop: () => stop()
    }
  } catch (error) {
    await remove()
    throw error
  }
}

async function openDatabase (dataDir: string, whenRunning: (stop: () => Promise<void>) => void): Promise<string> {
  const { applyMigrations } = await import('../db/migrate.ts')
  const { url, stop } = await startEmbedded({ dataDir, isPersistent: false, settings: FORGETFUL })
  whenRunning(stop)
  await applyMigrations(url)
  return url
}
