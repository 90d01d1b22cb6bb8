// A pooler in transaction mode gives each transaction another connection: a statement's name is unknown on it, and what one client sets
// another would have.
import t from 'tap'
import { connect } from '../../../src/platform/db/client.ts'
import { databaseUrl } from '../../helpers/database.ts'
import { startService } from '../../helpers/service.ts'

for (const [query, are] of [['', true], ['?pgbouncer=true', false]] as const) {
  t.test(`statements ${are ? 'have names, and are planned once' : 'have none where the URL says that there is a pooler'}`, async t => {
    const db = connect(databaseUrl() + query, 1)
    t.teardown(() => db.close())
    await db.rows`SELECT ${1}::int`
    const names = await db.rows<{ name: string }>`SELECT name FROM pg_prepared_statements`
    t.equal(names.length > 0, are)
  })
}

t.test('behind a pooler that takes no parameter users enroll and log in, and lists and reports answer', async t => {
  const service = await startService(t, { DATABASE_URL: `${databaseUrl()}?pgbouncer=true` })
  const admin = service.user({ roles: ['mfa:admin'] })
  const { secret } = await admin.enroll()
  const token = await admin.verify(secret)
  t.match((await admin.call('GET', '/admin/users', undefined, token)).body, { items: [{ subject: admin.sub }] })
  t.equal((await admin.call('GET', '/admin/stats', undefined, token)).status, 200)
})

t.test('a parameter that is refused is in the log, by its name', async t => {
  const service = await startService(t, { DATABASE_URL: `${databaseUrl()}?options=-c%20no_such_setting%3D1` })
  t.equal((await service.call('GET', '/health/ready')).status, 503)
  t.match(service.log.join(''), /"reason":"(unrecognized configuration|unsupported startup) parameter.*(no_such_setting|options)/)
})
