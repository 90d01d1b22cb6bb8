import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { webhookExample, webhookExampleBody } from '../../src/webhooks/examples.ts'
import { FACTOR_KINDS } from '../../src/factors/registry.ts'
import { webhookEventTypes, type WebhookEventType } from '../../src/webhooks/event.ts'
import { generateCode } from '../../src/factors/recovery-codes/recovery-code.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { settleClaimed, settleDelivered, settleFailed, settleWanted } from '../../src/webhooks/outbox.sql.ts'
import { watchAttempts, watchSprays } from '../../src/audit/suspicions.sql.ts'
import { Metrics } from '../../src/http/plugins/metrics.ts'
import { startWebhooks } from '../../src/webhooks/start.ts'
import { ownDatabase } from '../helpers/database.ts'
import { enrollPasskey, PASSKEYS, provePasskey } from '../helpers/passkeys.ts'
import { TestEndpoint } from '../helpers/webhook-endpoint.ts'
import { type Answer, type User, startService } from '../helpers/service.ts'

const { url } = await ownDatabase(t)
const endpoint = await new TestEndpoint().start(t)
const service = await startService(t, {
  DATABASE_URL: url,
  THROTTLE_WAITS: '0',
  THROTTLE_LOCK: '6',
  JWT_SESSION_CLAIM: 'sid',
  ...PASSKEYS,
  ...endpoint.environment
})
const { db, clock } = service
await settleWanted(db)

/** An administrator of a tenant without webhook events, and how they ask for them. */
async function administrator (
  role = 'mfa:admin'
): Promise<{ admin: User, token: string, list: (query?: string) => Promise<Answer>, retry: (id: string) => Promise<Answer> }> {
  const admin = service.user({ roles: [role] })
  const { token } = await admin.enroll()
  await db.rows`DELETE FROM webhook_events WHERE tenant = ${admin.tenant}`
  return {
    admin,
    token,
    list: (query = '') => admin.call('GET', `/admin/notices${query}`, undefined, token),
    retry: id => admin.call('POST', `/admin/notices/${id}/retry`, undefined, token)
  }
}

const write = (tenant: string, subject: string | null, action = 'user.reset'): Promise<unknown> =>
  db.rows`SELECT audit(${tenant}, ${subject}, ${action}, 'success', NULL, '{}', '{}')::text`
async function fail (tenant: string, id: string, isFinal = false): Promise<void> {
  const claimed = await settleClaimed(db, { tenant, id })
  if (claimed === null) throw new Error('not to be had')
  await settleFailed(db, claimed, { text: 'answered 503', isFinal, isInterrupted: false })
}

t.test('the list says what was not delivered, how often it was tried, why not, and when it is tried next', async t => {
  const { admin, list } = await administrator('mfa:auditor')
  t.same((await list()).body, { items: [], nextCursor: null })
  for (const subject of [null, 'u', 'v']) await write(admin.tenant, subject)
  const [third, second, first] = (await list()).body.items
  t.same(first, {
    id: first.id,
    at: first.at,
    type: 'user.reset',
    userId: null,
    status: 'waiting',
    attempts: 0,
    failure: null,
    lastTriedAt: null,
    nextTryAt: first.nextTryAt
  })
  await fail(admin.tenant, second.id)
  await fail(admin.tenant, third.id, true)
  const { status, body } = await list()
  t.equal(status, 200)
  t.match(body.items[1], {
    id: second.id,
    userId: 'u',
    status: 'retrying',
    attempts: 1,
    failure: 'answered 503',
    lastTriedAt: /Z$/,
    nextTryAt: /Z$/
  })
  const seconds = (new Date(body.items[1].nextTryAt).getTime() - new Date(body.items[1].lastTriedAt).getTime()) / 1000
  t.ok(seconds > 4 && seconds < 7, `${seconds} seconds`)
  t.match(body.items[0], { id: third.id, userId: 'v', status: 'parked', attempts: 1, nextTryAt: null })
  t.same(
    body.items.map(({ id }: any) => id),
    (await admin.events() as any[]).slice(-3).map(({ id }) => id).reverse(),
    'the ids of the audit'
  )
})

