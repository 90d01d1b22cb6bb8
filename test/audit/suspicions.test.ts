// Attacks, seen behind the log: many failures on one user, a success after them, a few failures on each of many users.
import sql from 'sql-template-tag'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { settleWanted } from '../../src/webhooks/outbox.sql.ts'
import { startWatching, watchAttempts, watchSprays } from '../../src/audit/suspicions.sql.ts'
import { sweep } from '../../src/maintenance/sweep.sql.ts'
import { connect, type Database } from '../../src/platform/db/client.ts'
import { Lease } from '../../src/platform/db/lease.ts'
import { startChainer } from '../helpers/chainer.ts'
import { isSomebodyWaiting, ownDatabase } from '../helpers/database.ts'
import { startProxy } from '../helpers/proxy.ts'
import { type User, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url })
const { db } = service
await settleWanted(db)

const chain = (tenant: string): Promise<number> => chainTenant(db, tenant, { look: events => watchAttempts(db, events) })
const suspected = async (tenant: string): Promise<any[]> => await db.rows`
  SELECT e.action, e.outcome, e.actor, e.subject, e.factor_kind, e.address, e.request_id, e.details, n.id IS NOT NULL AS sent
  FROM audit_events e LEFT JOIN webhook_events n USING (tenant, at, id) WHERE e.tenant = ${tenant} AND e.action LIKE '%.suspected'
    ORDER BY e.at, e.id`

async function fail (user: User, secret: string, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    await user.endWait()
    const { status } = await user.call('POST', '/mfa/verify', { code: service.clock.wrongCode(secret) })
    if (status !== 422) throw new Error(`answered ${status}`)
  }
}

/** Attempts of `users` users of a tenant, the n-th from `192.0.2.n` or another address that `address` gives. */
const attempts = (tenant: string, action: string, users: number, address: string, details = {}): Promise<unknown> => db.reports`
  SELECT count(audit(${tenant}, 'user-' || n, ${action}, 'failure', 'totp', jsonb_build_object('actor', 'x', 'address',
    replace(${address}, '*', to_hex(n))), ${details}::jsonb)::text)
  FROM generate_series(1, ${users}::int) AS n`

t.test('five failures on one user within a day are told, once, with from where', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  const { id } = await user.row()
  await fail(user, secret, 4)
  await chain(user.tenant)
  t.same(await suspected(user.tenant), [])
  await fail(user, secret, 1)
  await chain(user.tenant)
  const refused = (await user.events()).filter(({ action }) => action === 'totp.refused')
  t.same(await suspected(user.tenant), [{
    action: 'guessing.suspected',
    outcome: 'failure',
    actor: null,
    subject: id,
    factor_kind: 'totp',
    address: '127.0.0.1',
    request_id: refused.at(-1)!.request_id,
    details: { failures: 5, hours: 24 },
    sent: true
  }])
  await fail(user, secret, 3)
  await chain(user.tenant)
  t.equal((await suspected(user.tenant)).length, 1, 'once')
  await db.rows`UPDATE suspicions SET at = (at AT TIME ZONE 'UTC' - interval '24 hours') AT TIME ZONE 'UTC' WHERE tenant = ${user.tenant}`
  await fail(user, secret, 1)
  await chain(user.tenant)
  t.match((await suspected(user.tenant))[1], { details: { failures: 9 } }, 'and once more the next day')
})

t.test('a success after them is told, once, whatever was used; one after few is none', async t => {
  for (const means of ['totp', 'recovery'] as const) {
    const user = service.user()
    const { secret, recoveryCodes } = await user.enroll()
    await fail(user, secret, 4)
    await chain(user.tenant)
    await user.verify(secret)
    await chain(user.tenant)
    t.same(await suspected(user.tenant), [], 'success clears the run, and not what is known')
    await fail(user, secret, 1)
    await user.endWait()
    if (means === 'totp') await user.verify(secret)
    else await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
    await chain(user.tenant)
    t.match(await suspected(user.tenant), [{ outcome: 'failure' }, {
      action: 'guessing.suspected',
      outcome: 'success',
      factor_kind: means,
      details: { failures: 5 },
      sent: true
    }], means)
    await user.verify(secret)
    await chain(user.tenant)
    t.equal((await suspected(user.tenant)).length, 2, 'once')
  }
})

