// The way from one PostgreSQL to Citus: the database that there is becomes the coordinator, beside a running service.
import pg from 'pg'
import t from 'tap'
import { distribute, hoardsPlans } from '../../src/platform/db/distribute.ts'
import { applyMigrations } from '../../src/platform/db/migrate.ts'
import { chainTenant } from '../../src/audit/chain.sql.ts'
import { verifyTenant } from '../../src/audit/verify.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { placeOf } from '../helpers/cluster.ts'
import { inTime, startService } from '../helpers/service.ts'

t.test('users, their codes and their log are there afterwards, and what was spent stays spent', async t => {
  const { url } = await ownDatabase(t, { isMigrated: false })
  await applyMigrations(url)
  t.same(await distribute(url, 'off'), [], 'nothing is distributed unless it is wanted')
  const service = await startService(t, { DATABASE_URL: url, BCRYPT_COST: '10' })
  const { clock, db } = service
  const users = await Promise.all([1, 2, 3].map(async () => {
    const user = service.user()
    const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
    const { body: { recoveryCodes } } = await inTime(() => user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) }))
    return { user, secret, recoveryCodes: recoveryCodes as string[] }
  }))
  clock.advance(30)
  for (const { user, secret } of users) t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)

  const tables = await distribute(url, 'on')
  t.ok(['users', 'factors', 'audit_events', 'webhook_endpoints'].every(name => tables.includes(name)))
  t.same(await distribute(url, 'auto'), [], 'once')

  for (const { user, secret, recoveryCodes } of users) {
    t.ok((await placeOf(service, user.tenant)).port)
    t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 422, 'spent before')
    t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes[3] })).status, 200)
    t.ok(await chainTenant(db, user.tenant) >= 4)
    t.equal((await verifyTenant(db, user.tenant, service.config.MFA_SIGNING_KEYS)).broken, null)
  }
  clock.advance(30)
  for (const { user, secret } of users) t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)
})

t.test('where Citus would keep a plan for each use of a statement, a tenant\'s functions have none kept', async t => {
  for (const version of ['12.1.11', '13.2.1', '13.4.0', '14.0.0', '14.2.0']) t.ok(hoardsPlans(version), version)
  for (const version of ['12.1.10', '13.1.1', '13.2.0', '13.5.0', '14.3.0', '15.0.0']) t.notOk(hoardsPlans(version), version)
  const { url } = await ownDatabase(t)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const settings = async (): Promise<unknown> => (await client.query(`
    SELECT DISTINCT coalesce(proconfig, '{}') AS set FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND proargnames[1] = 'p_tenant' ORDER BY 1`)).rows
  const { rows: [{ version }] } = await client.query("SELECT current_setting('citus.version') AS version")
  const hoards = hoardsPlans(version)
  const expected = hoards
    ? [{ set: ['plan_cache_mode=force_custom_plan'] }]
    : [{ set: [] }, { set: ['plan_cache_mode=force_generic_plan'] }]
  t.same(await settings(), expected)
  // As after an update, and after a migration that made one of them anew.
  for (const name of ['accept_factor', 'find_users']) {
    await client.query(`ALTER FUNCTION ${name} ${hoards ? 'RESET plan_cache_mode' : 'SET plan_cache_mode = force_custom_plan'}`)
  }
  await distribute(url, 'on')
  t.same(await settings(), expected)
  await client.end()
})
