// All that works by itself, as src/cli/serve.ts and a daily job start it: each with something to do, and what there must be when that
// is done, and done once.
import { randomUUID } from 'node:crypto'
import { startAudit } from '../../src/audit/start.ts'
import type { Config } from '../../src/config/config.ts'
import { Secrets } from '../../src/config/secrets.ts'
import { AuditMemory } from '../../src/audit/memory.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { signTenant } from '../../src/audit/checkpoint.sql.ts'
import { verifyTenant } from '../../src/audit/verify.sql.ts'
import { connect, type Database } from '../../src/platform/db/client.ts'
import { maintain } from '../../src/maintenance/maintain.sql.ts'
import { settleWanted } from '../../src/webhooks/outbox.sql.ts'
import { startRounds } from '../../src/platform/rounds.ts'
import { startSweeping } from '../../src/maintenance/sweep.sql.ts'
import { Metrics } from '../../src/http/plugins/metrics.ts'
import { startWebhooks } from '../../src/webhooks/start.ts'
import { execute } from './database.ts'
import type { Answering, TestEndpoint } from './webhook-endpoint.ts'

export interface Place { config: Config, secrets: Secrets, db: Database }

export const placeAt = (config: Config): Place => ({ config, secrets: new Secrets(config), db: connect(config.DATABASE_URL as string, 2) })

export interface Worker {
  name: string
  /** Something to do. */
  give: (place: Place) => Promise<unknown>
  /** Answers how to stop it. One that is in a hurry has short rounds, so that no test waits for it to begin. */
  start: (place: Place, isHurried: boolean) => () => Promise<void>
  /** What there is, and when all is done. */
  look: (place: Place, endpoint: TestEndpoint) => Promise<unknown>
  done: unknown
  answer?: Answering
}

const HURRIED_MS = 50
const log = { info: () => {}, warn: () => {}, error: () => {} } as never
const ignore = (): void => {}

/** Events of `users` users, as many of each as are asked for, from one address. */
const write = (db: Database, tenant: string, action: string, users: number, each: number): Promise<unknown> => db.rows`
  SELECT count(audit(${tenant}, 'user-' || u, ${action}, 'failure', 'totp', '{"address": "192.0.2.9"}', '{}')::text)
  FROM generate_series(1, ${each}::int) AS n, generate_series(1, ${users}::int) AS u`

const brokenOf = async ({ config, db }: Place, tenants: string[]): Promise<unknown[]> =>
  await Promise.all(tenants.map(async tenant => (await verifyTenant(db, tenant, config.MFA_SIGNING_KEYS)).broken))

const audit: Worker = {
  name: 'chaining, looking for attacks, checkpoints',
  async give ({ db }) {
    await settleWanted(db)
    await write(db, 'acme', 'totp.refused', 200, 1)
    await write(db, 'acme', 'totp.refused', 1, 4)
    await write(db, 'globex', 'totp.accepted', 2, 1)
  },
  // What is due each minute is due each second here.
  start ({ config, secrets, db }, isHurried) {
    const ms = isHurried ? HURRIED_MS : 1000
    const times = { leaseMs: ms, chainMs: ms, signMs: ms, watchMs: ms, lookMs: 10_000, checkMs: 20_000 }
    return startAudit({ config, secrets, db, memory: new AuditMemory(), metrics: new Metrics(), log, times })
  },
  async look (place) {
    const { db } = place
    const [row] = await db.rows<{ unchained: number }>`SELECT
      (SELECT jsonb_agg(e.action || ' ' || coalesce(e.subject, e.details->>'source', '*') ORDER BY e.action, e.details->>'source')
        FROM audit_events e WHERE e.action LIKE '%.suspected') AS suspected,
      (SELECT count(*)::int FROM webhook_events) AS sent,
      (SELECT count(*)::int FROM failures) AS failures,
      (SELECT count(*)::int FROM audit_pending) AS unchained,
      (SELECT jsonb_agg(jsonb_build_array(h.tenant, h.count,
        (SELECT count(*) FROM audit_chain c WHERE c.tenant = h.tenant),
        (SELECT count(*) FROM audit_events e WHERE e.tenant = h.tenant),
        (SELECT max(c.count) FROM audit_checkpoints c WHERE c.tenant = h.tenant)) ORDER BY h.tenant)
        FROM audit_heads h) AS counts`
    return { ...row, broken: row?.unchained === 0 && await brokenOf(place, ['acme', 'globex']) }
  },
  done: {
    suspected: ['guessing.suspected user-1', 'spray.suspected 192.0.2.9', 'spray.suspected *'],
    sent: 3,
    failures: 200,
    unchained: 0,
    counts: [['acme', 207, 207, 207, 207], ['globex', 2, 2, 2, 2]],
    broken: [null, null]
  }
}

