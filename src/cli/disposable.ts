import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../config/config.ts'
import { DEV_AUDIENCE, developmentEnvironment } from '../config/development.ts'
import { startEmbedded } from '../platform/embedded-postgres/embedded.ts'
import type { Serving } from './serve.ts'

/** What a test needs to know of the service, under the names of the variables in which the client's helper looks for it. */
export interface Access { MFA_TEST_URL: string, MFA_TEST_TOKEN_SECRET: string, MFA_TEST_ISSUER: string, MFA_TEST_AUDIENCE: string }

export interface Disposable extends Pick<Serving, 'ignoreSignals'> { access: Access, stop: () => Promise<void> }

/** It was told to end while it started. Nothing is left of it, and there is nothing to say. */
export class Interrupted extends Error {
  /** As a shell counts it. */
  readonly exitCode: number
  constructor (signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`)
    this.exitCode = 128 + constants.signals[signal]
  }
}

/** What ends a program that was started for a while. */
export const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const TEST_ISSUER = 'http://localhost/issuer-for-tests'

/** Nothing has to survive a test run, so nothing waits for a disk. */
const FORGETFUL = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

/** For whatever page a test serves on this machine; a test that wants others says so. */
const PASSKEYS = { PASSKEY_RP_ID: 'localhost', PASSKEY_ORIGINS: 'http://localhost:*' }

const QUIET = { RATE_LIMIT_PER_MINUTE: '0', LOG_LEVEL: 'silent' }

/**
 * The service with all its workers, on a database, keys and a token secret of its own, in a folder that is gone afterwards.
 * Of the environment it takes nothing: a CI job has a DATABASE_URL and a PORT of another program.
 * @param settings variables of the service
 * @param clock the time of codes and tokens
 * @throws Interrupted if a signal comes during the start, which is waited for: half of it could not be cleared away
 */
export async function startDisposable (settings: Record<string, string> = {}, clock?: () => Date): Promise<Disposable> {
  if (process.env.NODE_ENV === 'production' || settings.NODE_ENV === 'production') {
    throw new Error('A disposable service is refused where NODE_ENV is production.')
  }
  let signal: NodeJS.Signals | undefined
  const keepSignal = (each: NodeJS.Signals): void => { signal = each }
  for (const each of SIGNALS) process.on(each, keepSignal)
  try {
    const service = await start(settings, clock)
    if (signal === undefined) return service
    await service.stop()
    throw new Interrupted(signal)
  } catch (error) {
    throw signal === undefined ? error : new Interrupted(signal)
  } finally {
    for (const each of SIGNALS) process.off(each, keepSignal)
  }
}

async function start (settings: Record<string, string>, clock?: () => Date): Promise<Disposable> {
  const directory = mkdtempSync(join(tmpdir(), 'headless-mfa-disposable-'))
  chmodSync(directory, 0o755) // root's PostgreSQL runs as another user; what is secret in here is 0600 or 0700
  const clear = (): void => { rmSync(directory, { recursive: true, force: true, maxRetries: 10 }) }
  let stopDatabase = async (): Promise<void> => {}
  let removing: Promise<void> | undefined
  const remove = (): Promise<void> => (removing ??= stopDatabase().finally(() => {
    process.off('exit', clear)
    clear()
  }))
  try {
    // Reading the sources takes as long as making the database: at once.
    const [url, { serve }] = await Promise.all([openDatabase(join(directory, 'postgres'), stop => {
      stopDatabase = stop
      process.once('exit', clear) // after the database's own, which is told to end: a second Ctrl-C does not wait
    }), import('./serve.ts')])
    const secret = randomBytes(32).toString('base64url')
    const env = developmentEnvironment({
      ...QUIET,
      ...(settings.TRUSTED_ISSUERS_FILE === undefined && { JWT_ISSUER: TEST_ISSUER, JWT_SECRET: secret, JWT_SESSION_CLAIM: 'sid' }),
      ...(!Object.keys(settings).some(name => name.startsWith('PASSKEY')) && PASSKEYS),
      PORT: '0',
      MFA_ISSUER: 'http://localhost/headless-mfa-for-tests',
      ...settings,
      NODE_ENV: 'test',
      DATABASE_URL: url
    }, directory)
    const config = readConfig(env)
    const { origin, stop, ignoreSignals } = await serve({
      env, config, database: { url, stop: remove }, onUnfit: error => { throw error }, ...(clock !== undefined && { clock })
    })
    await fetch(`${origin}/health/ready`) // the first connection, so that no test waits for it
    return {
      access: {
        MFA_TEST_URL: origin,
        MFA_TEST_TOKEN_SECRET: env.JWT_SECRET ?? secret,
        MFA_TEST_ISSUER: env.JWT_ISSUER ?? TEST_ISSUER,
        MFA_TEST_AUDIENCE: env.JWT_AUDIENCE ?? DEV_AUDIENCE
      },
      stop: () => stop(),
      ignoreSignals
    }
  } catch (error) {
    await remove()
    throw error
  }
}

async function openDatabase (dataDir: string, whenRunning: (stop: () => Promise<void>) => void): Promise<string> {
  const { applyMigrations } = await import('../platform/db/migrate.ts')
  const { url, stop } = await startEmbedded({ dataDir, isPersistent: false, settings: FORGETFUL })
  whenRunning(stop)
  await applyMigrations(url)
  return url
}
