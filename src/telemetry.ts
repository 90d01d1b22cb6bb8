import type { FastifyInstance } from 'fastify'
import type { Metrics } from './http/plugins/metrics.ts'
import type { Tracing } from './http/plugins/tracing.ts'
import type { Hashing } from './platform/bcrypt/hashing.ts'
import type { Database } from './platform/db/client.ts'
import type { ConnectionEvent } from './platform/db/connection-news.ts'
import { countWebhookEvents } from './webhooks/outbox.sql.ts'

/** Hashes, with the time that they take and wait. */
export const timed = (hasher: Hashing, metrics: Metrics): Hashing => ({
  hash: (text, until) => metrics.timeAsync('bcrypt_hash', () => hasher.hash(text, until)),
  hashLast: (text, until) => metrics.timeAsync('bcrypt_hash', () => hasher.hashLast(text, until)),
  compare: (text, hash, until) => metrics.timeAsync('bcrypt_compare', () => hasher.compare(text, hash, until))
})

/** What the log and the metrics are told of connections, settlements and the outbox. */
export function watchDatabase (app: FastifyInstance, db: Database, metrics: Metrics, tracing: Tracing | undefined): void {
  db.onConnection = ({ kind, isOver, error }) => {
    metrics.connection(kind)
    if (isOver === true) app.log.info({ event: kind }, `it is over: ${CONNECTION_TEXTS[kind]}`)
    else app.log.warn({ event: kind, err: error }, CONNECTION_TEXTS[kind])
  }
  db.onSettled = (name, { outcome }, seconds) => {
    metrics.settlement(name, outcome, seconds)
    tracing?.settlement(name, outcome, seconds)
  }
  metrics.watch('mfa_database_connections', 'Connections of the pool, and calls that wait for one.', 'state', db.connections)
  metrics.watch(
    'mfa_notices',
    'Webhook events of all replicas that wait for their first try, for another, or for an administrator.',
    'state',
    () => countWebhookEvents(db)
  )
}

const CONNECTION_TEXTS: Record<ConnectionEvent['kind'], string> = {
  broken: 'a database connection broke',
  moved: 'the database URL leads to another server: all connections begin again',
  read_only: 'the database takes writes again: all connections begin again',
  unreachable: 'there is no new connection to the database',
  no_writes: 'the database takes no writes',
  unbounded:
    'the database has no statement_timeout for this role, and the pooler takes no limit ' +
    'from here: ALTER ROLE … SET statement_timeout (docs/scaling.md)'
}