const webhooks: Worker = {
  name: 'webhooks',
  async give ({ db }) {
    await settleWanted(db)
    await write(db, 'acme', 'user.reset', 3, 1)
    for (const action of ['bypass.used', 'user.unlocked']) await write(db, 'acme', action, 1, 1)
  },
  start ({ config, secrets, db }, isHurried) {
    const times = isHurried ? { roundMs: HURRIED_MS } : {}
    return startWebhooks({ config, secrets, db, metrics: new Metrics(), log, version: 'test', ...times })
  },
  // Of three users one takes so long that its claim is renewed, and one is answered that it is not wanted.
  answer (response, { body: { data } }) {
    if (data.userId === 'user-3') response.writeHead(410).end()
    else setTimeout(() => response.writeHead(204).end(), data.userId === 'user-2' ? 1500 : 0)
  },
  async look ({ db }, { accepted }) {
    const first = accepted.filter(({ id }, index) => accepted.findIndex(each => each.id === id) === index)
    const told = (userId: string): string[] => first.filter(({ body }) => body.data.userId === userId).map(({ body }) => body.type)
    const left = await db.rows`SELECT subject, failure, parked_at IS NOT NULL AS "isParked" FROM webhook_events`
    return { told: [told('user-1'), told('user-2')], left }
  },
  done: {
    told: [['user.reset', 'bypass.used', 'user.unlocked'], ['user.reset']],
    left: [{ subject: 'user-3', failure: 'answered 410', isParked: true }]
  }
}

const USER = randomUUID()
const KIND = randomUUID()

const sweeping: Worker = {
  name: 'sweeping, refusals, tallies',
  async give ({ config, db }) {
    const one = `'acme', '${USER}'`
    for (const [table, columns, values] of [
      ['users', 'tenant, id, namespace, subject, account', `${one}, 'x', 'x', 'x'`],
      ['mfa_sessions', 'tenant, user_id, issuer, session, expires_at', `${one}, 'x', 'ended', now()`],
      ['mfa_sessions', 'tenant, user_id, issuer, session, expires_at', `${one}, 'x', 'goes on', now() + interval '1 hour'`],
      ['enrollments', 'tenant, user_id, kind, factor_id, sealed, key_id, expires_at', `${one}, 'x', gen_random_uuid(), '', 'k', now()`],
      ['bypasses', 'tenant, user_id, id, hash, tag, pepper_id, expires_at', `${one}, gen_random_uuid(), '$2b$10$', 1, 'p', now()`],
      ['revocations', 'tenant, user_id, issuer, session, epoch, generation, at', `${one}, '', '', 1, 0, now() - interval '1 day'`],
      ['webhook_events', 'tenant, id, at, due_at', `${one}, now() - interval '40 days', now() + interval '1 day'`],
      ['failures', 'tenant, user_id, source, at', `${one}, 'x', now() - interval '2 days'`],
      ['suspicions', 'tenant, action, key, at', `${one}, 'x', now() - interval '2 days'`],
      [
        'refusals',
        'tenant, user_id, call, kind, reported_at, unreported, made_by',
          `${one}, 'totp', 'totp', now() - interval '1 hour', 3, '{}'`
      ]
    ]) await execute(config.DATABASE_URL as string, `INSERT INTO ${table} (${columns}) VALUES (${values})`)
    for (const tenant of ['acme', 'globex']) {
      await db.rows`INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change)
        SELECT ${tenant}, ${KIND}::uuid, true, '{}', '{}', 1 FROM generate_series(1, 1300)`
    }
  },
  start: ({ db }, isHurried) => startSweeping(db, ignore, ...isHurried ? [HURRIED_MS] : []),
  async look ({ db }) {
    const [row] = await db.rows`SELECT
      (SELECT jsonb_agg(session) FROM mfa_sessions) AS sessions,
      (SELECT count(*)::int FROM (SELECT tenant FROM enrollments UNION ALL SELECT tenant FROM bypasses
        UNION ALL SELECT tenant FROM revocations UNION ALL SELECT tenant FROM webhook_events
        UNION ALL SELECT tenant FROM failures UNION ALL SELECT tenant FROM suspicions) AS e) AS ended,
      (SELECT jsonb_agg(details->'count') FROM audit_events WHERE action = 'totp.refused') AS refusals,
      (SELECT count(*)::int FROM user_tally_changes) AS changes,
      (SELECT jsonb_agg(jsonb_build_array(tenant, users) ORDER BY tenant) FROM user_tallies) AS tallies`
    return row
  },
  done: { sessions: ['goes on'], ended: 0, refusals: [3], changes: 0, tallies: [['acme', 1300], ['globex', 1300]] }
}