t.test('what costs no attempt, is of yesterday, or of another user does not count', async t => {
  const { tenant } = service.user()
  await attempts(tenant, 'totp.refused', 1, '192.0.2.9', { cause: 'spent' })
  for (let n = 0; n < 6; n++) await attempts(tenant, 'recovery.refused', 1, '192.0.2.9', { cause: 'checksum' })
  for (let n = 0; n < 4; n++) await attempts(tenant, 'recovery.refused', 1, '192.0.2.9')
  await attempts(tenant, 'totp.refused', 3, '192.0.2.9')
  await db
    .rows`UPDATE audit_events SET at = (at AT TIME ZONE 'UTC' - interval '25 hours') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}
      AND action = 'totp.refused' AND subject = 'user-1'`
  await db.rows`UPDATE audit_pending p SET at = e.at FROM audit_events e WHERE p.tenant = ${tenant} AND e.tenant = p.tenant AND e.id = p.id`
  await attempts(tenant, 'totp.accepted', 1, '192.0.2.9')
  await chain(tenant)
  t.same(await suspected(tenant), [])
  t.same(
    await db.rows`SELECT user_id AS "userId", source FROM failures WHERE tenant = ${tenant} ORDER BY 1`,
    ['user-1', 'user-2', 'user-3'].map(userId => ({ userId, source: '192.0.2.9' }))
  )
  await db
    .rows`SELECT audit(${tenant}, 'unknown', 'totp.refused', 'failure', 'totp', '{}', '{}')::text, audit(${tenant}, NULL,
      'totp.refused', 'failure', 'totp', '{"address": "192.0.2.1"}', '{}')::text`
  t.equal(await chain(tenant), 2, 'an event without a user or an address is chained like any other')
})

t.test('of any number that suspect at once one tells of it', async t => {
  const { tenant } = service.user()
  for (let n = 0; n < 5; n++) await attempts(tenant, 'totp.refused', 1, '192.0.2.9')
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      db.settle(
        'suspect_guessing',
        sql`${tenant}, 'user-1', clock_timestamp(), 'failure', 'totp', ${['totp.refused', 'recovery.refused']}::text[], '{}'`
      ))
  )
  t.same(answers.map(({ outcome }) => outcome).sort(), [...Array(19).fill('known'), 'suspected'])
  t.equal((await suspected(tenant)).length, 1)
  t.same(
    await db.settle(
      'suspect_guessing',
      sql`${tenant}, 'user-2', clock_timestamp(), 'failure', 'totp', ${['totp.refused', 'recovery.refused']}::text[], '{}'`
    ),
    { outcome: 'few' }
  )
})

t.test('one wrong code on each of two hundred users from one /64 is spraying, told once an hour', async t => {
  const { tenant } = service.user()
  await attempts(tenant, 'totp.refused', 199, '2001:db8:1:2::*')
  await attempts(tenant, 'totp.accepted', 250, '198.51.100.1')
  await chain(tenant)
  await watchSprays(db)
  t.same(await suspected(tenant), [], 'not yet')
  await attempts(tenant, 'totp.refused', 200, '2001:db8:1:2:ffff::*')
  await chain(tenant)
  await watchSprays(db)
  t.same(await suspected(tenant), [{
    action: 'spray.suspected',
    outcome: 'failure',
    actor: null,
    subject: null,
    factor_kind: null,
    address: null,
    request_id: null,
    details: { source: '2001:db8:1:2::/64', users: 200, hours: 1 },
    sent: true
  }])
  await watchSprays(db)
  t.equal((await suspected(tenant)).length, 1)
  await db.rows`UPDATE suspicions SET at = (at AT TIME ZONE 'UTC' - interval '1 hour') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}`
  await watchSprays(db)
  t.equal((await suspected(tenant)).length, 2, 'it goes on')
  await db.rows`UPDATE suspicions SET at = (at AT TIME ZONE 'UTC' - interval '1 hour') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}`
  await db.rows`UPDATE failures SET at = (at AT TIME ZONE 'UTC' - interval '1 hour') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}`
  await watchSprays(db)
  t.equal((await suspected(tenant)).length, 2, 'it is over')
})

