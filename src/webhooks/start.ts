import type { FastifyBaseLogger } from 'fastify'
import type { Secrets, Settings } from '../config/secrets.ts'
import type { Metrics } from '../http/plugins/metrics.ts'
import type { Database } from '../platform/db/client.ts'
import { webhookBody } from './event.ts'
import type { ClaimedWebhookEvent, Failure } from './outbox.sql.ts'
import { createWebhook } from './sender.ts'
import { startDelivering } from './worker.sql.ts'

export interface WebhooksOptions {
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

/** Delivers webhook events, where there is an endpoint. The log names an event, never its content. Answers how to stop it. */
export function startWebhooks ({ config, secrets, db, metrics, log, version, roundMs, timeout }: WebhooksOptions): () => Promise<void> {
  if (config.WEBHOOK_URL === undefined) return async () => {}
  const send = createWebhook({
    url: config.WEBHOOK_URL,
    secrets: () => secrets.webhook,
    isPrivateAllowed: config.WEBHOOK_ALLOW_PRIVATE,
    userAgent: `headless-mfa/${version}`
  }, timeout)

  async function deliver ({ id, event }: ClaimedWebhookEvent, signal: AbortSignal): Promise<Failure | null> {
    const { outcome, text } = await send({ id, body: JSON.stringify(webhookBody(event)) }, signal)
    metrics.delivery(outcome)
    // 410 Gone: the endpoint does not want this event.
    return outcome === 'delivered' ? null : { text, isFinal: outcome === 'gone', isInterrupted: outcome === 'interrupted' }
  }

  return startDelivering(db, {
    deliver,
    onError: error => { log.warn({ err: error }, 'delivering webhook events failed') },
    onParked: ({ tenant, id, attempt }, { text }) => {
      log.warn({ tenant, eventId: id, attempts: attempt, cause: text }, 'a webhook event is parked: see GET /admin/notices')
    },
    onEndpoint: failure => {
      failure === null
        ? log.info('the webhook endpoint accepts events again')
        : log.warn({ cause: failure.text }, 'the webhook endpoint accepts no events')
    }
  }, roundMs)
}
