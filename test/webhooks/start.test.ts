// Webhook events from the change to the endpoint, over real HTTP: it fails, hangs, goes away and comes back, and so does the database.
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connect, type Database } from '../../src/platform/db/client.ts'
import { countWebhookEvents } from '../../src/webhooks/outbox.sql.ts'
import { Metrics } from '../../src/http/plugins/metrics.ts'
import { type WebhooksOptions, startWebhooks } from '../../src/webhooks/start.ts'
import { ownDatabase } from '../helpers/database.ts'
import { startProxy } from '../helpers/proxy.ts'
import { TestEndpoint } from '../helpers/webhook-endpoint.ts'
import { type Service, startService } from '../helpers/service.ts'
import { aroundSettling } from '../helpers/settling.ts'
import { until } from '../helpers/until.ts'

interface Line { level: 'info' | 'warn', fields: any, text: string }

interface Delivering {
  service: Service
  endpoint: TestEndpoint
  lines: Line[]
  metrics: Metrics
  stop: () => Promise<void>
  start: (options?: Partial<WebhooksOptions>) => void
}

/** A service with an endpoint and a database of its own, and a worker that looks for webhook events all the time. */
async function startDelivering (t: Test, options: Partial<WebhooksOptions> = {}): Promise<Delivering> {
  const { url } = await ownDatabase(t)
  const endpoint = await new TestEndpoint().start(t)
  const service = await startService(t, { DATABASE_URL: url, ...endpoint.environment })
  const lines: Line[] = []
  const metrics = new Metrics()
  const log = {
    info: (...line: [any, string?]) => {
      note('info', line)
    },
    warn: (...line: [any, string?]) => {
      note('warn', line)
    }
  } as WebhooksOptions['log']
  const note = (level: Line['level'], line: [any, string?]): void => {
    lines.push(line.length === 1 ? { level, fields: {}, text: line[0] } : { level, fields: line[0], text: line[1] as string })
  }
  const { config, secrets, db } = service
  let stop = async (): Promise<void> => {}
  const start = (more: Partial<WebhooksOptions> = {}): void => {
    stop = startWebhooks({ config, secrets, db, metrics, log, version: 'test', roundMs: 20, timeout: 5000, ...options, ...more })
  }
  start()
  await until(async () => (await db.rows`SELECT 1 FROM webhook_endpoints`).length === 1)
  t.teardown(() => stop())
  return { service, endpoint, lines, metrics, stop: () => stop(), start }
}

const typesOf = (endpoint: TestEndpoint): string[] => endpoint.accepted.map(({ body }) => body.type)
/** Lets waits between tries be over, as time would. One after the other: all at once, in whatever order, could be a deadlock. */
async function endWaits ({ db }: Service): Promise<void> {
  for (
    const { tenant, id } of await db.rows<
      { tenant: string, id: string }
    >`SELECT tenant, id::text FROM webhook_events WHERE parked_at IS NULL`
  ) {
    await db.rows`UPDATE webhook_events SET due_at = now() WHERE tenant = ${tenant} AND id = ${id}::uuid`
  }
}
const policyChange = ({ db }: Service, tenant: string): Promise<unknown> =>
  db.rows`SELECT audit(${tenant}, NULL, 'policy.changed', 'success', NULL, '{}', '{}')::text`

