// The outbox: which audit events leave a webhook event, which worker delivers it, in which order, and when it is parked.
import pg from 'pg'
import t, { type Test } from 'tap'
import { actionsOf } from '../../src/audit/schema.ts'
import { FACTOR_KINDS } from '../../src/factors/registry.ts'
import { webhookEventTypes } from '../../src/webhooks/event.ts'
import {
  type ClaimedWebhookEvent,
  countWebhookEvents,
  findDueWebhookEvents,
  settleClaimed,
  settleDelivered,
  settleFailed,
  settleWanted
} from '../../src/webhooks/outbox.sql.ts'
import { sweep } from '../../src/maintenance/sweep.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { startService } from '../helpers/service.ts'

const { url } = await ownDatabase(t)
const service = await startService(t, { DATABASE_URL: url })
const { db } = service
const BY = { actor: 'a', address: '192.0.2.1', requestId: 'r' }

const write = (tenant: string, subject: string | null, action: string, details: object = {}): Promise<unknown> =>
  db.rows`SELECT audit(${tenant}, ${subject}, ${action}, 'success', ${action.split('.')[0]}, ${BY}::jsonb, ${details}::jsonb)::text`

interface Row {
  id: string
  type: string
  subject: string
  attempts: number
  failure: string | null
  parked: boolean
  seconds: number
  leased: boolean
}
const outbox = (tenant: string): Promise<Row[]> => db.rows<Row>`
  SELECT n.id::text, e.action AS type, n.subject, n.attempts, n.failure, n.parked_at IS NOT NULL AS parked,
    n.leased_until IS NOT NULL AS leased,
    extract(epoch FROM n.due_at - clock_timestamp())::float8 AS seconds
  FROM webhook_events n JOIN audit_events e USING (tenant, at, id) WHERE n.tenant = ${tenant} ORDER BY n.at, n.id`

const claim = async (tenant: string, id: string): Promise<ClaimedWebhookEvent> => {
  const claimed = await settleClaimed(db, { tenant, id })
  if (claimed === null) throw new Error('not to be had')
  return claimed
}
/** As if the first try had been so long ago; and due. */
const age = (tenant: string, interval: string): Promise<unknown> =>
  db.rows`UPDATE webhook_events SET tried_since = now() - ${interval}::interval, due_at = now() WHERE tenant = ${tenant}`
const FAILURE = { text: 'answered 500', isFinal: false, isInterrupted: false }
const newTenant = (): string => service.user().tenant

t.test('without an endpoint nothing is written', async t => {
  const user = service.user()
  await user.enroll()
  t.same(await outbox(user.tenant), [])
  await settleWanted(db)
  await db.rows`UPDATE webhook_endpoints SET wanted_until = now()`
  await write(user.tenant, null, 'policy.changed')
  t.same(await outbox(user.tenant), [], 'nor a day after the last that had one')
})

t.test('what concerns a user, the policy or an attack leaves one, with the event; logins, refusals and the rest do not', async t => {
  await settleWanted(db)
  const tenant = newTenant()
  for (const action of actionsOf(FACTOR_KINDS)) await write(tenant, 'u', action)
  await write(tenant, null, 'policy.changed')
  await write(tenant, 'u', 'factor.removed', { pending: true })
  const rows = await outbox(tenant)
  t.same(rows.map(({ type }) => type).sort(), [...webhookEventTypes(FACTOR_KINDS), 'policy.changed'].sort())
  t.same(rows.at(-1), { ...rows.at(-1), subject: '', attempts: 0, failure: null, parked: false, leased: false })
  t.ok(rows.every(({ seconds }) => seconds <= 0), 'due at once')
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  await other.query('BEGIN')
  await other.query("SELECT audit($1, 'x', 'user.reset', 'success', NULL, '{}', '{}')", [tenant])
  await other.query('ROLLBACK')
  await other.end()
  t.equal((await outbox(tenant)).length, rows.length, 'one whose change did not happen is none')
})