const RETENTION_DAYS = 400

const partitions: Worker = {
  name: 'partitions, retention',
  async give ({ config, db }) {
    const url = config.DATABASE_URL as string
    await execute(url, `DO $$ BEGIN
      EXECUTE to_char(now() AT TIME ZONE 'UTC' + interval '3 months', '"DROP TABLE audit_events_"YYYY_MM');
    END $$`)
    await db.rows`SELECT add_audit_partition(now() - interval '500 days')`
    for (const days of [600, 500, 450, 1]) {
      await db.rows`
        WITH event AS (
          INSERT INTO audit_events (tenant, at, action, outcome)
          VALUES ('acme', now() - ${days}::int * interval '24 hours', 'totp.accepted', 'success') RETURNING tenant, at, id)
        INSERT INTO audit_pending SELECT tenant, at, id FROM event`
      await chainTenant(db, 'acme')
      await signTenant(db, 'acme', { keys: config.MFA_SIGNING_KEYS, retentionDays: RETENTION_DAYS, memory: new AuditMemory() })
      await db.rows`UPDATE audit_checkpoints SET at = (at AT TIME ZONE 'UTC' - interval '24 hours') AT TIME ZONE 'UTC'`
    }
    await execute(url, `
      INSERT INTO audit_events (tenant, at, action, outcome)
      VALUES ('globex', (now() AT TIME ZONE 'UTC' + interval '3 months') AT TIME ZONE 'UTC', 'totp.accepted', 'success');
      INSERT INTO users (tenant, id, namespace, subject, account) VALUES ('acme', '${USER}', 'x', 'x', 'x')`)
  },
  // As a daily job runs it again where it failed.
  start: ({ config }, isHurried) => startRounds(isHurried ? HURRIED_MS : 1000, ignore, async () => {
    await maintain(config.DATABASE_URL as string, RETENTION_DAYS)
  }),
  async look (place) {
    const [row] = await place.db.rows`SELECT
      (SELECT jsonb_agg(date_trunc('month', now() AT TIME ZONE 'UTC') + m * interval '1 month' ORDER BY m) FROM generate_series(0, 3) AS m)
        = (SELECT jsonb_agg(to_date(substr(relname, 14), 'YYYY_MM')::timestamp ORDER BY relname)
          FROM pg_inherits JOIN pg_class ON oid = inhrelid
          WHERE inhparent = 'audit_events'::regclass AND relname <> 'audit_events_default') AS "hasMonths",
      (SELECT count(*)::int FROM audit_events_default) AS strays,
      (SELECT jsonb_agg(position) FROM audit_chain) AS positions,
      (SELECT sum(users)::int FROM current_tallies) AS users`
    return { ...row as object, broken: await brokenOf(place, ['acme']) }
  },
  done: { hasMonths: true, strays: 0, positions: [4], users: 1, broken: [null] }
}

export const WORKERS: Worker[] = [audit, webhooks, sweeping, partitions]
