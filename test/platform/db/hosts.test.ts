// A URL of several hosts: the first that is as it must be is taken, by the service and by what the owner runs.
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { maintain } from '../../../src/maintenance/maintain.sql.ts'
import { applyMigrations } from '../../../src/platform/db/migrate.ts'
import { findServer } from '../../../src/platform/db/server.ts'
import { execute } from '../../helpers/database.ts'
import { startPair } from '../../helpers/servers.ts'
import { startService } from '../../helpers/service.ts'

const { first, second } = await startPair(t, { isStandby: true })
const hostOf = (url: string): string => new URL(url).host
const DEAD = '[::1]:1'
const [PRIMARY, STANDBY] = [hostOf(first.url), hostOf(second.url)]

function urlOf (hosts: string[], attributes?: string): string {
  const url = first.url.replace(PRIMARY, hosts.join(','))
  return attributes === undefined ? url : `${url}?target_session_attrs=${attributes}`
}

/** A host that takes connections and says nothing. */
async function silentHost (t: Test): Promise<string> {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  return `127.0.0.1:${(silent.address() as AddressInfo).port}`
}

t.test('each of the words of target_session_attrs takes the first host that is so', async t => {
  const cases: Array<[string | undefined, string[], number]> = [
    [undefined, [DEAD, STANDBY, PRIMARY], 1],
    ['any', [PRIMARY, STANDBY], 0],
    ['read-write', [STANDBY, DEAD, PRIMARY], 2],
    ['primary', [STANDBY, PRIMARY], 1],
    ['read-only', [PRIMARY, STANDBY], 1],
    ['standby', [PRIMARY, STANDBY], 1],
    ['prefer-standby', [PRIMARY, STANDBY], 1],
    ['prefer-standby', [DEAD, PRIMARY], 1]
  ]
  for (const [attributes, hosts, host] of cases) {
    t.match(await findServer(urlOf(hosts, attributes), 10_000), { host }, `${attributes ?? 'without'}: ${hosts.join()}`)
  }
  t.match(await findServer(urlOf([STANDBY]), 10_000), { isReadOnly: true, isStandby: true, isUnbounded: true })
  t.match(await findServer(urlOf([PRIMARY]), 10_000), { isReadOnly: false, isStandby: false })
})

t.test('where none is, it says of each why', async t => {
  await t.rejects(findServer(urlOf([STANDBY, DEAD], 'read-write'), 10_000), {
    name: 'UnavailableError',
    code: 'ECONNREFUSED',
    message: 'the database is not there: 127.0.0.1 is not read-write; ::1 does not answer (ECONNREFUSED)'
  })
  await t.rejects(findServer(urlOf([STANDBY], 'primary'), 10_000), { code: undefined, message: /: 127\.0\.0\.1 is not primary$/ })
  const start = performance.now()
  await t.rejects(findServer(urlOf([await silentHost(t)]), 200), { message: /127\.0\.0\.1 does not answer \(timeout expired\)$/ })
  t.ok(performance.now() - start < 5000)
})

t.test('a host that is gone without a word leaves time to those behind it', async t => {
  t.match(await findServer(urlOf([await silentHost(t), PRIMARY]), 3000), { host: 1 })
})

t.test('migrations and maintenance go to the host that takes writes', async t => {
  t.same(await applyMigrations(urlOf([STANDBY, PRIMARY], 'read-write')), [])
  t.match(await maintain(urlOf([DEAD, STANDBY, PRIMARY], 'primary'), 400), { dropped: [] })
})

t.test('the service takes writes where they are taken, and goes where they are when the standby has taken over', async t => {
  const service = await startService(t, { DATABASE_URL: urlOf([STANDBY, PRIMARY], 'read-write') })
  t.equal(service.db.connections().idle, 0)
  t.equal((await service.call('GET', '/health/ready')).status, 200)
  const user = service.user()
  const { secret } = await user.enroll()

  const start = performance.now()
  await first.stop()
  t.equal((await user.call('POST', '/mfa/verify', { code: '000000' })).status, 503)
  await execute(second.url, 'SELECT pg_promote()')
  service.clock.advance(30)
  let status = 0
  while (
    status !== 200 && performance.now() - start < 20_000
  ) { ;({ status } = await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) })) }
  t.equal(status, 200)
  const without = await startService(t, { DATABASE_URL: urlOf([DEAD, PRIMARY], 'read-write') })
  t.equal((await without.call('GET', '/health/ready')).status, 503)
  t.match(
    without.log.join(''),
    /"reason":"the database is not there: ::1 does not answer \(ECONNREFUSED\); 127\.0\.0\.1 does not answer \(ECONNREFUSED\)"/
  )
})
