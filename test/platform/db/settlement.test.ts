// What must happen together happens together or not at all: state, recovery codes and audit.
import t from 'tap'
import { ownDatabase } from '../../helpers/database.ts'
import { asOwner, serviceRole } from '../../helpers/role.ts'
import { startService } from '../../helpers/service.ts'

const { url } = await ownDatabase(t)
const role = await serviceRole(t, url)
const service = await startService(t, { DATABASE_URL: role.url })
const { clock, db } = service

/** Takes a right from the service for as long as `work` lasts. */
async function without (right: string, table: string, work: () => Promise<void>): Promise<void> {
  await asOwner(url, [`REVOKE ${right} ON ${table} FROM headless_mfa`])
  try {
    await work()
  } finally {
    await asOwner(url, [`GRANT ${right} ON ${table} TO headless_mfa`])
  }
}

/** All that the database holds of a tenant, but for the claim of a confirmation, which ends by itself. */
const stateOf = async (tenant: string): Promise<unknown> => Promise.all([
  db.rows`SELECT * FROM users WHERE tenant = ${tenant} ORDER BY id`,
  db.rows`SELECT * FROM factors WHERE tenant = ${tenant} ORDER BY id`,
  db.rows`SELECT factor_id, label, sealed, attempts FROM enrollments WHERE tenant = ${tenant} ORDER BY factor_id`,
  db.rows`SELECT * FROM recovery_sets WHERE tenant = ${tenant} ORDER BY id`,
  db.rows`SELECT * FROM recovery_codes WHERE tenant = ${tenant} ORDER BY user_id, slot`,
  db.rows`SELECT * FROM bypasses WHERE tenant = ${tenant} ORDER BY user_id`,
  db.rows`SELECT * FROM tombstones WHERE tenant = ${tenant}`,
  db.rows`SELECT * FROM revocations WHERE tenant = ${tenant} ORDER BY user_id`,
  // A renewal that comes to nothing was one all the same: of those there are six an hour. One that has counted nothing is none.
  db.rows`SELECT * FROM throttles WHERE tenant = ${tenant} AND kind <> 'renew' AND (tries > 0 OR recent <> '{}') ORDER BY user_id, kind`,
  db.rows`SELECT * FROM policies WHERE tenant = ${tenant}`,
  db.rows`SELECT cohort, is_enrolled, sum(users) FROM current_tallies WHERE tenant = ${tenant} GROUP BY 1, 2 ORDER BY 1, 2`,
  db.rows`SELECT * FROM audit_events WHERE tenant = ${tenant} ORDER BY at, id`
])

t.test('where the audit cannot be written, nothing happens; when it can again, the same codes are good', async t => {
  const user = service.user({ roles: ['mfa:admin'] })
  const { secret, recoveryCodes, factorId, token } = await user.enroll()
  const { body: pending } = await user.call('POST', '/mfa/enroll', {}, token)
  const other = service.user({ tenant: user.tenant })
  const { body: { userId } } = await other.call('GET', '/mfa/status')
  await other.enroll()
  const calls: Array<[number, string, string, object]> = [
    [201, 'POST', '/mfa/enroll', {}],
    [200, 'POST', '/mfa/verify', { code: clock.code(secret) }],
    [422, 'POST', '/mfa/verify', { code: clock.wrongCode(secret) }],
    [200, 'POST', '/mfa/recovery', { code: recoveryCodes?.[0] }],
    [422, 'POST', '/mfa/recovery', { code: recoveryCodes?.[0] }],
    [200, 'PATCH', `/mfa/factors/${factorId}`, { label: 'Another' }],
    [201, 'POST', '/mfa/recovery/codes', {}],
    ...([['unlock', 204], ['sign-out', 204], ['bypass', 201], ['reset', 204], ['erase', 204]] as const).map((
      [what, status]
    ): [number, string, string, object] => [status, 'POST', `/admin/users/${userId as string}/${what}`, { reason: 'x' }]),
    [200, 'PUT', '/admin/users', {
      users: [{ subject: 'new' }, { subject: user.sub, groups: ['g'] }, { subject: 'gone', disabled: true }]
    }],
    [200, 'PUT', '/admin/policy', { enforcement: 'required' }],
    [200, 'PUT', '/admin/policy', { enforcement: 'optional' }],
    [204, 'DELETE', `/mfa/factors/${factorId}`, {}]
  ]
  const before = await stateOf(user.tenant)
  await without('INSERT', 'audit_events', async () => {
    const confirm = { factorId: pending.factorId, code: clock.code(pending.secret) }
    for (const [, method, path, body] of [...calls, [0, 'POST', '/mfa/enroll/confirm', confirm]] as typeof calls) {
      if (path === '/admin/policy' && 'enforcement' in body && body.enforcement === 'optional') continue // changes nothing yet
      const answer = await user.call(method, path, body, token)
      t.match(answer, { status: 503, body: { code: 'unavailable' } }, `${method} ${path}`)
      t.notMatch(answer.text, /eyJ|audit|permission|\b[0-9A-Z]{4}(-[0-9A-Z]{4}){3}\b/)
    }
    t.same(await stateOf(user.tenant), before)
  })
  for (const [status, method, path, body] of calls) {
    t.equal((await user.call(method, path, body, token)).status, status, `${method} ${path}`)
  }
})