t.test('pages have each once, newest first; another tenant\'s never; what is no page is refused', async t => {
  const { admin, list } = await administrator()
  const stranger = await administrator()
  await write(stranger.admin.tenant, 'x')
  await db
    .rows`SELECT count(audit(${admin.tenant}, 'user-' || n, 'user.reset', 'success', NULL, '{}', '{}')::text)
      FROM generate_series(1, 60) AS n`
  const whole = (await list('?limit=100')).body
  t.equal(whole.items.length, 60)
  t.equal(whole.nextCursor, null)
  t.same((await list()).body.items, whole.items.slice(0, 50), 'fifty without a limit')
  const paged: unknown[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const { body } = await list(`?limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`)
    paged.push(...body.items)
    cursor = body.nextCursor
  }
  t.same(paged, whole.items)
  t.equal((await stranger.list()).body.items.length, 1)
  for (const [query, field] of [['limit=0', 'limit'], ['limit=101', 'limit'], ['cursor=x', 'cursor'], ['tenant=x', 'tenant']] as const) {
    t.match(await list(`?${query}`), { status: 400, body: { errors: [{ field: `querystring.${field}` }] } }, query)
  }
})

t.test('a retry by hand is due at once, for another day, in its place; it is audited, and changes nothing of a stranger\'s', async t => {
  const { admin, list, retry } = await administrator()
  for (const action of ['user.reset', 'bypass.issued']) await write(admin.tenant, 'u', action)
  const [second, first] = (await list()).body.items
  await fail(admin.tenant, first.id, true)
  t.equal((await retry(first.id)).status, 204)
  t.match((await list()).body.items[1], { id: first.id, status: 'retrying', nextTryAt: /Z$/, attempts: 1 })
  t.equal(await settleClaimed(db, { tenant: admin.tenant, id: second.id }), null, 'it comes first again')
  await db
    .rows`UPDATE webhook_events SET tried_since = now() - interval '23 hours' WHERE tenant = ${admin.tenant} AND id = ${first.id}::uuid`
  await fail(admin.tenant, first.id)
  t.equal((await retry(first.id)).status, 204, 'one that waits for its next try, too')
  const { id: actor } = await admin.row()
  t.match((await admin.events()).at(-1), {
    action: 'notice.retried',
    outcome: 'success',
    actor,
    subject: 'u',
    details: { noticeId: first.id, type: 'user.reset', attempts: 2, failure: 'answered 503' }
  })
  const claimed = await settleClaimed(db, { tenant: admin.tenant, id: first.id })
  await settleDelivered(db, claimed!)
  for (const id of [first.id, '00000000-0000-4000-8000-000000000000']) {
    t.match(await retry(id), { status: 404, body: { code: 'not_found' } })
  }
  const stranger = await administrator()
  t.match(await stranger.retry(second.id), { status: 404 })
  t.match(await retry('x'), { status: 400 })
  t.equal((await admin.events()).filter(({ action }) => action === 'notice.retried').length, 2)
})

/** All that is told of, by calls; of sprays the failures of many users are written. */
async function liveThrough (): Promise<string> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const user = service.user({ tenant: admin.tenant, preferred_username: 'canary@example.com' })
  const { secret, recoveryCodes, token: first } = await user.enroll()
  const { id } = await user.row()
  for (const code of recoveryCodes!.slice(0, 7)) await user.call('POST', '/mfa/recovery', { code })
  await user.call('POST', '/mfa/recovery/codes', {}, first)
  const { authenticator } = await enrollPasskey(user, { token: first })
  for (const counter of [2, 1]) await provePasskey(user, authenticator, { counter })
  for (let n = 0; n < 6; n++) await user.call('POST', '/mfa/verify', { code: clock.wrongCode(secret) })
  for (let n = 0; n < 6; n++) await user.call('POST', '/mfa/recovery', { code: generateCode(n) })
  await admin.call('PUT', '/admin/policy', { enforcement: 'report_only' }, token)
  await admin.call('PUT', `/admin/users/${id}/exemption`, { exempt: true, reason: 'x' }, token)
  await admin.call('PUT', `/admin/users/${id}/grace`, { until: '2199-01-01T00:00:00Z', reason: 'x' }, token)
  const sync = (disabled: boolean): Promise<Answer> =>
    admin.call('PUT', '/admin/users', { users: [{ subject: user.sub, namespace: 'https://id.test', disabled }] }, token)
  await sync(true)
  await sync(false)
  const actOn = (what: string, userId = id): Promise<Answer> => admin.call('POST', `/admin/users/${userId}/${what}`, { reason: 'x' }, token)
  await user.call('POST', '/mfa/recovery', { code: (await actOn('bypass')).body.code })
  await actOn('unlock')
  await actOn('reset')
  const gone = service.user({ tenant: admin.tenant })
  await actOn('erase', (await gone.call('GET', '/mfa/status')).body.userId)
  const leaver = service.user({ tenant: admin.tenant, sid: 's1' })
  const enrolled = await leaver.enroll()
  await admin.call('PUT', '/admin/policy', { trustedDeviceDays: 1 }, token)
  await leaver.call('POST', '/mfa/devices', { name: 'Work laptop' }, enrolled.token)
  await leaver.call('DELETE', `/mfa/factors/${enrolled.factorId}`, {}, enrolled.token)
  await admin.call('DELETE', '/mfa/sessions', {}, token)
  await db
    .rows`SELECT count(audit(${admin.tenant}, 'user-' || n, 'totp.refused', 'failure', 'totp', '{"address": "192.0.2.7"}', '{}')::text)
      FROM generate_series(1, 200) AS n`
  await chainTenant(db, admin.tenant, { look: events => watchAttempts(db, events) })
  await watchSprays(db)
  return admin.tenant
}

