// The audit lies in one partition a month.
import pg from 'pg'
import t, { type Test } from 'tap'
import { ownDatabase } from '../helpers/database.ts'

async function connect (t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Each partition is asked: where they are distributed, a row names the part of it that lies on a worker. */
async function partitionOf (client: pg.Client): Promise<Array<{ partition: string, action: string }>> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass"
  )
  const parts = rows.map(({ name }) => `SELECT '${name}' AS partition, action, at FROM ${name} WHERE tenant = 'partitions'`)
  return (await client.query(`SELECT partition, action FROM (${parts.join(' UNION ALL ')}) AS p ORDER BY at`)).rows
}

t.test('there is a partition for now and the next three months; what comes later waits in the default one until its month is ' +
  'made', async t => {
  const { url } = await ownDatabase(t)
  const client = await connect(t, url)
  for (const months of [0, 1, 2, 3, 4]) {
    await client.query(
      "INSERT INTO audit_events (tenant, at, action, outcome) VALUES ('partitions', date_trunc('month', now() AT TIME ZONE 'UTC') AT " +
      "TIME ZONE 'UTC' + $1 * interval '1 month', $2, 'success')",
      [months, `m${months}`]
    )
  }
  const isDefault = async (): Promise<boolean[]> => (await partitionOf(client)).map(({ partition }) => partition === 'audit_events_default')
  t.same(await isDefault(), [false, false, false, false, true])
  const { rows: [{ at }] } = await client.query("SELECT max(at) AS at FROM audit_events WHERE tenant = 'partitions'")
  const add = async (): Promise<boolean> => (await client.query('SELECT add_audit_partition($1) AS is_added', [at])).rows[0].is_added
  t.equal(await add(), true)
  t.same(await isDefault(), [false, false, false, false, false])
  t.equal(await add(), false, 'once')
})
