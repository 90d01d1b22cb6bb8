// The database moves to another server while the old one stays up, with the connections to it: everyone follows within seconds.
import pg from 'pg'
import t, { type Test } from 'tap'
import { startAudit } from '../../../src/audit/start.ts'
import type { Embedded } from '../../../src/platform/embedded-postgres/embedded.ts'
import { Metrics } from '../../../src/http/plugins/metrics.ts'
import { type Proxy, startProxy } from '../../helpers/proxy.ts'
import { setReadOnly, startPair } from '../../helpers/servers.ts'
import { inTime, type Service, startService } from '../../helpers/service.ts'
import { until } from '../../helpers/until.ts'

/** Ten seconds, and what a busy machine takes besides. */
const PATIENCE = { withinMs: 20_000, everyMs: 100 }

async function query<T extends pg.QueryResultRow> (url: string, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try { return (await client.query<T>(text)).rows } finally { await client.end() }
}

interface Stage { proxy: Proxy, service: Service, first: Embedded, second: Embedded }

/** A service that chains, behind a name that leads to the first of two servers. */
async function start (t: Test, options?: { isStandby: boolean }): Promise<Stage> {
  const { first, second } = await startPair(t, options)
  const proxy = await startProxy(t, first.url)
  const service = await startService(t, { DATABASE_URL: proxy.url })
  const { config, secrets, db, app } = service
  const stop = startAudit({
    config,
    secrets,
    db,
    memory: service.memory,
    metrics: new Metrics(),
    log: app.log,
    times: { leaseMs: 100, chainMs: 100, signMs: 60_000, watchMs: 60_000, lookMs: 1000, checkMs: 60_000 }
  })
  t.teardown(stop)
  return { proxy, service, first, second }
}

const portOf = (url: string): number => Number(new URL(url).port)

/** Whether all that asks the database, by each of its ways, asks this server; it is asked all the time, so that no connection is idle. */
async function areAllAt ({ service: { db } }: Stage, server: Embedded): Promise<boolean> {
  type Ask = (strings: TemplateStringsArray) => Promise<Array<{ port: number }>>
  const byModels: Ask = strings => db.models(models => models.$queryRaw<Array<{ port: number }>>(strings))
  const ways: Ask[] = [db.rows, db.reports, db.polls({ isWhole: false }), byModels]
  const ports = await Promise.all(ways.map(ask => ask`SELECT inet_server_port() AS port`.then(([row]) => row?.port, () => undefined)))
  return ports.every(port => port === portOf(server.url))
}

/** Nothing waits to be chained: of events, of which there are. */
const isChained = async ({ url }: Embedded): Promise<boolean> =>
  (await query<{ is: boolean }>(url, 'SELECT EXISTS (SELECT FROM audit_chain) AND NOT EXISTS (SELECT FROM audit_pending) AS is'))[0]?.is ===
    true

for (const isLeftWritable of [false, true]) {
  t.test(`an old server that ${isLeftWritable ? 'anyone may still write to' : 'was set read-only'} keeps no one: reports, ` +
    'logins and the chain follow', async t => {
    const stage = await start(t)
    const { proxy, service, first, second } = stage
    await service.user().enroll()
    t.ok(await until(async () => await areAllAt(stage, first) && await isChained(first), PATIENCE), 'the first server has it all')

    if (!isLeftWritable) await setReadOnly(first.url)
    proxy.lead(second.url)
    t.ok(await until(() => areAllAt(stage, second), PATIENCE), 'all ask the second server')
    const user = service.user()
    t.equal((await inTime(() => user.call('POST', '/mfa/enroll'))).status, 201)
    t.ok(await until(() => isChained(second), PATIENCE), 'and chain there')
    t.same(await query(first.url, `SELECT FROM users WHERE tenant = '${user.tenant}'`), [])
    t.match((await service.call('GET', '/metrics')).text, /^mfa_database_reconnects_total\{cause="moved"\} [12]$/m)
    t.ok(service.log.some(line => JSON.parse(line).msg.startsWith('the database URL leads to another server')))
  })
}

t.test('a standby that is promoted: what the old server knew counts, and a code that it took counts no more', async t => {
  const stage = await start(t, { isStandby: true })
  const { proxy, service, first, second } = stage
  const user = service.user()
  const { secret, token } = await user.enroll()
  service.clock.advance(30)
  const code = service.clock.code(secret)
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200)
  t.ok(await until(async () =>
    (await query(second.url, "SELECT FROM audit_events WHERE action = 'totp.accepted'")).length === 1 && await isChained(second),
  PATIENCE
  ),
  'the standby has it too'
  )

  await setReadOnly(first.url)
  await query(second.url, 'SELECT pg_promote()')
  t.equal((await user.call('GET', '/mfa/authorize', undefined, token)).status, 200)
  // By a replica that came to the new server before this one, and a minute ago.
  const other = await startService(t, { ...service.env, DATABASE_URL: second.url }, service.clock)
  t.equal((await other.call('DELETE', '/mfa/sessions', { token })).status, 204)
  await query(second.url, "UPDATE revocations SET at = at - interval '1 minute'")
  proxy.lead(second.url)
  t.ok(await until(() => areAllAt(stage, second), PATIENCE), 'all ask the promoted server')
  t.ok(
    await until(async () => (await user.call('GET', '/mfa/authorize', undefined, token)).status === 401, PATIENCE),
    'what was ended there is dead'
  )
  t.equal((await inTime(() => user.call('POST', '/mfa/verify', { code }))).status, 422)
  service.clock.advance(30)
  t.equal((await inTime(() => user.call('POST', '/mfa/verify', { code: service.clock.code(secret) }))).status, 200)
  t.ok(await until(() => isChained(second), PATIENCE), 'and chain there')
})

t.test('a name that leads to a standby moves no connection there; one that was refused a write begins anew when the server ' +
  'takes writes again', async t => {
  const stage = await start(t, { isStandby: true })
  const { proxy, service, first, second } = stage
  const logged = (text: RegExp): number => service.log.filter(line => text.test(line)).length
  proxy.lead(second.url)
  t.ok(await until(async () => logged(/"the database takes no writes"/) > 0, PATIENCE), 'it is said')
  t.match(
    (await service.call('GET', '/metrics')).text,
    /^mfa_database_reconnects_total\{cause="moved"\} 0$/m,
    'connections that there are go on'
  )

  proxy.lead(first.url)
  // As it was when each connection began: another setting counts for none of them.
  await query(first.url, `ALTER DATABASE ${new URL(first.url).pathname.slice(1)} SET default_transaction_read_only = on`)
  proxy.cut()
  t.ok(await until(async () => (await service.user().call('POST', '/mfa/enroll')).status === 503, PATIENCE), 'no write is accepted')
  await Promise.all(Array.from({ length: 8 }, () => service.db.rows`SELECT pg_sleep(0.2)`))
  await query(
    first.url,
    'SET transaction_read_only = off; ALTER DATABASE ' + new URL(first.url).pathname.slice(1) + ' RESET default_transaction_read_only'
  )
  await service.user().call('POST', '/mfa/enroll')
  t.ok(await until(async () => logged(/"the database takes writes again/) > 0, PATIENCE), 'all begin anew')
  t.equal((await service.user().call('POST', '/mfa/enroll')).status, 201)
  t.equal(logged(/"the database takes no writes"/), 1, 'once, as long as it is so')
  t.match((await service.call('GET', '/metrics')).text, /^mfa_database_reconnects_total\{cause="read_only"\} 1$/m)
})
