import type { FastifyBaseLogger } from 'fastify'
import type { Secrets, Settings } from '../config/secrets.ts'
import type { Metrics } from '../http/plugins/metrics.ts'
import type { Database } from '../platform/db/client.ts'
import { Lease } from '../platform/db/lease.ts'
import { startChecking } from './check.sql.ts'
import type { AuditMemory } from './memory.ts'
import { startWatching, watchAttempts } from './suspicions.sql.ts'
import type { Break } from './walk.sql.ts'
import { startChaining } from './worker.sql.ts'

export interface AuditOptions {
  config: Pick<Settings, 'AUDIT_RETENTION_DAYS'>
  /** The keys as they are now. */
  secrets: Pick<Secrets, 'signing'>
  db: Database
  memory: AuditMemory
  metrics: Metrics
  log: Pick<FastifyBaseLogger, 'info' | 'warn' | 'error'>
  /** Milliseconds. */
  times?: { leaseMs: number, chainMs: number, signMs: number, watchMs: number, lookMs: number, checkMs: number }
}

/** Chains and signs the audit, looks for attacks in it, and says what is wrong with it. Answers how to stop it. */
export function startAudit ({ config, secrets, db, memory, metrics, log, times }: AuditOptions): () => Promise<void> {
  const onError = (error: unknown): void => { log.warn({ err: error }, 'chaining the audit failed') }
  const onBroken = (tenant: string, brokenAt: Break): void => {
    metrics.auditBreak()
    log.error({ tenant, brokenAt }, 'the audit was changed')
  }
  const lease = new Lease(db, 'audit', onError, times?.leaseMs)
  startChaining(db, lease, {
    get keys () { return secrets.signing },
    retentionDays: config.AUDIT_RETENTION_DAYS,
    memory,
    onError,
    onBroken,
    look: events => watchAttempts(db, events),
    onChained: events => { for (const { action, outcome } of events) metrics.event(action, outcome) },
    onSigned: ({ tenant, count, digest }) => { log.info({ tenant, count, digest }, 'audit checkpoint') },
    onUnsigned: (tenant, error) => { log.error({ tenant, err: error }, 'the audit is not signed') }
  }, times)
  startWatching(db, lease, error => { log.warn({ err: error }, 'looking for attacks failed') }, times?.watchMs)
  const stopChecking = startChecking(db, {
    get keys () { return secrets.signing },
    memory,
    onError,
    onBroken,
    onLook: seconds => { metrics.auditWaiting(seconds) },
    onStalled: ({ tenant, since }) => { log.error({ tenant, waitingSince: since }, 'the audit is not chained any more') }
  }, times)
  return async () => {
    await lease.stop()
    await stopChecking()
  }
}
