// No page and no figure reads all that there is: PostgreSQL is asked what it would do, with enough users for it to choose.
import pg from 'pg'
import t from 'tap'
import { findEvents } from '../../../src/audit/store.ts'
import { findUndelivered } from '../../../src/webhooks/store.ts'
import { countPreview } from '../../../src/policy/preview/store.ts'
import { countStats } from '../../../src/users/admin/stats/store.ts'
import type { Judging } from '../../../src/users/open-users.sql.ts'
import { findUsers, type UserFilter } from '../../../src/users/admin/list/store.ts'
import { DEFAULT_POLICY, type Policy } from '../../../src/policy/policy.ts'
import { connect, type Database } from '../../../src/platform/db/client.ts'
import sql from 'sql-template-tag'
import { findDueWebhookEvents } from '../../../src/webhooks/outbox.sql.ts'
import { fillAudit, fillUsers, SOURCE } from '../../../bench/users.ts'
import { nodesOf, ownDatabase } from '../../helpers/database.ts'

const USERS = 20_000
const EVENTS = 60_000
const TENANT = 'big'
const SOURCES = ['', SOURCE]

const { url } = await ownDatabase(t)
const client = new pg.Client({ connectionString: url })
await client.connect()
await fillUsers(client, TENANT, USERS)
await fillUsers(client, 'small', 10)
await fillAudit(client, TENANT, EVENTS)
// As after a day without the endpoint: half of them are tried again and again.
await client.query(
  "INSERT INTO webhook_events (tenant, id, at, subject, due_at, failure, tried_at) SELECT tenant, id, at, coalesce(subject, ''), now() " +
  "+ (random() - 0.5) * interval '1 hour', 'answered 503', now() FROM audit_events"
)
await client.query('VACUUM ANALYZE')
t.teardown(() => client.end())

const db = connect(url, 5)
t.teardown(() => db.close())

/** The same database, which keeps the plans of all that is asked. */
function planning (plans: unknown[]): Database {
  const explained: Database['rows'] = async (strings, ...values) => {
    // As it is sent to PostgreSQL: with the parameters of its fragments.
    const { text, values: parameters } = sql(strings, ...values)
    const { rows } = await client.query({ text: `EXPLAIN (FORMAT JSON) ${text}`, values: parameters })
    plans.push(rows[0]['QUERY PLAN'][0].Plan)
    return await db.reports(strings, ...values)
  }
  return { ...db, reports: explained, rows: explained }
}

interface Node { 'Node Type': string, 'Relation Name'?: string, Plans?: Node[], 'Distributed Query'?: { Job: { 'Task Count': number } } }

const nodes = (plan: Node): Node[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)]

const isCitus = (await nodesOf(url)).length > 1
const { rows: months } = isCitus
  ? { rows: [] }
  : await client.query<{ name: string }>('SELECT DISTINCT tableoid::regclass::text AS name FROM audit_events')
/** Of a partition without events it is the same to read all. */
const LARGE = new Set([
  'users',
  'factors',
  'throttles',
  'recovery_codes',
  'recovery_sets',
  'webhook_events',
  ...months.map(({ name }) => name)
])

/**
 * The tables that the reports of `work` read from end to end. Of Citus, whose workers plan by themselves, how many shards are
 * asked by each that asks for more than the tenant's one.
 */
async function scans (work: (db: Database) => Promise<unknown>): Promise<unknown[]> {
  const plans: Node[] = []
  await work(planning(plans))
  if (plans.length === 0) throw new Error('nothing was asked')
  if (isCitus) return plans.flatMap(nodes).flatMap(node => node['Distributed Query']?.Job['Task Count'] ?? []).filter(count => count !== 1)
  return plans.flatMap(nodes).filter(node => node['Node Type'].includes('Seq Scan')).map(node => node['Relation Name'] as string).filter(
    name => LARGE.has(name)
  )
}

const required: Policy = { ...DEFAULT_POLICY, enforcement: 'required' }
const DRAFTS: Array<Partial<Policy>> = [
  {},
  { groups: ['g1', 'h2'] },
  { gracePeriodDays: 30 },
  { ssoRule: 'none' },
  { ssoRule: 'exempt_sso_session' },
  { enforcement: 'report_only' },
  { enforcement: 'optional' },
  { enforceFrom: new Date('2199-01-01') }
]

t.test('a preview reads no user one by one who has no deadline of their own', async t => {
  for (const draft of DRAFTS) {
    for (const rules of [[{ ...required, ...draft }], [required, { ...required, ...draft, maxGraceDays: 9, maxExemptionDays: 5 }]]) {
      t.same(await scans(db => countPreview(db, TENANT, { rules, sources: SOURCES, rpId: undefined })), [], JSON.stringify(draft))
    }
  }
})

const judging = (rule: Policy): Judging => ({ rules: [rule], sources: SOURCES, rpId: undefined })

