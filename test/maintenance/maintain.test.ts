// Retention: what is older goes by the month, and what stays can still be verified.
import pg from 'pg'
import t, { type Test } from 'tap'
import { AuditMemory } from '../../src/audit/memory.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { findUnsigned, signTenant } from '../../src/audit/checkpoint.sql.ts'
import { verifyTenant } from '../../src/audit/verify.sql.ts'
import { maintain } from '../../src/maintenance/maintain.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { startProxy } from '../helpers/proxy.ts'
import { type Service, startService } from '../helpers/service.ts'

async function start (t: Test): Promise<{ service: Service, url: string }> {
  const { url } = await ownDatabase(t)
  return { service: await startService(t, { DATABASE_URL: url }), url }
}

/** An event of so many days ago, entered as the service does. */
async function write ({ db }: Service, tenant: string, daysAgo: number): Promise<void> {
  await db.rows`
    WITH event AS (INSERT INTO audit_events (tenant, at, action, outcome)
      VALUES (${tenant}, now() - ${daysAgo}::int * interval '24 hours', 'totp.accepted', 'success') RETURNING tenant, at, id)
    INSERT INTO audit_pending SELECT tenant, at, id FROM event`
}

const sign = ({ db, config }: Service, tenant: string, retentionDays = 400): Promise<unknown> =>
  signTenant(db, tenant, { keys: config.MFA_SIGNING_KEYS, retentionDays, memory: new AuditMemory() })
const verify = ({ db, config }: Service, tenant: string): ReturnType<typeof verifyTenant> =>
  verifyTenant(db, tenant, config.MFA_SIGNING_KEYS)

/** As if the checkpoints so far were of days before. */
const age = ({ db }: Service, tenant: string): Promise<unknown> =>
  db.rows`UPDATE audit_checkpoints SET at = (at AT TIME ZONE 'UTC' - interval '48 hours') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}`

/** Two events of long ago, signed as the end of that day; then a late one of long ago and two of now. */
async function fill (service: Service, tenant: string): Promise<void> {
  const { db } = service
  await db.rows`SELECT add_audit_partition(now() - 500 * interval '24 hours')`
  for (const daysAgo of [600, 500]) await write(service, tenant, daysAgo)
  await chainTenant(db, tenant)
  await sign(service, tenant)
  await age(service, tenant)
  await write(service, tenant, 1)
  await chainTenant(db, tenant)
  await write(service, tenant, 500)
  await chainTenant(db, tenant)
  await write(service, tenant, 0)
  await chainTenant(db, tenant)
  await sign(service, tenant)
}

const positions = async ({ db }: Service, tenant: string): Promise<number[]> =>
  (await db.rows<{ position: number }>`SELECT position::int FROM audit_chain WHERE tenant = ${tenant} ORDER BY position`).map((
    { position }
  ) => position)

t.test('events that are older than the retention go, by the month, with their part of the chain; the rest verifies', async t => {
  const { service, url } = await start(t)
  const [busy, quiet] = ['busy', 'quiet']
  await fill(service, busy)
  await write(service, quiet, 450)
  await chainTenant(service.db, quiet)
  await sign(service, quiet)
  await write(service, busy, 450)
  t.match(await verify(service, busy), { events: 6, broken: null, waitingSince: /^20/ })

  const done = await maintain(url, 400)
  t.match(done, { added: 0, unsigned: [] })
  t.equal(done.dropped.length, 1)
  t.same(await verify(service, busy), { events: 2, broken: null })
  t.same(await positions(service, busy), [3, 4, 5], 'a late one keeps its link')
  t.same(await verify(service, quiet), { events: 0, broken: null })
  t.same(await positions(service, quiet), [], 'and a tenant without rows keeps its count')

  for (const tenant of [busy, quiet]) {
    await write(service, tenant, 0)
    t.equal(await chainTenant(service.db, tenant), 1)
    t.match(await sign(service, tenant), { tenant })
    t.equal((await verify(service, tenant)).broken, null)
  }
  t.match(await maintain(url, 400), { added: 0, dropped: [], unsigned: [] }, 'once')
})