t.test('a claimed webhook event says what happened, and to which user, by their present name', async t => {
  const user = service.user({ preferred_username: 'alice@example.com' })
  const { factorId } = await user.enroll()
  const { id: userId } = await user.row()
  const [row] = await outbox(user.tenant) as [Row]
  const { event, attempt } = await claim(user.tenant, row.id)
  t.equal(attempt, 1)
  t.match(event, {
    type: 'factor.confirmed',
    timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
    tenant: user.tenant,
    userId,
    namespace: 'https://id.test',
    subject: user.sub,
    account: 'alice@example.com',
    outcome: 'success',
    actorId: userId,
    factorKind: 'totp',
    address: '127.0.0.1',
    requestId: /./,
    details: { factorId }
  })
  await db.rows`DELETE FROM users WHERE tenant = ${user.tenant}`
  await write(user.tenant, userId, 'user.erased')
  await write(user.tenant, null, 'policy.changed')
  const [, erased, policy] = await outbox(user.tenant) as [Row, Row, Row]
  await db.rows`DELETE FROM webhook_events WHERE tenant = ${user.tenant} AND id = ${row.id}::uuid`
  t.match((await claim(user.tenant, erased.id)).event, { type: 'user.erased', userId, namespace: null, subject: null, account: null })
  t.match((await claim(user.tenant, policy.id)).event, { type: 'policy.changed', userId: null, subject: null, account: null })
})

t.test('one that is claimed is no other worker\'s until the lease ends; an attempt that took longer changes nothing', async t => {
  const tenant = newTenant()
  await write(tenant, 'u', 'user.reset')
  const [{ id }] = await outbox(tenant) as [Row]
  const first = await claim(tenant, id)
  t.equal(await settleClaimed(db, { tenant, id }), null)
  t.notOk((await findDueWebhookEvents(db, 1000)).some(due => due.id === id))
  await db.rows`UPDATE webhook_events SET leased_until = now() WHERE tenant = ${tenant}`
  t.ok((await findDueWebhookEvents(db, 1000)).some(due => due.id === id && due.tenant === tenant))
  const second = await claim(tenant, id)
  t.equal(second.attempt, 2)
  t.match(await settleDelivered(db, first), { outcome: 'stale', next: null })
  t.match(await settleFailed(db, first, FAILURE), { outcome: 'stale' })
  t.match(await settleDelivered(db, second), { outcome: 'delivered', next: null })
  t.same(await outbox(tenant), [])
  t.match(await settleDelivered(db, second), { outcome: 'stale' })
})

t.test('the webhook events of one user come one after the other; those of other users do not wait for them', async t => {
  const tenant = newTenant()
  for (
    const [subject, action] of [['u', 'user.reset'], ['v', 'user.reset'], ['u', 'bypass.issued'], [null, 'policy.changed'], [
      'u',
      'bypass.used'
    ]] as const
  ) await write(tenant, subject, action)
  const [first, other, second, policy, third] = await outbox(tenant) as [Row, Row, Row, Row, Row]
  t.equal(await settleClaimed(db, { tenant, id: second.id }), null, 'an older one waits')
  t.ok((await outbox(tenant))[2]!.seconds > 0, 'and it is not asked for again at once')
  const head = await claim(tenant, first.id)
  t.equal(await settleClaimed(db, { tenant, id: third.id }), null, 'or is being delivered')
  t.ok((await outbox(tenant))[4]!.seconds > 3, 'not before that is over')
  t.ok(await settleClaimed(db, { tenant, id: other.id }))
  t.ok(await settleClaimed(db, { tenant, id: policy.id }))
  t.same((await settleDelivered(db, head)).next, { tenant, id: second.id }, 'the next is due when the one before is delivered')
  const failed = await claim(tenant, second.id)
  t.same(await settleFailed(db, failed, FAILURE), { outcome: 'waiting', next: null })
  await db.rows`UPDATE webhook_events SET due_at = now() WHERE tenant = ${tenant} AND id = ${third.id}::uuid`
  t.equal(await settleClaimed(db, { tenant, id: third.id }), null, 'while one is tried again and again the rest waits')
  await age(tenant, '2 days')
  t.same(
    await settleFailed(db, await claim(tenant, second.id), FAILURE),
    { outcome: 'parked', next: { tenant, id: third.id } },
    'and goes on when it is given up'
  )
  t.ok(await settleClaimed(db, { tenant, id: third.id }))
})