t.test('each is told once, signed, in order, soon after it happened; and then it is gone', async t => {
  const { service, endpoint, lines } = await startDelivering(t)
  const user = service.user({ roles: ['mfa:admin'] })
  const { token, recoveryCodes, factorId } = await user.enroll()
  await user.call('PUT', '/admin/policy', { enforcement: 'report_only' }, token)
  for (const code of recoveryCodes!.slice(0, 7)) t.equal((await user.call('POST', '/mfa/recovery', { code })).status, 200)
  await user.call('POST', '/mfa/recovery/codes', {}, token)
  await user.call('DELETE', `/mfa/factors/${factorId}`, {}, token)
  await endpoint.until(12)
  const { id: userId } = await user.row()
  t.same(typesOf(endpoint).filter(type => type !== 'policy.changed'), [
    'factor.confirmed',
    ...Array(7).fill('recovery.accepted'),
    'recovery.low',
    'recovery.regenerated',
    'factor.removed'
  ])
  t.equal(typesOf(endpoint).length, 12)
  t.equal(endpoint.received.length, 12, 'once each')
  for (const received of endpoint.received) t.same(endpoint.verify(received), received.body)
  const events = new Map((await user.events() as any[]).map(event => [event.id, event]))
  for (const { id, body: { type, data, timestamp } } of endpoint.received) {
    const event = events.get(id)
    t.match({ type, ...data }, {
      type: event.action,
      tenant: user.tenant,
      outcome: event.outcome,
      actorId: event.actor,
      requestId: event.request_id,
      address: '127.0.0.1',
      details: event.details
    })
    t.equal(new Date(timestamp).getTime(), event.at.getTime())
    t.match(
      data,
      type === 'policy.changed'
        ? { userId: null, subject: null }
        : { userId, subject: user.sub, account: user.sub, namespace: 'https://id.test' }
    )
  }
  t.same(await countWebhookEvents(service.db), { waiting: 0, retrying: 0, parked: 0 })
  t.same(lines, [])
})

t.test('an endpoint that is down gets one event at a time, is in the log once, and gets all when it is back', async t => {
  const { service, endpoint, lines, metrics } = await startDelivering(t)
  const { tenant } = service.user()
  endpoint.answer = response => response.writeHead(503).end()
  await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      service.db.rows`SELECT audit(${tenant}, ${`user-${index}`}, 'user.reset', 'success', NULL, '{}', '{}')::text`)
  )
  await until(() => lines.length > 0)
  await until(async () => (await countWebhookEvents(service.db)).retrying === 20)
  t.same(lines, [{ level: 'warn', fields: { cause: 'answered 503' }, text: 'the webhook endpoint accepts no events' }])
  const before = endpoint.received.length
  let busiest = 0
  let busy = 0
  endpoint.answer = async response => {
    busiest = Math.max(busiest, ++busy)
    await sleep(10)
    busy--
    response.writeHead(500).end()
  }
  await endWaits(service)
  await until(() => endpoint.received.length > before + 3)
  t.equal(busiest, 1)
  endpoint.recover()
  await until(async () => {
    await endWaits(service)
    return endpoint.accepted.length === 20
  })
  // The endpoint has answered; the service may not have read that answer yet.
  let text = ''
  await until(async () => {
    text = await metrics.registry.metrics()
    return text.includes('mfa_notice_deliveries_total{outcome="delivered"} 20')
  })
  t.equal(lines.length, 2)
  t.same(lines[1], { level: 'info', fields: {}, text: 'the webhook endpoint accepts events again' })
  t.equal(new Set(endpoint.accepted.map(({ id }) => id)).size, 20)
  t.match(text, /mfa_notice_deliveries_total\{outcome="failed"\} \d+/)
  t.match(text, 'mfa_notice_deliveries_total{outcome="delivered"} 20')
})

t.test('a user\'s webhook events stay in order while one of them fails and one hangs, and no other user\'s wait for that', async t => {
  const { service, endpoint } = await startDelivering(t, { timeout: 500 })
  const [one, other] = [service.user(), service.user()]
  const fates = ['fail', 'hang', 'fail']
  endpoint.answer = (response, { body }) => {
    const fate = body.data.subject === one.sub ? fates.shift() : undefined
    if (fate !== 'hang') response.writeHead(fate === 'fail' ? 500 : 200).end()
  }
  const { recoveryCodes } = await one.enroll()
  for (const code of recoveryCodes!.slice(0, 3)) await one.call('POST', '/mfa/recovery', { code })
  await other.enroll()
  await until(async () => {
    await endWaits(service)
    return endpoint.accepted.length === 5
  })
  t.same(fates, [])
  t.same(endpoint.accepted.filter(({ body }) => body.data.subject === one.sub).map(({ body }) => [body.type, body.data.details.remaining]),
    [['factor.confirmed', undefined], ['recovery.accepted', 9], ['recovery.accepted', 8], ['recovery.accepted', 7]])
  const first = endpoint.received.filter(({ id }) => id === endpoint.received[0]!.id)
  t.equal(first.length, 4, 'each try of one has its id')
  t.ok(endpoint.accepted.findIndex(({ body }) => body.data.subject === other.sub) < 2)
})

