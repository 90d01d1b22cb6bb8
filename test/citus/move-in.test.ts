// The way from one PostgreSQL to Citus: the database that there is becomes the coordinator, beside a running service.
import t from 'tap'
import { distribute } from '../../src/db/distribute.ts'
import { applyMigrations } from '../../src/db/migrate.ts'
import { chainTenant } from '../../src/db/audit-chain.ts'
import { verifyTenant } from '../../src/db/audit-verify.ts'
import { ownDatabase } from '../helpers/database.ts'
import { placeOf } from '../helpers/cluster.ts'
import { startService } from '../helpers/service.ts'

t.test('people, their codes and their log are there afterwards, and what was spent stays spent', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  await applyMigrations(url)
  t.same(await distribute(url, 'off'), [], 'nothing is distributed unless it is wanted')
  const service = await startService(t, { DATABASE_URL: url, BCRYPT_COST: '10' })
  const { clock, db } = service
  const people = await Promise.all([1, 2, 3].map(async () => {
    const person = service.person()
    const { body: { factorId, secret } } = await person.call('POST', '/mfa/enroll')
    const { body: { recoveryCodes } } = await person.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) })
    return { person, secret, recoveryCodes: recoveryCodes as string[] }
  }))
  clock.advance(30)
  for (const { person, secret } of people) t.equal((await person.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)

  const tables = await distribute(url, 'on')
  t.ok(['users', 'factors', 'audit_events', 'notice_receivers'].every(name => tables.includes(name)))
  t.same(await distribute(url, 'auto'), [], 'once')

  for (const { person, secret, recoveryCodes } of people) {
    t.ok((await placeOf(service, person.tenant)).port)
    t.equal((await person.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 422, 'spent before')
    t.equal((await person.call('POST', '/mfa/recovery', { code: recoveryCodes[3] })).status, 200)
    t.ok(await chainTenant(db, person.tenant) >= 4)
    t.equal((await verifyTenant(db, person.tenant, service.config.MFA_SIGNING_KEYS)).broken, null)
  }
  clock.advance(30)
  for (const { person, secret } of people) t.equal((await person.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)
})
