import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { type Answer, type User, type Service } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)

/** An administrator, and how they ask for the audit. */
async function auditor (of: Service = service): Promise<{ admin: User, token: string, list: (query?: string) => Promise<Answer> }> {
  const admin = of.user({ roles: ['mfa:auditor'] })
  const { token } = await admin.enroll()
  return { admin, token, list: (query = '') => admin.call('GET', `/admin/audit${query}`, undefined, token) }
}

/** `count` events of no one in particular, `microseconds` apart, from 2026-01-01 on. */
const fill = ({ service, tenant }: User, count: number, microseconds: number): Promise<unknown> => service.db.reports`
  INSERT INTO audit_events (tenant, at, action, outcome, subject, actor)
  SELECT ${tenant}, '2026-01-01T00:00:00Z'::timestamptz + (n / 3) * ${microseconds}::int * interval '1 microsecond', 'totp.accepted',
    'success', 'filled', 'filled'
  FROM generate_series(1, ${count}::int) AS n`

async function allPages (list: (query?: string) => Promise<Answer>, query: string): Promise<any[]> {
  const items = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const { body, status, text } = await list(`?${query}${cursor === '' ? '' : `&cursor=${cursor}`}`)
    if (status !== 200) throw new Error(text)
    items.push(...body.items)
    cursor = body.nextCursor
  }
  return items
}

t.test('an event says when, who, about which user, what, with which outcome, from where and in which request', async t => {
  const { admin, list } = await auditor()
  const { id } = await admin.row()
  const { status, body: { items, nextCursor } } = await list()
  t.equal(status, 200)
  t.equal(nextCursor, null)
  t.same(items.map(({ action }: any) => action), ['factor.confirmed', 'factor.started'], 'newest first')
  for (const event of items) {
    t.same(Object.keys(event), [
      'id',
      'at',
      'tenant',
      'actorId',
      'actor',
      'userId',
      'user',
      'action',
      'outcome',
      'factorKind',
      'address',
      'requestId',
      'details'
    ])
    t.match(event, {
      id: /^[0-9a-f-]{36}$/,
      at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
      tenant: admin.tenant,
      actorId: id,
      actor: admin.sub,
      userId: id,
      user: admin.sub,
      outcome: 'success',
      factorKind: 'totp',
      address: '127.0.0.1',
      requestId: /./,
      details: { factorId: /-/ }
    })
  }
})

t.test('filters, each alone and all together', async t => {
  const { admin, list } = await auditor()
  const other = service.user({ tenant: admin.tenant })
  const { secret } = await other.enroll()
  await other.call('POST', '/mfa/verify', { code: service.clock.wrongCode(secret) })
  await other.call('GET', '/admin/policy')
  const { id } = await other.row()
  const actions = async (query: string): Promise<string[]> => (await list(`?${query}`)).body.items.map(({ action }: any) => action)
  t.same(await actions(`userId=${id}`), ['access.refused', 'totp.refused', 'factor.confirmed', 'factor.started'])
  t.same(await actions(`actorId=${id}&action=totp.refused`), ['totp.refused'])
  t.same(await actions('action=factor.started'), ['factor.started', 'factor.started'])
  t.same(await actions('userId=unknown'), [])
  await service.db
    .rows`INSERT INTO audit_events (tenant, at, action, outcome, subject)
      VALUES (${admin.tenant}, '2026-02-01T00:00:00Z', 'key.rotated', 'success', NULL), (${admin.tenant}, '2026-02-02T00:00:00Z',
      'user.erased', 'success', 'x')`
  t.same(await actions('to=2026-02-02T00:00:00Z'), ['key.rotated'], 'up to, and not with')
  t.same(await actions('from=2026-02-02T00:00:00Z&to=2026-02-03T00:00:00%2B02:00'), ['user.erased'], 'from, and with')
  t.same(await actions(`userId=${id}&actorId=${id}&action=factor.started&from=2026-02-02T00:00:00Z&to=2199-01-01T00:00:00Z`), [
    'factor.started'
  ])
})