t.test('a failure that cannot be audited is no refusal, and one that can\'t be counted neither', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  for (const [right, table] of [['INSERT', 'audit_events'], ['UPDATE', 'throttles']] as const) {
    await without(right, table, async () => {
      t.equal((await user.call('POST', '/mfa/verify', { code: clock.wrongCode(secret) })).status, 503, table)
      t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 503, table)
    })
  }
  t.match(await user.throttle('totp'), { failures: 0, recent: [] })
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)
})

t.test('a factor whose recovery codes cannot be stored is not active', async t => {
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const confirm = () => user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) })
  const before = await stateOf(user.tenant)
  await without('INSERT', 'recovery_codes', async () => {
    const answer = await confirm()
    t.equal(answer.status, 503)
    t.notMatch(answer.text, /eyJ|"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}"/)
    t.same(await stateOf(user.tenant), before)
    t.match((await user.call('GET', '/mfa/status')).body, { enrolled: false, recoveryCodes: null })
  })
  await db.rows`UPDATE enrollments SET claimed_until = now() - interval '1 second' WHERE tenant = ${user.tenant}`
  t.equal((await confirm()).status, 200)
})

t.test('a code whose session cannot be remembered is not accepted; when it can, the same one is good', async t => {
  const remembering = await startService(t, { ...service.env, JWT_SESSION_CLAIM: 'sid' }, clock)
  const user = remembering.user({ sid: 'session-1' })
  const { secret, recoveryCodes, token } = await user.enroll()
  const { body: pending } = await user.call('POST', '/mfa/enroll', {}, token)
  const fresh = user.token({ sid: 'session-2' })
  const calls: Array<[string, object, string]> = [
    ['/mfa/verify', { code: clock.code(secret) }, fresh],
    ['/mfa/recovery', { code: recoveryCodes?.[0] }, fresh],
    ['/mfa/enroll/confirm', { factorId: pending.factorId, code: clock.code(pending.secret) }, token]
  ]
  const before = await stateOf(user.tenant)
  await without('INSERT', 'mfa_sessions', async () => {
    for (const [path, body, by] of calls) {
      t.match(await user.call('POST', path, body, by), { status: 503, body: { code: 'unavailable' } }, path)
    }
    t.same(await stateOf(user.tenant), before)
  })
  await db.rows`UPDATE enrollments SET claimed_until = now() - interval '1 second' WHERE tenant = ${user.tenant}`
  for (const [path, body, by] of calls) {
    t.equal((await user.call('POST', path, body, by)).status, 200, path)
    const remembered = await user.call('POST', '/mfa/token', {}, by === fresh ? fresh : user.token())
    t.equal(remembered.body.acr, path === '/mfa/recovery' ? 'mfa-recovery' : 'mfa', `${path}: remembered`)
  }
})

t.test('recovery codes that cannot be replaced stay good', async t => {
  const user = service.user()
  const { token, recoveryCodes } = await user.enroll()
  await without('INSERT', 'recovery_codes', async () => {
    t.equal((await user.call('POST', '/mfa/recovery/codes', {}, token)).status, 503)
  })
  t.match((await user.call('GET', '/mfa/recovery')).body, { total: 10, remaining: 10 })
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[4] })).status, 200)
})

t.test('a policy that cannot be read is never taken for an optional one', async t => {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
  const user = service.user({ tenant: admin.tenant })
  const decision = { action: 'enroll', reason: 'required_by_policy' }
  t.match((await user.call('GET', '/mfa/status')).body, { decision })
  await without('SELECT', 'policies', async () => {
    t.match(await user.call('GET', '/mfa/status'), { status: 503, body: { code: 'unavailable' } })
    t.equal((await admin.call('GET', '/admin/policy', undefined, token)).status, 503, 'and to an administrator')
    t.equal((await admin.call('PUT', '/admin/policy', { enforcement: 'optional' }, token)).status, 503, 'nor is it changed')
  })
  await without('SELECT', 'users, leases', async () => {
    t.match(await user.call('GET', '/mfa/status'), { status: 503, body: { code: 'unavailable' } })
    t.equal((await admin.call('POST', '/mfa/verify', { code: '123456' })).status, 503)
    t.equal((await service.call('GET', '/health/ready')).status, 503)
    t.equal((await service.call('GET', '/health/live')).status, 200)
  })
  t.match((await user.call('GET', '/mfa/status')).body, { decision })
})

t.test('what fails behind Prisma is told by the code of PostgreSQL, as what fails without it', async t => {
  const reason = { name: 'UnavailableError', code: '22012' }
  await t.rejects(db.models(models => models.$queryRaw`SELECT 1 / 0`), reason)
  await t.rejects(db.reports`SELECT 1 / 0`, reason)
})