t.test('a try that failed is made again after as long as it has been tried, five seconds to an hour, and no more after a day', async t => {
  const tenant = newTenant()
  await write(tenant, 'u', 'user.reset')
  const [{ id }] = await outbox(tenant) as [Row]
  const wait = async (t: Test, since: string, least: number, most: number): Promise<void> => {
    await age(tenant, since)
    await settleFailed(db, await claim(tenant, id), FAILURE)
    const [{ seconds, failure, parked, leased }] = await outbox(tenant) as [Row]
    t.ok(seconds > least * 0.9 - 2 && seconds <= most * 1.1, `${since}: ${seconds} seconds`)
    t.same({ failure, parked, leased }, { failure: 'answered 500', parked: false, leased: false })
  }
  await wait(t, '0 seconds', 5, 5)
  await wait(t, '20 seconds', 20, 20)
  await wait(t, '10 minutes', 600, 600)
  await wait(t, '3 hours', 3600, 3600)
  await wait(t, '23 hours', 3600, 3600)
  await age(tenant, '24 hours')
  t.match(await settleFailed(db, await claim(tenant, id), FAILURE), { outcome: 'parked', next: null })
  t.match(await outbox(tenant), [{ attempts: 6, failure: 'answered 500', parked: true }])
  t.equal(await settleClaimed(db, { tenant, id }), null)
})

t.test('one that was interrupted is due at once; one that the endpoint does not want is parked at once', async t => {
  const tenant = newTenant()
  await write(tenant, 'u', 'user.reset')
  const [{ id }] = await outbox(tenant) as [Row]
  await age(tenant, '10 minutes')
  await settleFailed(db, await claim(tenant, id), { ...FAILURE, isInterrupted: true })
  t.ok((await outbox(tenant))[0]!.seconds <= 0)
  t.match(await settleFailed(db, await claim(tenant, id), { ...FAILURE, text: 'answered 410', isFinal: true }), { outcome: 'parked' })
  t.match(await outbox(tenant), [{ parked: true, failure: 'answered 410' }])
})

t.test('a webhook event goes with its audit event', async t => {
  const tenant = newTenant()
  await write(tenant, 'u', 'user.reset')
  const [{ id }] = await outbox(tenant) as [Row]
  await db.rows`DELETE FROM audit_events WHERE tenant = ${tenant}`
  t.equal(await settleClaimed(db, { tenant, id }), null)
  t.equal((await db.rows`SELECT 1 FROM webhook_events WHERE tenant = ${tenant}`).length, 0)
})

t.test('they are counted, and those that could not be delivered stay for thirty days', async t => {
  await db.rows`DELETE FROM webhook_events`
  const tenant = newTenant()
  for (const subject of ['a', 'b', 'c', 'd']) await write(tenant, subject, 'user.reset')
  const [a, b] = await outbox(tenant) as [Row, Row]
  await settleFailed(db, await claim(tenant, a.id), FAILURE)
  await settleFailed(db, await claim(tenant, b.id), { ...FAILURE, isFinal: true })
  t.same(await countWebhookEvents(db), { waiting: 2, retrying: 1, parked: 1 })
  await db
    .rows`UPDATE webhook_events SET at = (at AT TIME ZONE 'UTC' - interval '29 days') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}
      AND subject = 'c'`
  await db
    .rows`UPDATE webhook_events SET at = (at AT TIME ZONE 'UTC' - interval '31 days') AT TIME ZONE 'UTC' WHERE tenant = ${tenant}
      AND subject = 'b'`
  t.equal(await sweep(db), 1)
  t.same(await countWebhookEvents(db), { waiting: 2, retrying: 1, parked: 0 })
})
