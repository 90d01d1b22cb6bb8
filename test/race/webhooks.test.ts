// Several processes deliver the webhook events of one database: each is delivered, by one of them, in its user's order; and what
// one of them had when it died is delivered by another.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { countWebhookEvents, findDueWebhookEvents, settleClaimed, settleWanted } from '../../src/webhooks/outbox.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { program } from '../helpers/program.ts'
import { TestEndpoint } from '../helpers/webhook-endpoint.ts'
import { startService } from '../helpers/service.ts'

const { url } = await ownDatabase(t)
const endpoint = await new TestEndpoint().start(t)
const service = await startService(t, { DATABASE_URL: url, ...endpoint.environment })
const { db } = service
await settleWanted(db)

async function startWorker (t: Test, ...args: string[]): Promise<ChildProcess> {
  const { file, execArgv } = program('test/helpers/webhooks-process.ts')
  const child = fork(file, args, { execArgv, env: { PATH: process.env.PATH, ...service.env } })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.disconnect()
    const [code] = await exit as [number]
    if (code !== 0) throw new Error(`a worker had ${code} errors`)
  })
  await once(child, 'message')
  return child
}

/** `each` webhook events of each of `users`, one after the other, with their number. */
const write = (tenant: string, users: number, each: number): Promise<unknown> => db.rows`
  SELECT count(audit(${tenant}, 'user-' || p, 'user.reset', 'success', NULL, '{}', jsonb_build_object('number', n))::text)
  FROM (SELECT n, p FROM generate_series(1, ${each}::int) AS n, generate_series(1, ${users}::int) AS p ORDER BY n, p) AS all_of_them`

t.test('two processes deliver each webhook event once, and those of one user in their order', async t => {
  endpoint.answer = async response => {
    await sleep(Math.floor(performance.now()) % 7)
    response.writeHead(200).end()
  }
  const tenants = [service.user().tenant, service.user().tenant]
  const workers = [await startWorker(t), await startWorker(t)]
  for (const tenant of tenants) await write(tenant, 10, 5)
  for (const worker of workers) worker.send('start')
  await write(tenants[0] as string, 10, 1)
  const accepted = await endpoint.until(110)
  await sleep(100)
  t.equal(accepted.length, 110)
  t.equal(new Set(accepted.map(({ id }) => id)).size, 110)
  const orders = new Map<string, number[]>()
  for (const { body: { data } } of accepted) {
    orders.set(`${data.tenant} ${data.userId}`, [...orders.get(`${data.tenant} ${data.userId}`) ?? [], data.details.number])
  }
  t.equal(orders.size, 20)
  for (const [who, order] of orders) t.match(JSON.stringify(order), /^\[1,2,3,4,5(,1)?\]$/, who)
  t.same(await countWebhookEvents(db), { waiting: 0, retrying: 0, parked: 0 })
})

t.test('of any number of workers that want one at once, one has it, and none waits', async t => {
  const { tenant } = service.user()
  await write(tenant, 1, 1)
  const [{ id }] = await db.rows<{ id: string }>`SELECT id::text FROM webhook_events WHERE tenant = ${tenant}` as [{ id: string }]
  const claimed = await Promise.all(Array.from({ length: 20 }, () => settleClaimed(db, { tenant, id })))
  t.equal(claimed.filter(claimed => claimed !== null).length, 1)
  await write(tenant, 1, 1)
  const [{ id: second }] = await db.rows<
    { id: string }
  >`DELETE FROM webhook_events WHERE tenant = ${tenant} AND id = ${id}::uuid RETURNING (SELECT id::text FROM webhook_events
    WHERE tenant = ${tenant} AND id <> ${id}::uuid) AS id` as [
    { id: string }
  ]
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  await other.query('BEGIN')
  await other.query('SELECT 1 FROM webhook_events WHERE tenant = $1 AND id = $2 FOR UPDATE', [tenant, second])
  const start = performance.now()
  t.equal(await settleClaimed(db, { tenant, id: second }), null)
  t.ok((await findDueWebhookEvents(db, 100)).some(due => due.id === second))
  t.ok(performance.now() - start < 500, 'held by another that works on it')
  // Which a connection that ends would do as well, but on a worker of a cluster a moment later.
  await other.query('ROLLBACK')
  await other.end()
  t.ok(await settleClaimed(db, { tenant, id: second }))
  await db.rows`DELETE FROM webhook_events`
})

t.test('a process that dies between a delivery and its mark: it is delivered again, and nothing is lost or out of order', async t => {
  endpoint.recover()
  endpoint.accepted = []
  const { tenant } = service.user()
  await write(tenant, 1, 3)
  const dying = await startWorker(t, 'dies')
  const exit = once(dying, 'exit')
  dying.send('start')
  t.same(await exit, [null, 'SIGKILL'])
  t.equal(endpoint.accepted.length, 1)
  const survivor = await startWorker(t)
  survivor.send('start')
  await sleep(200)
  t.equal(endpoint.accepted.length, 1, 'no worker takes it while it may be under way')
  await db.rows`UPDATE webhook_events SET leased_until = now() WHERE leased_until IS NOT NULL`
  await db.rows`UPDATE webhook_events SET due_at = now()`
  const accepted = await endpoint.until(4)
  t.same(accepted.map(({ body }) => body.data.details.number), [1, 1, 2, 3])
  t.equal(accepted[0]!.id, accepted[1]!.id)
})
