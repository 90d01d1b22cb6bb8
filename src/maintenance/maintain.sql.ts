import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { holdingLock } from '../platform/db/migrate.ts'

export interface Maintained {
  /** Partitions, by name. */
  added: number
  dropped: string[]
  /** Tenants whose newest checkpoint does not say that so much may be gone; while there is one, nothing is dropped. */
  unsigned: string[]
  /** Kinds of users of which another number was kept than there are. */
  mended: number
}

const MONTHS_AHEAD = 3
/** Of the wait for a lock on all of the audit: logins queue behind it, and wait for a second at most. */
const LOCK_TIMEOUT = '300ms'
const TRIES = 60
/** Quiet tenants are signed once a day: their checkpoints may lag behind the retention by so much. */
const SIGNING_DAYS = 2

/**
 * Makes the partitions of the months to come, drops those of which every event is older than the retention, and counts
 * users anew. As the owner of the tables: the service's role may not.
 */
export async function maintain (databaseUrl: string, retentionDays: number): Promise<Maintained> {
  return await holdingLock(databaseUrl, async url => {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {}) // the statement hears of it
    await client.connect()
    try {
      await client.query(`SET lock_timeout = '${LOCK_TIMEOUT}'`)
      const added = await addPartitions(client)
      const since = await findStart(client, retentionDays + SIGNING_DAYS)
      const unsigned = await findUnsigned(client, since)
      return { added, dropped: unsigned.length > 0 ? [] : await dropOlder(client, since), unsigned, mended: await recount(client) }
    } finally {
      await client.end()
    }
  })
}

/** The first month (UTC) of which not everything is that many days old. */
async function findStart (client: pg.Client, days: number): Promise<Date> {
  const { rows } = await client.query<{ since: Date }>(
    "SELECT date_trunc('month', (now() - $1 * interval '24 hours') AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS since",
    [days]
  )
  return (rows[0] as { since: Date }).since
}

async function addPartitions (client: pg.Client): Promise<number> {
  let added = 0
  for (let month = 0; month <= MONTHS_AHEAD; month++) {
    const { rows } = await retried(() => client.query<{ added: boolean }>(
      `SELECT add_audit_partition(
        (date_trunc('month', now() AT TIME ZONE 'UTC') + $1 * interval '1 month') AT TIME ZONE 'UTC') AS added`,
      [month]
    ))
    if ((rows[0] as { added: boolean }).added) added++
  }
  return added
}

/** What each statement counts should be right; what is not, because a row was changed by hand, is put right here. */
async function recount (client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ tenant: string }>('SELECT tenant FROM users UNION SELECT tenant FROM current_tallies')
  let mended = 0
  for (const { tenant } of rows) {
    const { rows: [counted] } = await client.query<{ mended: number }>("SELECT (recount_users($1)->>'mended')::int AS mended", [tenant])
    mended += (counted as { mended: number }).mended
  }
  return mended
}

async function findUnsigned (client: pg.Client, since: Date): Promise<string[]> {
  const { rows } = await client.query<{ tenant: string }>(`
    SELECT h.tenant FROM audit_heads h
    WHERE NOT EXISTS (SELECT 1 FROM audit_checkpoints c WHERE c.tenant = h.tenant AND c.kept_since >= $1) ORDER BY h.tenant`, [since])
  return rows.map(({ tenant }) => tenant)
}

/**
 * Events first, then their links: a link without its event holds, where that was older than the retention; an event without
 * a link would not.
 */
async function dropOlder (client: pg.Client, since: Date): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(`
    SELECT relname AS name FROM pg_inherits JOIN pg_class ON oid = inhrelid
    WHERE inhparent = 'audit_events'::regclass AND relname ~ '^audit_events_[0-9]{4}_[0-9]{2}$'
      AND relname < to_char($1::timestamptz AT TIME ZONE 'UTC', '"audit_events_"YYYY_MM')
    ORDER BY relname`, [since])
  for (const { name } of rows) await retried(() => client.query(`DROP TABLE ${name}`))
  await client.query('DELETE FROM audit_events_default WHERE at < $1', [since])
  await client.query('DELETE FROM audit_pending WHERE at < $1', [since])
  // From its beginning up to a checkpoint of which every event is gone: that is where the chain begins from now on.
  const { rows: ends } = await client.query<{ tenant: string, count: string }>(
    'SELECT tenant, max(count) AS count FROM audit_checkpoints WHERE until < $1 GROUP BY tenant',
    [since]
  )
  for (const { tenant, count } of ends) {
    await client.query('BEGIN')
    await client.query('DELETE FROM audit_chain WHERE tenant = $1 AND position <= $2', [tenant, count])
    await client.query('DELETE FROM audit_checkpoints WHERE tenant = $1 AND count < $2', [tenant, count])
    await client.query('COMMIT')
  }
  return rows.map(({ name }) => name)
}

/** Waits in many short turns instead of one long one, in which all others would wait behind it. */
async function retried<T> (work: () => Promise<T>, tries = 1): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if ((error as { code?: string }).code !== '55P03' || tries === TRIES) throw error
  }
  await sleep(500)
  return await retried(work, tries + 1)
}