t.test('no page of users is found by reading everyone, whatever is asked', async t => {
  const someone = { tenant: TENANT, areAdministratorsHidden: false }
  const filters: Array<Partial<UserFilter>> = [
    {},
    { subject: 'user-4711' },
    { account: 'USER-4711@example.com' },
    { namespace: SOURCE },
    { namespace: 'none' },
    { group: 'all' },
    { group: 'g1' },
    { group: 'none' },
    ...(['enrolled', 'not_enrolled', 'must_enroll', 'in_grace', 'exempt', 'locked', 'disabled'] as const).flatMap(
      status => [{ status }, { status, group: 'g1' }, { status, subject: 'user-1' }]
    ),
    { deadlineBefore: new Date() },
    { deadlineBefore: new Date('2199-01-01') },
    { areAdministratorsHidden: true },
    { areAdministratorsHidden: true, status: 'must_enroll' }
  ]
  const ofPolicy = filters.filter(({ status, deadlineBefore }) =>
    ['must_enroll', 'in_grace', 'exempt'].includes(status as string) || deadlineBefore !== undefined
  )
  for (const [index, draft] of DRAFTS.entries()) {
    for (const filter of index === 0 ? filters : ofPolicy) {
      for (const cursor of index === 0 ? [undefined, '7fffffff-ffff-4fff-bfff-ffffffffffff'] : [undefined]) {
        t.same(
          await scans(db => findUsers(db, { ...someone, ...filter }, judging({ ...required, ...draft }), cursor, 51)),
          [],
          JSON.stringify([draft, filter, cursor])
        )
      }
    }
  }
})

t.test('figures are counted from indexes', async t => {
  t.same(await scans(db => countStats(db, TENANT, SOURCES)), [])
})

t.test('no page of the audit is found by reading all of a month', async t => {
  const { rows: [{ userId, at }] } = await client.query(
    'SELECT subject AS "userId", at FROM audit_events WHERE tenant = $1 ORDER BY at OFFSET 500 LIMIT 1',
    [TENANT]
  )
  const filters = [
    {},
    { userId },
    { subject: 'user-7' },
    { actorId: userId },
    { action: 'totp.accepted' },
    { action: 'totp.refused' },
    { action: 'policy.changed' },
    { from: at },
    { to: at },
    { from: at, to: new Date() },
    { userId, action: 'totp.refused' },
    { actorId: userId, from: at }
  ]
  for (const filter of filters) {
    for (const cursor of [undefined, '1764000000000000_7fffffff-ffff-4fff-bfff-ffffffffffff']) {
      t.same(await scans(db => findEvents(db, { tenant: TENANT, ...filter }, cursor, 51)), [], JSON.stringify([filter, cursor]))
    }
  }
})

t.test('what is due is found, and a page of what was not delivered, without reading all that waits', async t => {
  // Of all tenants, so of all shards.
  t.same(await scans(db => findDueWebhookEvents(db, 100)), isCitus ? [2] : [])
  for (const cursor of [undefined, '1764000000000000_7fffffff-ffff-4fff-bfff-ffffffffffff']) {
    t.same(await scans(db => findUndelivered(db, TENANT, cursor, 51)), [], cursor ?? 'first')
  }
})

t.test('logins read their own users\' rows and no others, alone or together', async t => {
  const users = await db.rows<
    { userId: string, factorId: string }
  >`SELECT user_id::text AS "userId", id::text AS "factorId" FROM factors WHERE tenant = ${TENANT} LIMIT 8`
  const [userIds, epochs, factors, steps, nulls, bys] = ['userId', 1, 'factorId', 9_999_999, null, {}].map(value =>
    users.map(user => user[value as keyof typeof user] ?? value)
  ) as [unknown[], unknown[], unknown[], unknown[], unknown[], unknown[]]
  const limits = { waits: [0], maxWait: 0, lock: 100, day: 100, month: 100 }
  const scanned = async (call: string, values: unknown[]): Promise<string[]> => {
    // PostgreSQL counts by connection, and tells the others a moment later: this one has read nothing yet.
    const own = new pg.Client({ connectionString: url })
    await own.connect()
    try {
      await own.query('BEGIN')
      await own.query(`SELECT ${call}`, values)
      const { rows } = await own.query(
        'SELECT relname FROM pg_stat_xact_user_tables WHERE coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) > 100'
      )
      await own.query('ROLLBACK')
      return rows.map(({ relname }) => relname)
    } finally {
      await own.end()
    }
  }
  const alone = [userIds, epochs, factors, steps, nulls, bys].map(([first]) => first)
  t.same(await scanned('find_users($1, NULL, $2::text[], $3::text[], true)', [TENANT, userIds, ['s']]), [])
  t.same(await scanned("accept_factor($1, $2::uuid, 'totp', $3::int, $4::uuid, $5::bigint, $6::jsonb, $7::jsonb)", [TENANT, ...alone]), [])
  t.same(
    await scanned("accept_factors($1, 'totp', $2::uuid[], $3::int[], $4::uuid[], $5::bigint[], $6::jsonb[], $7::jsonb[])", [
      TENANT,
      userIds,
      epochs,
      factors,
      steps,
      nulls,
      bys
    ]),
    []
  )
  t.same(
    await scanned("refuse_factors($1, 'totp', $2::jsonb, $3::uuid[], $4::int[], $5::uuid[], $6::jsonb[], $7::jsonb[])", [
      TENANT,
      limits,
      userIds,
      epochs,
      nulls,
      nulls,
      bys
    ]),
    []
  )
})

t.test('what changes at each login is in no index, so that the row\'s next version needs no entry in any', async t => {
  const changing = {
    users: ['epoch', 'revision', 'recovered_at', 'reported_version'],
    factors: ['counter', 'last_used_at'],
    throttles: ['failures', 'tries', 'wait_until', 'recent'],
    user_tallies: ['users']
  }
  for (const [table, columns] of Object.entries(changing)) {
    const { rows } = await client.query<{ definition: string }>('SELECT indexdef AS definition FROM pg_indexes WHERE tablename = $1', [
      table
    ])
    t.ok(rows.length > 0, table)
    for (const column of columns) {
      t.same(
        rows.filter(({ definition }) => new RegExp(`\\b${column}\\b`).test(definition.replace(/^.* USING /, ''))),
        [],
        `${table}.${column}`
      )
    }
  }
})
