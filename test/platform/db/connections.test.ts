// What happens to connections by themselves: they end by age, one that breaks is told, and so is that there is no new one.
import t from 'tap'
import { connect } from '../../../src/platform/db/client.ts'
import type { ConnectionEvent } from '../../../src/platform/db/connection-news.ts'
import { Connections } from '../../../src/platform/db/connections.ts'
import { databaseUrl, execute, ownDatabase } from '../../helpers/database.ts'
import { startProxy } from '../../helpers/proxy.ts'

/** Pools that look often, and what they told. */
function open (t: Teardown, url: string, timing = { lookMs: 50, lifetimeSeconds: 300 }) {
  const told: string[] = []
  const waiting = new Map<string, (event: ConnectionEvent) => void>()
  const connections = new Connections(() => url, { only: { size: 1, statementTimeoutMs: 1500 } }, event => {
    const name = event.isOver === true ? `${event.kind} is over` : event.kind
    told.push(name)
    waiting.get(name)?.(event)
  }, timing)
  // Looks do not keep a process alive.
  const alive = setInterval(() => {}, 1000)
  t.teardown(async () => {
    clearInterval(alive)
    await connections.close()
  })
  const first = (name: string): Promise<ConnectionEvent> => new Promise(resolve => { waiting.set(name, resolve) })
  return { connections, told, first }
}
interface Teardown { teardown: (action: () => unknown) => unknown }

const pidOf = async (connections: Connections<'only'>): Promise<number> =>
  (await (await connections.pool('only')).query('SELECT pg_backend_pid() AS pid')).rows[0].pid

t.test('a connection ends by its age, however busy it is', async t => {
  const { connections, told } = open(t, databaseUrl(), { lookMs: 60_000, lifetimeSeconds: 1 })
  const start = performance.now()
  const pid = await pidOf(connections)
  while (await pidOf(connections) === pid && performance.now() - start < 20_000);
  t.not(await pidOf(connections), pid)
  t.ok(performance.now() - start >= 990)
  t.same(told, [], 'and nothing is wrong')
})

t.test('one that breaks while it is idle is reported; so is that there is no new one, when it begins and when it is over', async t => {
  const proxy = await startProxy(t, databaseUrl())
  const { connections, told, first } = open(t, proxy.url)
  await pidOf(connections)
  for (const isAgain of [false, true]) {
    const [broken, unreachable, over] = [first('broken'), first('unreachable'), first('unreachable is over')]
    await proxy.refuse()
    t.match(await broken, { error: Error })
    t.match(await unreachable, { error: { name: 'UnavailableError', message: /^the database is not there: 127\.0\.0\.1 does not answer/ } })
    await proxy.restore()
    await over
    await pidOf(connections)
    t.equal(told.filter(name => name === 'unreachable').length, isAgain ? 2 : 1)
  }
  t.equal(connections.switches, 0)
})

t.test('through a pooler no limit is sent: what has none of its own is told, until it has one', async t => {
  const { url } = await ownDatabase(t)
  const { connections, told, first } = open(t, `${url}?pgbouncer=true`)
  await first('unbounded')
  const { rows } = await (await connections.pool('only')).query("SELECT name FROM pg_settings WHERE source = 'client' AND name ~ 'timeout'")
  t.same(rows, [])
  const over = first('unbounded is over')
  await execute(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET statement_timeout = '20s'`)
  await over
  t.same(told, ['unbounded', 'unbounded is over'])
})

t.test('without one the limits are sent, and nothing is reported', async t => {
  const { connections, told } = open(t, databaseUrl())
  const { rows } = await (await connections.pool('only')).query(
    "SELECT name, setting FROM pg_settings WHERE source = 'client' AND name ~ 'timeout' ORDER BY name"
  )
  t.same(rows, [{ name: 'idle_in_transaction_session_timeout', setting: '3000' }, { name: 'lock_timeout', setting: '1000' }, {
    name: 'statement_timeout',
    setting: '1300'
  }])
  t.same(told, [])
})

t.test('what is closed opens nothing', async t => {
  const connections = new Connections(databaseUrl, { only: { size: 1, statementTimeoutMs: 1500 } }, () => {})
  t.same(connections.count('only'), { idle: 0, busy: 0, waiting: 0 })
  await pidOf(connections)
  t.match(connections.count('only'), { busy: 0, waiting: 0 })
  await connections.close()
  await t.rejects(pidOf(connections), /after calling end/)
  connections.failed('25006')
  // While it is still looking for the host.
  const url = new URL(databaseUrl())
  const choosing = new Connections(() => databaseUrl().replace(url.host, `[::1]:1,${url.host}`), {
    only: { size: 1, statementTimeoutMs: 1500 }
  }, () => {})
  const pool = choosing.pool('only')
  await choosing.close()
  t.equal((await pool).ended, true)
})

t.test('what a statement is refused for is known, also where Prisma stands between', async t => {
  const db = connect(databaseUrl(), 1)
  t.teardown(() => db.close())
  const refused = { name: 'UnavailableError', code: '42P01', cause: { code: '42P01', message: 'relation "no_such_table" does not exist' } }
  for (const ask of [db.rows, db.reports]) await t.rejects(ask`SELECT FROM no_such_table`, refused)
})