t.test('what is not so old is not taken for what retention has removed', async t => {
  const { service, url } = await start(t)
  const tenant = 'a'
  await fill(service, tenant)
  await maintain(url, 400)
  await service.db.rows`DELETE FROM audit_events WHERE tenant = ${tenant} AND at < now() - interval '12 hours'`
  t.match((await verify(service, tenant)).broken, { position: 3, cause: 'missing' })
  await service.db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position = 3`
  t.match((await verify(service, tenant)).broken, { position: 3, cause: 'missing' })
  await service.db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant} AND position = 4`
  t.match((await verify(service, tenant)).broken, { position: 3, cause: 'missing' }, 'nor with a longer cut')
})

t.test('while no checkpoint says that so much may be gone, nothing is dropped', async t => {
  const { service, url } = await start(t)
  const tenant = 'a'
  await fill(service, tenant)
  t.same(await findUnsigned(service.db, 400), [])
  await service.db
    .rows`INSERT INTO audit_events (tenant, at, action, outcome) VALUES ('b', now() - interval '60 days', 'totp.accepted', 'success')`
  t.same(await maintain(url, 30), { added: 0, dropped: [], unsigned: [tenant], mended: 0 })
  t.equal((await verify(service, tenant)).broken, null)
  t.same(await findUnsigned(service.db, 30), [tenant], 'it is due when the retention changes')
  await sign(service, tenant, 30)
  t.same((await maintain(url, 30)).unsigned, [])
  t.same(await verify(service, tenant), { events: 2, broken: null })
  await sign(service, tenant, 400)
  t.same(await verify(service, tenant), { events: 2, broken: null }, 'and a longer one later does not call it broken')
  await age(service, tenant)
  t.same(await findUnsigned(service.db, 400), [tenant], 'and once a day')
})

t.test('partitions of the months to come are made, also where events have come before them', async t => {
  const { service, url } = await start(t)
  const { db } = service
  const month = async (months: number): Promise<string> =>
    (await db.rows<
      { name: string }
    >`SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + ${months}::int * interval '1 month',
      '"audit_events_"YYYY_MM') AS name`)[
      0
    ]?.name as string
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  for (const months of [0, 3]) await client.query(`DROP TABLE ${await month(months)}`)
  await service.user({ tenant: 'a' }).enroll()
  // A long read meanwhile: it waits for that, in short turns.
  await client.query('BEGIN')
  await client.query('SELECT count(*) FROM audit_events')
  const maintained = maintain(url, 400)
  setTimeout(() => { void client.query('COMMIT') }, 700)
  t.match(await maintained, { added: 2, dropped: [] })
  t.not((await client.query(`SELECT 1 FROM ${await month(0)}`)).rowCount, 0)
  t.equal((await client.query('SELECT 1 FROM audit_events_default')).rowCount, 0)
  t.equal((await verify(service, 'a')).broken, null)
})

t.test('a connection that is lost is said, and the next run goes on at once', async t => {
  const { service, url } = await start(t)
  await fill(service, 'a')
  const proxy = await startProxy(t, url)
  const dropped = proxy.loseAnswerOf(statement => statement.startsWith('DROP TABLE'))
  const maintained = maintain(proxy.url, 400)
  void dropped.then(() => { proxy.cut() })
  await t.rejects(maintained, /terminated/)
  t.match(await maintain(url, 400), { added: 0, dropped: [], unsigned: [] })
  t.same(await positions(service, 'a'), [3, 4, 5])
})

t.test('any other trouble is said', async t => {
  const { service, url } = await start(t)
  await service.db.rows`DROP FUNCTION add_audit_partition`
  await t.rejects(maintain(url, 400), { code: '42883' })
})
