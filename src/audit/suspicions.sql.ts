import sql from 'sql-template-tag'
import { FactorKinds } from '../factors/registry.ts'
import { sourceOf } from '../platform/address.ts'
import type { Database } from '../platform/db/client.ts'
import type { Lease } from '../platform/db/lease.ts'
import type { ChainedEvent } from './chain.ts'

/** So many users failing in an hour from one source are no company on a Monday morning. */
const SPRAYED_USERS = 200
const LOOK_MS = 60_000

/** A code that was sent: what came of it, and from where. */
interface Attempt extends ChainedEvent { subject: string, address: string }

const { refused: REFUSED, accepted: ACCEPTED } = new FactorKinds()

/** A code that was spent, or a recovery code that was mistyped, is no guess: it has cost no attempt. */
const isGuess = ({ action, details }: ChainedEvent): boolean => REFUSED.includes(action) && JSON.parse(details)?.cause === undefined

/**
 * Looks at events of one tenant as they are chained: enters who failed, and suspects guessing where a user has failed often,
 * or passes after that. No login waits for it, and it waits for none.
 */
export async function watchAttempts (db: Database, events: ChainedEvent[]): Promise<void> {
  const attempts = events.filter((event): event is Attempt => event.subject !== null && event.address !== null)
  const refused = attempts.filter(isGuess)
  if (refused.length > 0) await settleFailures(db, refused)
  for (const [outcome, some] of [['failure', refused], ['success', attempts.filter(({ action }) => ACCEPTED.includes(action))]] as const) {
    for (const attempt of await findGuessing(db, outcome, some)) await settleGuessing(db, attempt, outcome)
  }
}

const settleFailures = (db: Database, attempts: [Attempt, ...Attempt[]] | Attempt[]): Promise<unknown> =>
  db.settle(
    'record_failures',
    sql`${(attempts[0] as Attempt).tenant}, ${attempts.map(({ subject }) => subject)}::text[],
      ${attempts.map(({ address }) => sourceOf(address))}::text[],
    ${attempts.map(({ at }) => at)}::text[]::timestamptz[]`)

/** The attempts for which `suspect_guessing` may answer something other than `few` or `known`, in one query. */
async function findGuessing (db: Database, outcome: 'failure' | 'success', attempts: Attempt[]): Promise<Attempt[]> {
  if (attempts.length === 0) return []
  const { tenant } = attempts[0] as Attempt
  const found = await db.rows<{ n: number }>`
    SELECT a.n::int FROM unnest(${attempts.map(({ subject }) => subject)}::text[],
      ${attempts.map(({ at }) => at)}::text[]::timestamptz[]) WITH ORDINALITY AS a (subject, at, n)
    WHERE EXISTS (SELECT 1 FROM failures f WHERE f.tenant = ${tenant} AND f.user_id = a.subject)
      AND NOT EXISTS (SELECT 1 FROM suspicions s WHERE s.tenant = ${tenant} AND s.action = 'guessing.suspected'
        AND s.key = a.subject || ' ' || ${outcome} AND s.at > now() - interval '24 hours')
      AND (SELECT count(*) FROM (
        SELECT 1 FROM audit_events e WHERE e.tenant = ${tenant} AND e.subject = a.subject AND e.at > a.at - interval '24 hours'
          AND e.at <= a.at
          AND e.action = ANY(${REFUSED}::text[]) AND e.details->'cause' IS NULL LIMIT 5) AS failed) = 5
    ORDER BY a.n`
  return found.map(({ n }) => attempts[n - 1] as Attempt)
}

/** Decides that it is reported once in 24 hours: `suspected`, else `known` or `few`. */
const settleGuessing = (
  db: Database,
  { tenant, subject, at, factorKind, address, requestId }: Attempt,
  outcome: 'failure' | 'success'
): Promise<unknown> =>
  db.settle(
    'suspect_guessing',
    sql`${tenant}, ${subject}, ${at}::timestamptz, ${outcome}, ${factorKind}, ${REFUSED}::text[], ${{ address, requestId }}::jsonb`
  )

interface Spray { tenant: string, source: string | null, users: number }

/** Looks for codes that are tried on many users: from one source, over all tenants; and in one tenant, from wherever. */
export async function watchSprays (db: Database): Promise<void> {
  const sprays = await db.reports<Spray>`
    SELECT tenant, source, count(*)::int AS users FROM failures
    WHERE at > now() - interval '1 hour'
      AND source IN (SELECT source FROM failures WHERE at > now() - interval '1 hour' GROUP BY source
        HAVING count(*) >= ${SPRAYED_USERS}::int)
    GROUP BY tenant, source
    UNION ALL
    SELECT tenant, NULL, count(DISTINCT user_id)::int FROM failures
    WHERE at > now() - interval '1 hour'
    GROUP BY tenant HAVING count(DISTINCT user_id) >= ${SPRAYED_USERS}::int`
  for (const { tenant, source, users } of sprays) {
    await db.settle('suspect_spray', sql`${tenant}, ${source}, ${users}::int,
    ${ACCEPTED}::text[]`)
  }
}

/** Every minute, on the one replica that holds the lease. */
export const startWatching = (db: Database, lease: Lease, onError: (error: unknown) => void, intervalMs = LOOK_MS): void => {
  lease.every(intervalMs, onError, () => watchSprays(db))
}
