import type { FastifyBaseLogger } from 'fastify'
import type { Secrets, Settings } from '../config/secrets.ts'
import type { Metrics } from '../http/plugins/metrics.ts'
import type { Database } from '../platform/db/client.ts'
import { noticeBody } from './event.ts'
import type { ClaimedNotice, Failure } from './outbox.sql.ts'
import { createWebhook } from './sender.ts'
import { startDelivering } from './worker.sql.ts'

export interface NoticesOptions {
  config: Pick<Settings, 'WEBHOOK_URL' | 'WEBHOOK_ALLOW_PRIVATE'>
  secrets: Pick<Secrets, 'webhook'>
  db: Database
  metrics: Metrics
  log: Pick<FastifyBaseLogger, 'info' | 'warn'>
  version: string
  /** Milliseconds. */
  roundMs?: number
  timeout?: number
}

/**
 * Delivers notices, where there is a receiver. The log names a notice and never says what is in it. Answers how to stop it.
 */
export function startNotices ({ config, secrets, db, metrics, log, version, roundMs, timeout }: NoticesOptions): () => Promise<void> {
  if (config.WEBHOOK_URL === undefined) return async () => {}
  const send = createWebhook({ url: config.WEBHOOK_URL, secrets: () => secrets.webhook, isPrivateAllowed: config.WEBHOOK_ALLOW_PRIVATE, userAgent: `headless-mfa/${version}` }, timeout)

  async function deliver ({ id, event }: ClaimedNotice, signal: AbortSignal): Promise<Failure | null> {
    const { outcome, text } = await send({ id, body: JSON.stringify(noticeBody(event)) }, signal)
    metrics.delivery(outcome)
    // 410 Gone: the receiver wants no more of it.
    return outcome === 'delivered' ? null : { text, isFinal: outcome === 'gone', isInterrupted: outcome === 'interrupted' }
  }

  return startDelivering(db, {
    deliver,
    onError: error => { log.warn({ err: error }, 'delivering notices failed') },
    onParked: ({ tenant, id, attempt }, { text }) => { log.warn({ tenant, noticeId: id, attempts: attempt, cause: text }, 'a notice is parked: see GET /admin/notices') },
    onReceiver: failure => { failure === null ? log.info('the receiver takes notices again') : log.warn({ cause: failure.text }, 'the receiver takes no notices') }
  }, roundMs)
}