t.test('it has the names that people know: users by their account of today, machines and the operator; an erased user has no ' +
  'name', async t => {
  const { admin, list } = await auditor()
  const user = service.user({ tenant: admin.tenant, preferred_username: 'dora' })
  await user.enroll()
  const { id } = await user.row()
  const enter = (actor: string, subject: string | null): Promise<unknown> => service.db.rows`
    INSERT INTO audit_events (tenant, action, outcome, actor, subject)
      VALUES (${admin.tenant}, 'user.reset', 'success', ${actor}, ${subject})`
  for (const [actor, subject] of [['operator', id], ['service:people-sync', id], [id, null]] as const) await enter(actor, subject)
  const named = async (query: string): Promise<unknown> => (await list(query)).body.items.map(({ actor, user }: any) => [actor, user])
  t.same(await named('?action=user.reset'), [['dora', null], ['people-sync', 'dora'], ['operator', 'dora']])
  t.same(
    await named(`?subject=${user.sub}&action=user.reset`),
    [['people-sync', 'dora'], ['operator', 'dora']],
    'by the `sub` of their token'
  )
  t.same(await named(`?subject=${id}`), [], 'which is no id')
  await service.db.rows`UPDATE users SET account = 'Dora' WHERE tenant = ${admin.tenant} AND id = ${id}::uuid`
  t.same(await named(`?userId=${id}&action=factor.started`), [['Dora', 'Dora']])
  await service.db.rows`DELETE FROM users WHERE tenant = ${admin.tenant} AND id = ${id}::uuid`
  t.same(await named('?action=user.reset'), [[null, null], ['people-sync', null], ['operator', null]])
})

t.test('no other tenant\'s events appear, whichever user is asked for', async t => {
  const { list } = await auditor()
  const stranger = service.user()
  await stranger.enroll()
  const { id } = await stranger.row()
  t.same((await list(`?userId=${id}`)).body.items, [])
  t.same((await list(`?actorId=${id}`)).body.items, [])
  t.ok((await list()).body.items.every(({ tenant }: any) => tenant !== stranger.tenant))
})

t.test('pages show each event once, in one order, though many happen in one microsecond and more are added meanwhile', async t => {
  const { admin, list } = await auditor()
  await fill(admin, 250, 1)
  const whole = await allPages(list, 'userId=filled&limit=100')
  t.equal(whole.length, 250)
  t.equal(new Set(whole.map(({ id }) => id)).size, 250)
  const ordered = [...whole].sort((a, b) => a.at === b.at ? (a.id < b.id ? 1 : -1) : a.at < b.at ? 1 : -1)
  t.same(whole, ordered)
  t.same(await allPages(list, 'userId=filled&limit=7'), whole)
  const first = (await list('?userId=filled')).body
  t.equal(first.items.length, 50, 'without a limit')
  await service.db
    .rows`INSERT INTO audit_events (tenant, action, outcome, subject) VALUES (${admin.tenant}, 'totp.accepted', 'success', 'filled')`
  t.same((await list(`?userId=filled&cursor=${first.nextCursor as string}`)).body.items, whole.slice(50, 100))
  t.equal((await list(`?userId=filled&limit=50&cursor=${first.nextCursor as string}&to=2025-01-01T00:00:00Z`)).body.nextCursor, null)
})

t.test('what is no filter is refused, and says which field', async t => {
  const { list } = await auditor()
  const uuid = '3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20'
  for (const [query, field] of [
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=100000', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=1.0', 'limit'],
    ['limit=', 'limit'],
    ['cursor=', 'cursor'], ['cursor=x', 'cursor'], [`cursor=1_${uuid}'`, 'cursor'], [`cursor=99999999999999999_${uuid}`, 'cursor'],
    ['from=yesterday', 'from'],
    ['from=2026-11-24', 'from'],
    ['to=0000-01-01T00:00:00Z', 'to'],
    ['from=9999-12-31T23:59:59-12:00', 'from'],
    ['from=2026-13-01T00:00:00Z', 'from'],
    ['action=policy', 'action'],
    ['userId=', 'userId'],
    ['subject=', 'subject'],
    ['actorId=%00', 'actorId'],
    ['userId=a&userId=b', 'userId'],
    ['actor=x', 'actor'],
    ['tenant=other', 'tenant']
  ] as const
  ) t.match(await list(`?${query}`), { status: 400, body: { code: 'invalid_request', errors: [{ field: `querystring.${field}` }] } }, query)
  for (
    const query of ["subject='%3B DROP TABLE users", "userId='%3B DROP TABLE users", 'actorId=%25', `cursor=9999999999999999_${uuid}`]
  ) { t.equal((await list(`?${query}`)).status, 200, query) }
})

