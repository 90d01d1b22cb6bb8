// Two processes, one database: even if both think that they hold the lease, a chain has one continuation.
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { verifyTenant } from '../../src/audit/verify.sql.ts'
import { takeLease } from '../../src/platform/db/lease.ts'
import { chain, startChainer } from '../helpers/chainer.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { db, config } = service
const url = config.DATABASE_URL as string

const write = (tenant: string, count: number): Promise<unknown> =>
  db.rows`SELECT count(audit(${tenant}, 's', 'totp.accepted', 'success', 'totp', '{}', '{}')::text) FROM generate_series(1, ${count}::int)`

t.test('two processes that chain at once never fork the chain, nor chain an event twice or not at all', async t => {
  const { tenant } = service.user()
  const children = [await startChainer(t, url, tenant), await startChainer(t, url, tenant)] as [ChildProcess, ChildProcess]
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  t.teardown(() => holder.end())
  await write(tenant, 3)
  t.equal(await chain(children[0]), 3)
  let expected = 3
  for (let round = 0; round < 10; round++) {
    await write(tenant, 40)
    expected += 40
    // Both have read the same head and wait to append to it.
    await holder.query('BEGIN')
    await holder.query('SELECT 1 FROM audit_heads WHERE tenant = $1 FOR UPDATE', [tenant])
    const chained = Promise.all(children.map(chain))
    const more = write(tenant, 5)
    expected += 5
    await sleep(150)
    await holder.query('COMMIT')
    await more
    const counts = await chained
    t.ok(counts.includes(0), `one of them: ${counts.join(' and ')}`)
  }
  await chain(children[1])
  t.same(await verifyTenant(db, tenant, config.MFA_SIGNING_KEYS), { events: expected, broken: null })
  const [row] = await db.rows<
    object
  >`SELECT count(*)::int AS links, max(position)::int AS last, count(DISTINCT id)::int AS events FROM audit_chain WHERE tenant = ${tenant}`
  t.same(row, { links: expected, last: expected, events: expected })
})

t.test('an event whose transaction commits late is chained then, and breaks nothing', async t => {
  const { tenant } = service.user()
  const child = await startChainer(t, url, tenant)
  const late = new pg.Client({ connectionString: url })
  await late.connect()
  t.teardown(() => late.end())
  await late.query('BEGIN')
  await late.query("SELECT audit($1, 'late', 'totp.accepted', 'success', 'totp', '{}', '{}')", [tenant])
  await write(tenant, 20)
  t.equal(await chain(child), 20)
  await late.query('COMMIT')
  await write(tenant, 1)
  t.equal(await chain(child), 2)
  t.same(await verifyTenant(db, tenant, config.MFA_SIGNING_KEYS), { events: 22, broken: null })
})

t.test('chaining waits for no login, and no login for it', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  const child = await startChainer(t, url, user.tenant)
  await chain(child)
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('BEGIN')
  await holder.query('SELECT 1 FROM audit_heads WHERE tenant = $1 FOR UPDATE', [user.tenant])
  await user.verify(secret)
  await holder.query('COMMIT')
  t.equal(await chain(child), 1)
})

t.test('of any number that ask for a lease at once one has it; another when that has ended', async t => {
  const holders = Array.from({ length: 20 }, () => crypto.randomUUID())
  const name = `test-${holders[0] as string}`
  const held = await Promise.all(holders.map(holder => takeLease(db, name, holder, 60)))
  t.equal(held.filter(Boolean).length, 1)
  const [first, second] = [holders[held.indexOf(true)], holders[held.indexOf(false)]] as [string, string]
  t.equal(await takeLease(db, name, first, 60), true, 'renewed')
  t.equal(await takeLease(db, name, second, 60), false)
  await db.rows`UPDATE leases SET until = now() - interval '1 second' WHERE name = ${name}`
  t.equal(await takeLease(db, name, second, 60), true)
  t.equal(await takeLease(db, name, first, 60), false)
})