t.test('410 Gone parks a webhook event at once, and the log names it without its content', async t => {
  const { service, endpoint, lines } = await startDelivering(t)
  const user = service.user({ preferred_username: 'canary@example.com' })
  endpoint.answer = response => response.writeHead(410).end('canary-answer')
  await user.enroll()
  await until(() => lines.length === 1)
  t.same(await countWebhookEvents(service.db), { waiting: 0, retrying: 0, parked: 1 })
  t.match(lines[0], {
    level: 'warn',
    fields: { tenant: user.tenant, eventId: endpoint.received[0]!.id, attempts: 1, cause: 'answered 410' },
    text: 'a webhook event is parked: see GET /admin/notices'
  })
  t.notMatch(JSON.stringify(lines), /canary/)
})

t.test('while the endpoint hangs, no login waits', async t => {
  const { service, endpoint } = await startDelivering(t, { timeout: 10_000 })
  endpoint.answer = () => {}
  const users = await Promise.all(Array.from({ length: 12 }, async () => {
    const user = service.user()
    return { user, ...await user.enroll() }
  }))
  await until(() => endpoint.received.length === 8)
  t.equal(endpoint.received.length, 8, 'so many at a time')
  const start = performance.now()
  for (const { user, recoveryCodes } of users) t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 200)
  t.ok(performance.now() - start < 8000, `${performance.now() - start} ms`)
})

t.test('a stop interrupts what hangs, and the next worker has it at once', async t => {
  const { service, endpoint, stop, start, lines } = await startDelivering(t, { timeout: 10_000 })
  endpoint.answer = () => {}
  await service.user().enroll()
  await until(() => endpoint.received.length === 1)
  const at = performance.now()
  await stop()
  t.ok(performance.now() - at < 5000)
  endpoint.recover()
  start()
  await endpoint.until(1)
  t.equal(endpoint.accepted.length, 1)
  t.same(lines, [], 'that is no trouble of the endpoint')
})

t.test('a database that goes away and comes back loses nothing', async t => {
  const { url } = await ownDatabase(t)
  const proxy = await startProxy(t, url)
  const endpoint = await new TestEndpoint().start(t)
  const service = await startService(t, { DATABASE_URL: url, ...endpoint.environment })
  const db = connect(() => proxy.url, 4)
  const warnings: string[] = []
  const log = { info: () => {}, warn: (_fields: unknown, text: string) => { warnings.push(text) } } as unknown as WebhooksOptions['log']
  const stop = startWebhooks({
    config: service.config,
    secrets: service.secrets,
    db,
    metrics: new Metrics(),
    log,
    version: 'test',
    roundMs: 20
  })
  t.teardown(async () => {
    await stop()
    await db.close()
  })
  await until(async () => (await service.db.rows`SELECT 1 FROM webhook_endpoints`).length === 1)
  // It goes between a delivery and its mark.
  endpoint.answer = async response => {
    await proxy.refuse()
    response.writeHead(200).end()
  }
  const { tenant } = service.user()
  await policyChange(service, tenant)
  await until(() => warnings.length > 2)
  t.ok(warnings.every(text => text === 'delivering webhook events failed'))
  t.equal(endpoint.accepted.length, 1)
  await policyChange(service, tenant)
  endpoint.recover()
  await proxy.restore()
  await service.db.rows`UPDATE webhook_events SET leased_until = now()`
  await endpoint.until(3)
  const [first, again, second] = endpoint.accepted.map(({ id }) => id)
  t.equal(first, again, 'what may not have been marked is delivered again, with its id')
  t.not(second, first)
  // What was delivered is marked a moment later.
  await until(async () => (await countWebhookEvents(service.db)).waiting === 0)
  t.same(await countWebhookEvents(service.db), { waiting: 0, retrying: 0, parked: 0 })
})