/** Pages that the service has read of the database for reports. */
function countReports (t: Test, { db }: Service): () => number {
  const { reports } = db
  let count = 0
  db.reports = (async (...args: Parameters<typeof reports>) => { count++; return await reports(...args) }) as typeof reports
  t.teardown(() => { db.reports = reports })
  return () => count
}

const NDJSON = { accept: 'application/json;q=0.1, application/x-ndjson' }

t.test('an export has every event, one a line, as the pages have it', async t => {
  const { admin, token, list } = await auditor()
  await fill(admin, 2500, 1)
  const exported = async (query: string): Promise<any[]> => {
    const answer = await fetch(`${service.url}/admin/audit${query}`, { headers: { ...NDJSON, authorization: `Bearer ${token}` } })
    t.equal(answer.headers.get('content-type'), 'application/x-ndjson; charset=utf-8')
    const text = await answer.text()
    t.ok(text === '' || text.endsWith('}\n'))
    return text.split('\n').slice(0, -1).map(line => JSON.parse(line))
  }
  const whole = await exported('')
  t.equal(whole.length, 2502)
  t.same(whole, await allPages(list, 'limit=100'))
  t.same(await exported('?userId=unknown'), [])
  t.same(await exported('?userId=filled&limit=3'), whole.slice(2, 5))
  const { body } = await list('?limit=20')
  t.same(await exported(`?cursor=${body.nextCursor as string}`), whole.slice(20))
})

t.test('an export reads no more than its client takes, and ends when the client does', async t => {
  const { admin, token } = await auditor()
  await fill(admin, 120_000, 1)
  const pages = countReports(t, service)
  const controller = new AbortController()
  const answer = await fetch(`${service.url}/admin/audit`, {
    headers: { ...NDJSON, authorization: `Bearer ${token}` },
    signal: controller.signal
  })
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
  await reader.read()
  await settled(pages)
  const taken = pages()
  // Some twenty megabytes are on their way, in buffers of the kernel and the client.
  t.ok(taken < 90, `${taken} of 120 pages while the client does not read`)
  controller.abort()
  await t.rejects(reader.read())
  await sleep(200)
  t.ok(pages() <= taken + 1, 'and none for a client that has gone')
  t.equal((await admin.call('GET', '/admin/audit', undefined, token)).status, 200)
})

/** Waits until a count has stopped to grow. */
async function settled (count: () => number): Promise<void> {
  for (let before = -1; before !== count();) {
    before = count()
    await sleep(300)
  }
}

t.test('an export that fails at once is a 503, and one that fails later is cut off, not ended', async t => {
  const { admin, token } = await auditor()
  await fill(admin, 5000, 1)
  const { db } = service
  const { reports } = db
  t.teardown(() => { db.reports = reports })
  const failAfter = (pages: number): void => {
    let count = 0
    db.reports =
      (async (...args: Parameters<typeof reports>) =>
        count++ < pages ? await reports(...args) : await reports`SELECT 1 / 0`) as typeof reports
  }
  const ask = (): Promise<Response> => fetch(`${service.url}/admin/audit`, { headers: { ...NDJSON, authorization: `Bearer ${token}` } })
  failAfter(0)
  const refused = await ask()
  t.equal(refused.status, 503)
  t.match(await refused.json(), { code: 'unavailable' })
  failAfter(2)
  const cut = await ask()
  t.equal(cut.status, 200)
  await t.rejects(cut.text())
})

t.test('whether it is what was written: yes, or the first event that is not', async t => {
  const { admin, token } = await auditor()
  const verify = (): Promise<Answer> => admin.call('GET', '/admin/audit/verify', undefined, token)
  t.same((await verify()).body, { ok: true, events: 2 })
  t.equal(await chainTenant(service.db, admin.tenant), 2)
  t.same((await verify()).body, { ok: true, events: 2 })
  await service.db.rows`UPDATE audit_events SET address = '192.0.2.1' WHERE tenant = ${admin.tenant} AND action = 'factor.confirmed'`
  const [changed] = await service.db.rows<{ id: string, at: string }>`
    SELECT id::text, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
    FROM audit_events WHERE tenant = ${admin.tenant} AND action = 'factor.confirmed'`
  t.same((await verify()).body, { ok: false, events: 2, brokenAt: { position: 2, ...changed, cause: 'changed' } })
  const stranger = await auditor()
  t.match(
    (await stranger.admin.call('GET', '/admin/audit/verify', undefined, stranger.token)).body,
    { ok: true, events: 2 },
    'of the own tenant alone'
  )
})
