import closeWithGrace from 'close-with-grace'
import type { DestinationStream } from 'pino'
import { createApp, VERSION } from '../app.ts'
import { AuditMemory } from '../audit/memory.ts'
import { startAudit } from '../audit/start.ts'
import type { Config } from '../config/config.ts'
import { Secrets } from '../config/secrets.ts'
import { Metrics } from '../http/plugins/metrics.ts'
import type { Tracing } from '../http/plugins/tracing.ts'
import { SecretKeeper } from '../keys/keeper.ts'
import { startSweeping } from '../maintenance/sweep.sql.ts'
import { type ClockNews, ClockSkew } from '../platform/clock-skew.ts'
import { connect } from '../platform/db/client.ts'
import { startComparingClocks } from '../platform/db/clock.ts'
import { startWebhooks } from '../webhooks/start.ts'
import { openLog } from './output.ts'

/** How long an end may take after that, in milliseconds: longer than a request. */
const END_MS = 12_000

/** What the machine says of a fault: no handler of JavaScript's can run after it, and the process would turn in the signal for ever. */
const FAULTS: NonNullable<closeWithGrace.Options['skip']> = ['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV']

const CLOCK_TEXTS: Record<ClockNews, string> = {
  off: 'the clock of this server is more than five seconds from that of the database',
  refusing: 'the clock of this server is more than 45 seconds from that of the database: it is not ready, and judges no code',
  healed: 'the clock of this server is that of the database again'
}

export interface Serving {
  origin: string
  /** Ends what was begun, in the order in which it may end, and the database last. */
  stop: (error?: Error) => Promise<void>
  /** A signal no longer ends it: the program that started it does. */
  ignoreSignals: () => void
}

export interface ServeOptions {
  env: NodeJS.ProcessEnv
  config: Config
  database: { url?: string, stop: () => Promise<void> }
  /** Hears why what is running must not go on. */
  onUnfit: (error: unknown) => never
  /** The time of codes and tokens, where it is not the machine's. */
  clock?: () => Date
}

/** The service with its workers, on its socket. */
export async function serve ({ env, config, database, onUnfit, clock }: ServeOptions): Promise<Serving> {
  process.on('SIGUSR1', () => {}) // else it opens the inspector, where Node is run without --disable-sigusr1
  const secrets = new Secrets(config, false)
  const db = connect(() => secrets.databaseUrl ?? database.url as string, config.DATABASE_POOL)
  const metrics = new Metrics()
  metrics.collectProcess()
  const memory = new AuditMemory()
  const skew = new ClockSkew()
  const tracing = await traceTo(config.OTEL_EXPORTER_OTLP_ENDPOINT)
  const logStream = await openTerminalLog(config) ?? openLog({
    onLost: () => { metrics.logLineLost() },
    onWritable: lost => { app.log.warn({ lost }, 'lines of the log are lost: it could not be written') }
  })
  const app = await createApp({
    config,
    secrets,
    db,
    memory,
    skew,
    metrics,
    logStream,
    ...(tracing !== undefined && { tracing }),
    ...(clock !== undefined && { clock })
  })
  for (const warning of config.WARNINGS) app.log.warn(warning)

  const keeper = new SecretKeeper({ env, secrets, db, log: (level, text, err) => { app.log[level]({ err }, text) }, onUnfit })
  const workers: Array<() => Promise<void>> = []
  const end = async (error?: Error): Promise<void> => {
    if (error === undefined && app.server.listening) await app.drain.run(config.PRE_STOP_SECONDS * 1000)
    if (error !== undefined) app.log.fatal({ err: error }, 'unexpected error: stopping')
    await keeper.stop()
    for (const stopWorker of workers) await stopWorker()
    await app.close()
    await db.close()
    await tracing?.stop().catch((lost: unknown) => { app.log.warn({ err: lost }, 'the last traces are lost') })
    await database.stop()
  }
  let stopping: Promise<void> | undefined
  const stop = (error?: Error): Promise<void> => (stopping ??= end(error))
  const signals = closeWithGrace(
    { skip: FAULTS, delay: END_MS + config.PRE_STOP_SECONDS * 1000, logger: undefined },
    ({ err }) => stop(err)
  )

  await keeper.prove()
  // A signal came meanwhile, and ends the process.
  if (stopping !== undefined) await new Promise(() => {})
  await keeper.start()
  workers.push(
    startSweeping(db, error => { app.log.warn({ err: error }, 'the sweep of ended rows failed') }),
    startAudit({ config, secrets, db, memory, metrics, log: app.log }),
    startWebhooks({ config, secrets, db, metrics, log: app.log, version: VERSION })
  )
  const onNews = (news: ClockNews, seconds: number): void => {
    app.log[news === 'healed' ? 'info' : 'warn']({ seconds }, CLOCK_TEXTS[news])
  }
  // One that is given is not meant to be the machine's.
  if (clock === undefined) workers.push(await startComparingClocks(db, skew, { onNews }))
  await app.listen({ host: config.HOST, port: config.PORT })
  if (config.ADMIN_PORT !== undefined) app.log.info(`Administration at ${await app.listenAdmin(config.ADMIN_HOST, config.ADMIN_PORT)}`)
  return { origin: app.listeningOrigin, stop, ignoreSignals: signals.uninstall }
}

/** For a developer who reads along. Undefined elsewhere, and where what makes lines pretty is not installed: a log is JSON then. */
async function openTerminalLog ({ NODE_ENV }: Config): Promise<DestinationStream | undefined> {
  if (NODE_ENV !== 'development' || !process.stdout.isTTY) return undefined
  return await import('./pretty.ts').then(({ openPrettyLog }) => openPrettyLog(), () => undefined)
}

/** Loaded only where it is wanted: it takes as much memory as all the rest. */
async function traceTo (endpoint: string | undefined): Promise<Tracing | undefined> {
  return endpoint === undefined ? undefined : (await import('../http/plugins/tracing.ts')).startTracing(endpoint, VERSION)
}
