import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Config, readConfig, secretFiles } from '../config/config.ts'
import { variableOf } from '../config/keys.ts'
import { ConfigError } from '../config/readers.ts'
import { keySet, type Secrets } from '../config/secrets.ts'
import type { Database } from '../platform/db/client.ts'
import { KeyError, proveKeys, reportKeys } from './keys.sql.ts'
import { markKeys } from './keys.ts'
import { REPORT_SECONDS } from './rotation.ts'

export interface KeepOptions {
  env: Record<string, string | undefined>
  secrets: Secrets
  db: Database
  /** What is told, and how much it matters: refused files are errors. */
  log: (level: 'info' | 'warn' | 'error', text: string, error?: unknown) => void
  /** The keys, which could not be checked against the database at the start, do not fit it: this process serves nothing. */
  onUnfit: (error: Error) => void
  reportSeconds?: number
}

const POLL_MS = 2000
const RETRY_MS = 500

/**
 * Keeps the secrets as their files are: reads them again when what they hold changes (a mounted secret changes by a link
 * that is swapped, which no watcher of the file sees), takes over what a start would take, and leaves what is refused.
 */
export class SecretKeeper {
  readonly #options: KeepOptions
  /** What the files held when they were last taken or refused. */
  #seen: string | undefined
  #reportedAt = -Infinity
  #isSilent = false
  #isStopped = false
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined

  constructor (options: KeepOptions) { this.#options = options }

  /**
   * Holds the keys against the database, again and again until that is there: no one is let in before.
   * @throws ConfigError if they do not fit
   */
  async prove (retryMs = RETRY_MS): Promise<void> {
    while (!this.#options.secrets.areProved && !this.#isStopped) {
      await this.check()
      if (!this.#options.secrets.areProved) await sleep(retryMs)
    }
  }

  /**
   * Looks at the files from now on. A database that is not there fails no start.
   * @throws ConfigError if the keys do not fit it
   */
  async start (pollMs = POLL_MS): Promise<void> {
    await this.check()
    this.#timer = setInterval(() => { this.#round ??= this.#poll().finally(() => { this.#round = undefined }) }, pollMs)
    this.#timer.unref()
  }

  async stop (): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    await this.#round
  }

  async #poll (): Promise<void> {
    try { await this.check() } catch (error) { this.#options.onUnfit(error as Error) }
  }

  /** One look at the files. @throws ConfigError where the keys that this process began with do not fit the database */
  async check (): Promise<void> {
    const { secrets, log, reportSeconds = REPORT_SECONDS } = this.#options
    try {
      const held = await this.#read()
      if (held !== this.#seen) await this.#take(held)
      else if (performance.now() - this.#reportedAt >= reportSeconds * 1000) await this.#report()
      this.#isSilent = false
    } catch (error) {
      if (error instanceof ConfigError && !secrets.areProved) throw error
      // The database: once, and then again when it was there in between.
      if (!this.#isSilent) log('warn', 'the keys cannot be compared with the database', error)
      this.#isSilent = true
    }
  }

  async #read (): Promise<string> {
    const texts = await Promise.all(secretFiles(this.#options.env).map(path => readFile(path).catch(() => null)))
    return texts.map(text => text === null ? '' : createHash('sha256').update(text).digest('hex')).join()
  }

  async #take (held: string): Promise<void> {
    const { env, secrets, db, log } = this.#options
    try {
      const next = readConfig(env)
      await prove(db, next)
      const isFirst = this.#seen === undefined
      const left = secrets.use(next)
      if (!isFirst) {
        log(
          'info',
          `secrets were read again${left.length > 0 ? `; what else changed of ${left.join(' and ')} counts after a restart` : ''}`
        )
      }
      this.#reportedAt = performance.now()
    } catch (error) {
      if (!(error instanceof ConfigError) || !secrets.areProved) throw error
      log('error', `a changed secret is not taken, what was there before still counts: ${error.message.replaceAll('\n', '; ')}`)
    }
    this.#seen = held
  }

  async #report (): Promise<void> {
    const { secrets, db } = this.#options
    await named(reportKeys(db, markKeys(secrets)))
    this.#reportedAt = performance.now()
  }
}

const prove = (db: Database, config: Config): Promise<void> => named(proveKeys(db, markKeys(keySet(config)), config.MFA_ENCRYPTION_KEYS))

/** Says which variable it is. */
const named = (work: Promise<void>): Promise<void> => work.catch((error: unknown) => {
  throw error instanceof KeyError ? new ConfigError(variableOf[error.purpose], error.why) : error
})