t.test('one that is delivered for longer than a claim lasts is delivered once, however many workers look', async t => {
  const { service, endpoint, start } = await startDelivering(t, { timeout: 10_000 })
  start()
  endpoint.answer = async response => {
    await sleep(6500)
    response.writeHead(204).end()
  }
  await policyChange(service, service.user().tenant)
  await until(async () => endpoint.accepted.length > 0 && (await countWebhookEvents(service.db)).waiting === 0)
  t.equal(endpoint.received.length, 1)
})

t.test('a worker that can not renew its claim, or has lost it, ends its delivery before another begins', async t => {
  const { url } = await ownDatabase(t)
  const proxy = await startProxy(t, url)
  const endpoint = await new TestEndpoint().start(t)
  const service = await startService(t, { DATABASE_URL: url, ...endpoint.environment })
  const db = connect(() => proxy.url, 4)
  const { config, secrets } = service
  const begin = (db: Database): () => Promise<void> =>
    startWebhooks({
      config,
      secrets,
      db,
      metrics: new Metrics(),
      log: { info: () => {}, warn: () => {} } as unknown as WebhooksOptions['log'],
      version: 'test',
      roundMs: 20
    })
  const stops = [begin(db)]
  t.teardown(async () => {
    await Promise.all(stops.map(stop => stop()))
    await db.close()
  })
  await until(async () => (await service.db.rows`SELECT 1 FROM webhook_endpoints`).length === 1)
  const seen: string[] = []
  endpoint.answer = response => {
    const nth = endpoint.received.length
    seen.push(`begins ${nth}`)
    response.on('close', () => { seen.push(`ends ${nth}`) })
    if (nth === 3) response.writeHead(204).end()
  }
  await policyChange(service, service.user().tenant)
  await until(() => seen.length === 1)
  await proxy.refuse()
  stops.push(begin(service.db))
  await until(() => seen.length === 3)
  // As if a third one had claimed it.
  await service.db.rows`UPDATE webhook_events SET attempts = attempts + 1, leased_until = now() + interval '2 seconds'`
  await until(() => seen.length === 6)
  t.same(seen, ['begins 1', 'ends 1', 'begins 2', 'ends 2', 'begins 3', 'ends 3'])
})

t.test('a stop that comes while one is claimed gives it back', async t => {
  const { service, endpoint, stop, start } = await startDelivering(t)
  await stop()
  let stopping: Promise<void> | undefined
  aroundSettling(service.db, async send => {
    const answer = await send()
    if (answer.outcome === 'claimed') stopping = stop()
    return answer
  })
  await policyChange(service, service.user().tenant)
  start({ roundMs: 1_000_000 })
  await until(() => stopping !== undefined)
  await stopping
  t.same(await service.db.rows`SELECT attempts, failure, leased_until AS "claimedUntil" FROM webhook_events`, [{
    attempts: 1,
    failure: 'interrupted',
    claimedUntil: null
  }])
  t.same(endpoint.received, [])
})

t.test('without an endpoint nothing is delivered', async t => {
  const service = await startService(t)
  const stop = startWebhooks({
    config: service.config,
    secrets: service.secrets,
    db: service.db,
    metrics: new Metrics(),
    log: service.app.log,
    version: 'test',
    roundMs: 1
  })
  await sleep(50)
  t.same(await service.db.rows`SELECT 1 FROM webhook_endpoints`, [])
  await stop()
})