t.test('the example of each type has the shape of what is really sent, which the example endpoint of the docs verifies', async t => {
  const snippet = /<!-- verify:.*-->\n```js\n([\s\S]*?)```/.exec(readFileSync('docs/webhooks.md', 'utf8'))?.[1] as string
  const code = snippet.replace('\'standardwebhooks\'', JSON.stringify(import.meta.resolve('standardwebhooks')))
  process.env.WEBHOOK_SECRET = endpoint.secret
  const { receive } = await import(pathToFileURL(join(t.testdir({ 'receive.mjs': code }), 'receive.mjs')).href) as {
    receive: (text: string, headers: object) => any
  }

  await db.rows`DELETE FROM webhook_events`
  const tenant = await liveThrough()
  const [{ count }] = await db.rows<{ count: number }>`SELECT count(*)::int FROM webhook_events` as [{ count: number }]
  const stop = startWebhooks({
    config: service.config,
    secrets: service.secrets,
    db,
    metrics: new Metrics(),
    log: service.app.log,
    version: 'test',
    roundMs: 10
  })
  const accepted = await endpoint.until(count)
  await stop()
  t.equal(accepted.length, count)
  const sent = new Map<string, any>()
  for (const { text, headers, id } of accepted) {
    const received = receive(text, headers)
    t.equal(received.id, id)
    t.equal(received.data.tenant, tenant)
    if (!sent.has(received.type)) sent.set(received.type, JSON.parse(text))
    t.throws(() => receive(text.replace('data', 'date'), headers))
  }
  t.same([...sent.keys()].sort(), [...webhookEventTypes(FACTOR_KINDS)].sort())
  const shapeOf = ({ data }: any): object => ({
    outcome: data.outcome,
    factorKind: data.factorKind,
    isOfSomebody: data.userId !== null && data.subject !== null,
    names: Object.keys(data).sort(),
    details: Object.keys(data.details).sort()
  })
  for (const [type, body] of sent) t.same(shapeOf(webhookExampleBody(type as WebhookEventType, 'totp')), shapeOf(body), type)
})

t.test('docs/webhooks.md has each type with its example', async t => {
  const rows = webhookEventTypes(FACTOR_KINDS).map(type =>
    `| \`${type}\` | ${webhookExample(type, 'totp').about} | \`${JSON.stringify(webhookExample(type, 'totp').event.details)}\` |`
  )
  t.same(/<!-- types -->\n([\s\S]*?)\n?<!-- \/types -->/.exec(readFileSync('docs/webhooks.md', 'utf8'))?.[1]?.split('\n'), rows)
  t.same(
    JSON.parse(/```json\n([\s\S]*?)```/.exec(readFileSync('docs/webhooks.md', 'utf8'))?.[1] as string),
    webhookExampleBody('recovery.accepted', 'totp')
  )
})

t.test('the specification says what an endpoint is sent, with an example of each type', async t => {
  const { body } = await service.call('GET', '/openapi.json')
  const { post } = body.webhooks.webhookEvent
  t.equal(post.requestBody.content['application/json'].schema.$ref, '#/components/schemas/WebhookEvent')
  t.ok(body.components.schemas.WebhookEvent)
  t.same(Object.keys(post.requestBody.content['application/json'].examples).sort(), [...webhookEventTypes(FACTOR_KINDS)].sort())
  for (const { value } of Object.values<any>(post.requestBody.content['application/json'].examples)) {
    t.same(Object.keys(value.data), Object.keys(body.components.schemas.WebhookEvent.properties.data.properties))
  }
})