t.test('one source over many tenants is spraying too: each is told of its own users', async t => {
  const [one, other, third] = [service.user().tenant, service.user().tenant, service.user().tenant]
  await attempts(one, 'totp.refused', 150, '203.0.113.5')
  await attempts(other, 'recovery.refused', 50, '::ffff:203.0.113.5')
  await attempts(third, 'totp.refused', 1, '203.0.113.6')
  for (const tenant of [one, other, third]) await chain(tenant)
  await watchSprays(db)
  t.match(await suspected(one), [{ action: 'spray.suspected', details: { source: '203.0.113.5', users: 150 } }])
  t.match(await suspected(other), [{ action: 'spray.suspected', details: { source: '203.0.113.5', users: 50 } }])
  t.same(await suspected(third), [])
})

t.test('from many sources, it is where more users fail than pass', async t => {
  const [one, other] = [service.user().tenant, service.user().tenant]
  for (const tenant of [one, other]) await attempts(tenant, 'totp.refused', 210, '2001:db8:*::1')
  await attempts(one, 'totp.accepted', 100, '192.0.2.1')
  await attempts(other, 'totp.accepted', 300, '192.0.2.1')
  for (const tenant of [one, other]) await chain(tenant)
  for (let n = 0; n < 2; n++) await watchSprays(db)
  t.match(await suspected(one), [{ action: 'spray.suspected', subject: null, details: { users: 210, passed: 100, hours: 1 } }])
  t.equal((await suspected(one)).length, 1)
  t.same(await suspected(other), [], 'a large company on a Monday morning')
})

t.test('what it is seen by is kept for a day', async t => {
  await db.rows`UPDATE failures SET at = (at AT TIME ZONE 'UTC' - interval '24 hours 1 minute') AT TIME ZONE 'UTC'`
  await db.rows`UPDATE suspicions SET at = (at AT TIME ZONE 'UTC' - interval '24 hours 1 minute') AT TIME ZONE 'UTC'`
  t.ok(await sweep(db) > 400)
  t.same(await db.rows`SELECT 1 FROM failures UNION ALL SELECT 1 FROM suspicions`, [])
})

t.test('of two replicas one looks, and a database that is not there is told of', async t => {
  const { tenant } = service.user()
  await attempts(tenant, 'totp.refused', 200, '203.0.113.77')
  await chain(tenant)
  const errors: unknown[] = []
  const onError = (error: unknown): void => { errors.push(error) }
  const start = (db: Database): Lease => {
    const lease = new Lease(db, 'attacks', onError, 10)
    startWatching(db, lease, onError, 10)
    return lease
  }
  const leases = [start(db), start(db)]
  for (let tries = 0; tries < 100 && (await suspected(tenant)).length === 0; tries++) await sleep(20)
  for (const lease of leases) await lease.stop()
  t.ok((await suspected(tenant)).length > 0)
  t.same(errors, [])
  const lost = start({ ...db, settle: () => Promise.reject(new Error('gone')) })
  for (let tries = 0; tries < 100 && errors.length === 0; tries++) await sleep(20)
  await lost.stop()
  t.ok(errors.length > 0)
})

/** Five refused codes of one user; who chains them waits for `release` to write it. */
async function guessed (t: Test): Promise<{ tenant: string, release: () => Promise<void> }> {
  const { tenant } = service.user()
  await attempts(tenant, 'totp.accepted', 1, '192.0.2.9')
  await chain(tenant)
  for (let n = 0; n < 5; n++) await attempts(tenant, 'totp.refused', 1, '192.0.2.9')
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('BEGIN')
  await holder.query('SELECT 1 FROM audit_heads WHERE tenant = $1 FOR UPDATE', [tenant])
  return { tenant, release: async () => { await holder.query('COMMIT') } }
}

