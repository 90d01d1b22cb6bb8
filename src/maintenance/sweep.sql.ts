import { reportRefusals } from '../factors/refusals.sql.ts'
import type { Database } from '../platform/db/client.ts'
import { startRounds } from '../platform/rounds.ts'
import { REVOCATION_SECONDS } from '../sessions/revocations.ts'
import { foldTallies } from '../users/tallies.sql.ts'

const INTERVAL_MS = 60_000
/** How long a webhook event stays that could not be delivered. Less than an audit event does. */
const WEBHOOK_EVENT_DAYS = 30

/** No policy lets a device be trusted for longer. */
const DEVICE_DAYS = 30

/**
 * Removes what has ended: remembered sessions, trusted devices, enrollments that were not confirmed, codes of administrators,
 * revocations that no token is older than, webhook events that could not be delivered, what attacks are seen by. Answers how many rows
 * went. Reports refused codes that were not reported yet, and keeps the changes few that reports add up.
 */
export async function sweep (db: Database): Promise<number> {
  const sessions = await db.reports`DELETE FROM mfa_sessions WHERE expires_at < now() RETURNING 1`
  const enrollments = await db.reports`DELETE FROM enrollments WHERE expires_at < now() RETURNING 1`
  const bypasses = await db.reports`DELETE FROM bypasses WHERE expires_at < now() RETURNING 1`
  const devices = await db.reports`DELETE FROM devices WHERE earned_at < now() - ${DEVICE_DAYS}::int * interval '24 hours' RETURNING 1`
  const revocations = await db
    .reports`DELETE FROM revocations WHERE at < now() - ${REVOCATION_SECONDS}::int * interval '1 second' RETURNING 1`
  const webhookEvents = await db
    .reports`DELETE FROM webhook_events WHERE at < now() - ${WEBHOOK_EVENT_DAYS}::int * interval '24 hours' RETURNING 1`
  const failures = await db.reports`DELETE FROM failures WHERE at < now() - interval '24 hours' RETURNING 1`
  const suspicions = await db.reports`DELETE FROM suspicions WHERE at < now() - interval '24 hours' RETURNING 1`
  await reportRefusals(db)
  await foldTallies(db)
  const swept = [sessions, enrollments, bypasses, devices, revocations, webhookEvents, failures, suspicions]
  return swept.reduce((count, rows) => count + rows.length, 0)
}

/**
 * Sweeps every minute on each replica, at moments of its own; soon after a start, and soon again after a sweep that failed, so that a crash
 * costs no more than the minute and some seconds. Answers how to stop it.
 */
export const startSweeping = (db: Database, onError: (error: unknown) => void, intervalMs = INTERVAL_MS): () => Promise<void> =>
  startRounds(intervalMs, onError, async () => { await sweep(db) })
