// The audit lies in one partition a month; what was there before the partitions were is there still.
import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { applyMigrations, prismaDir } from '../../src/db/migrate.ts'
import { ownDatabase } from '../helpers/database.ts'

async function connect (t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Each partition is asked: where they are distributed, a row names the part of it that lies on a worker. */
async function partitionOf (client: pg.Client): Promise<Array<{ partition: string, action: string }>> {
  const { rows } = await client.query<{ name: string }>("SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass")
  const parts = rows.map(({ name }) => `SELECT '${name}' AS partition, action, at FROM ${name} WHERE tenant = 'partitions'`)
  return (await client.query(`SELECT partition, action FROM (${parts.join(' UNION ALL ')}) AS p ORDER BY at`)).rows
}

t.test('events from before the partitions are kept, each in its month', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  const source = join(prismaDir, 'migrations')
  const dir = t.testdir()
  const names = readdirSync(source)
  for (const name of names.filter(name => name < '20261125000300' || name === 'migration_lock.toml')) cpSync(join(source, name), join(dir, name), { recursive: true })
  await applyMigrations(url, dir)
  const client = await connect(t, url)
  const columns = '(tenant, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details)'
  await client.query(`INSERT INTO audit_events ${columns}
    SELECT 'partitions', at::timestamptz, gen_random_uuid(), 'a', 's', 'n' || n, 'success', 'totp', '::1', 'r', '{"n": 1}'
    FROM unnest(ARRAY['2026-09-30T23:59:59.999999Z', '2026-10-01T00:00:00Z', '2026-10-31T23:59:59.999999Z', '2026-11-01T00:00:00Z']) WITH ORDINALITY AS e (at, n)`)
  const { rows: before } = await client.query('SELECT * FROM audit_events ORDER BY at')
  await applyMigrations(url)
  t.same((await client.query('SELECT * FROM audit_events ORDER BY at')).rows, before)
  t.same((await partitionOf(client)).map(({ partition }) => partition), ['audit_events_2026_09', 'audit_events_2026_10', 'audit_events_2026_10', 'audit_events_2026_11'])
})

t.test('there is a partition for now and the next three months; what comes later waits in the default one until its month is made', async t => {
  const { url } = await ownDatabase(t)
  const client = await connect(t, url)
  for (const months of [0, 1, 2, 3, 4]) {
    await client.query("INSERT INTO audit_events (tenant, at, action, outcome) VALUES ('partitions', date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + $1 * interval '1 month', $2, 'success')", [months, `m${months}`])
  }
  const isDefault = async (): Promise<boolean[]> => (await partitionOf(client)).map(({ partition }) => partition === 'audit_events_default')
  t.same(await isDefault(), [false, false, false, false, true])
  const { rows: [{ at }] } = await client.query("SELECT max(at) AS at FROM audit_events WHERE tenant = 'partitions'")
  const add = async (): Promise<boolean> => (await client.query('SELECT add_audit_partition_v1($1) AS is_added', [at])).rows[0].is_added
  t.equal(await add(), true)
  t.same(await isDefault(), [false, false, false, false, false])
  t.equal(await add(), false, 'once')
})