const waiting = async (tenant: string): Promise<number> => (await db.rows`SELECT 1 FROM audit_pending WHERE tenant = ${tenant}`).length
const failures = async (tenant: string): Promise<number> => (await db.rows`SELECT 1 FROM failures WHERE tenant = ${tenant}`).length

t.test('a replica that is killed the moment that its events are chained: what they show is told, once', async t => {
  const { tenant, release } = await guessed(t)
  const proxy = await startProxy(t, url)
  const replica = await startChainer(t, proxy.url, tenant)
  replica.send('chain')
  await until(() => isSomebodyWaiting(url))
  void proxy.loseAnswers()
  await release()
  await until(async () => await waiting(tenant) < 5)
  replica.kill('SIGKILL')
  await once(replica, 'exit')
  await chain(tenant)
  await chain(tenant)
  t.equal(await failures(tenant), 1)
  t.match(await suspected(tenant), [{ action: 'guessing.suspected', outcome: 'failure', details: { failures: 5 }, sent: true }])
})

t.test('and one that is killed before that: the next one looks again, and it is told once', async t => {
  const { tenant, release } = await guessed(t)
  const replica = await startChainer(t, url, tenant)
  replica.send('chain')
  await until(() => isSomebodyWaiting(url))
  replica.kill('SIGKILL')
  await once(replica, 'exit')
  // What it has sent ends with its wait for the lock.
  await until(async () => !await isSomebodyWaiting(url))
  await release()
  t.equal(await chain(tenant), 6, 'with the one that tells of it')
  t.equal(await failures(tenant), 1)
  t.match(await suspected(tenant), [{ action: 'guessing.suspected', details: { failures: 5 } }])
})

t.test('one that loses the answer knows by the head what it has chained, and counts each event once', async t => {
  const { tenant, release } = await guessed(t)
  const proxy = await startProxy(t, url)
  const replica = connect(proxy.url, 2)
  t.teardown(() => replica.close())
  const counted: string[] = []
  const chained = chainTenant(replica, tenant, { onChained: events => { counted.push(...events.map(({ action }) => action)) } })
  await until(() => isSomebodyWaiting(url))
  void proxy.loseAnswers()
  await release()
  await until(async () => await waiting(tenant) === 0)
  await proxy.restore()
  proxy.cut()
  t.equal(await chained, 5)
  t.same(counted, Array(5).fill('totp.refused'))
})

t.test('an append that failed is none, and what could not be looked at is not chained', async t => {
  const { tenant } = service.user()
  await attempts(tenant, 'totp.refused', 1, '192.0.2.9')
  await db.rows`INSERT INTO audit_chain (tenant, position, at, id, event, hash) VALUES (${tenant}, 1, now(), gen_random_uuid(), '', '')`
  const counted: unknown[] = []
  await t.rejects(chainTenant(db, tenant, { onChained: events => { counted.push(events) } }), { code: '23505' })
  await db.rows`DELETE FROM audit_chain WHERE tenant = ${tenant}`
  await t.rejects(
    chainTenant(db, tenant, {
      look: () => Promise.reject(new Error('not now')),
      onChained: events => {
        counted.push(events)
      }
    }),
    /not now/
  )
  t.same(counted, [])
  t.equal(await waiting(tenant), 1)
  t.equal(await chain(tenant), 1)
})

t.test('no event keeps the others from being looked at, whatever the service\'s login has written into it', async t => {
  const { tenant } = service.user()
  for (let n = 0; n < 5; n++) await attempts(tenant, 'totp.refused', 1, '192.0.2.9')
  await db
    .rows`SELECT audit(${tenant}, 'x', 'totp.refused', 'failure', 'totp', '{"address": "no address"}', '5')::text, audit(${tenant}, 'x',
      'totp.refused', 'failure', 'totp', '{"address": ""}', 'null')::text`
  t.equal(await chain(tenant), 7)
  t.match(await suspected(tenant), [{ action: 'guessing.suspected', subject: 'user-1' }])
})
