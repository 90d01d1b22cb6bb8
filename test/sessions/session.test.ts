import t from 'tap'
import { claimsOf, startService } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const REMEMBERING = { JWT_SESSION_CLAIM: 'sid' }

t.test('a second factor counts for the login session that it was done in, and for no other', async t => {
  const service = await useService(t, REMEMBERING)
  const user = service.user({ sid: 's1' })
  const { secret } = await user.enroll()
  await user.verify(secret)
  const decision = async (claims = {}, who = user): Promise<string> =>
    (await who.call('GET', '/mfa/status', undefined, who.token(claims))).body.decision.reason
  t.equal(await decision(), 'mfa_verified')
  t.equal((await user.call('POST', '/mfa/token')).status, 200)
  const others: Array<[string, Record<string, unknown>, typeof user]> = [
    ['another session', { sid: 's2' }, user],
    ['a token without the claim', { sid: undefined }, user],
    ['another user with the same session id', {}, service.user({ tenant: user.tenant, sid: 's1' })],
    ['the same subject in another tenant', {}, service.user({ sub: user.sub, sid: 's1' })]
  ]
  for (const [name, claims, who] of others) {
    t.not(await decision(claims, who), 'mfa_verified', name)
    t.match((await who.call('POST', '/mfa/token', {}, who.token(claims))).body.code, /step_up_required|not_enrolled/, name)
  }
})

t.test('with the claim unset nothing is written, and nothing is remembered', async t => {
  const service = await useService(t)
  const user = service.user({ sid: 's1' })
  const { secret, token } = await user.enroll()
  await user.verify(secret)
  await user.call('DELETE', '/mfa/session', undefined, token)
  t.equal((await service.db.rows`SELECT 1 FROM mfa_sessions WHERE tenant = ${user.tenant}`).length, 0)
  t.match((await user.call('POST', '/mfa/token')).body, { code: 'step_up_required', action: 'verify' })
})

t.test('renewing a hundred times never makes it fresh, nor longer than its age or the token that it was made from', async t => {
  const service = await useService(t, REMEMBERING)
  const user = service.user({ sid: 's1' })
  const { token } = await user.enroll()
  const authentication = claimsOf(token)
  let renewed = token
  for (let i = 0; i < 100; i++) {
    service.clock.advance(5)
    const { status, body } = await user.call('POST', '/mfa/token', {}, renewed)
    t.equal(status, 200)
    renewed = body.token
    const claims = claimsOf(renewed)
    if (claims.auth_time !== authentication.auth_time || claims.exp > authentication.exp || claims.acr !== 'mfa') {
      t.fail('the authentication moved')
    }
  }
  service.clock.advance(450)
  t.equal((await user.call('POST', '/mfa/token', {}, renewed)).status, 401, 'a stolen MFA token alone never outlives itself')
  const fresh = claimsOf((await user.call('POST', '/mfa/token')).body.token)
  t.equal(fresh.auth_time, authentication.auth_time, 'the first factor renews it, at the authentication\'s own time')
  const admin = await user.call('POST', '/mfa/recovery/codes', {}, (await user.call('POST', '/mfa/token')).body.token)
  t.match(admin.body, { code: 'step_up_required' }, 'what needs a fresh second factor still asks')
})

t.test('it ends at MFA_SESSION_MAX_AGE_SECONDS after the authentication, and no token of it lasts longer', async t => {
  const service = await startService(t, { ...REMEMBERING, MFA_SESSION_MAX_AGE_SECONDS: '300' })
  const user = service.user({ sid: 's1' })
  await user.enroll()
  const { auth_time: authTime, exp } = claimsOf((await user.call('POST', '/mfa/token')).body.token)
  t.equal(exp, authTime + 300)
  await service.db.rows`UPDATE mfa_sessions SET ends_at = now() WHERE tenant = ${user.tenant}`
  t.equal((await user.call('POST', '/mfa/token')).body.code, 'step_up_required')
  t.equal((await user.call('GET', '/mfa/status')).body.decision.action, 'verify')
})

t.test('a log-out ends the session and its MFA tokens on every replica, and a later code counts again', async t => {
  const service = await useService(t, REMEMBERING)
  const replica = await startService(t, service.env, service.clock)
  const user = service.user({ sid: 's1' })
  const { secret, token } = await user.enroll()
  const elsewhere = (await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, user.token({ sid: 's2' }))).body.token
  service.clock.advance(30)
  t.equal((await user.call('DELETE', '/mfa/session')).status, 204)
  for (const { call } of [service, replica]) {
    t.equal((await call('GET', '/mfa/status', { token })).status, 401)
    t.equal((await call('POST', '/mfa/token', { token: user.token() })).body.code, 'step_up_required')
    t.equal((await call('GET', '/mfa/status', { token: elsewhere })).status, 200, 'another session goes on')
  }
  const again = await user.verify(secret)
  t.equal((await replica.call('GET', '/mfa/status', { token: again })).status, 200)
  t.equal((await replica.call('GET', '/mfa/status', { token })).status, 401, 'the tokens of before stay dead')
  t.equal((await user.call('POST', '/mfa/token')).status, 200)
  t.match((await user.events()).find(event => event.action === 'session.ended'), { outcome: 'success' })
})

t.test('logging out without a session, or twice, is 204 too', async t => {
  const service = await useService(t, REMEMBERING)
  const user = service.user()
  t.equal((await user.call('DELETE', '/mfa/session')).status, 204)
  t.equal((await user.call('DELETE', '/mfa/session', undefined, user.token({ sid: 'x' }))).status, 204)
  t.equal((await user.call('DELETE', '/mfa/session', undefined, user.token({ sid: 'x' }))).status, 204)
})

t.test('signing out everywhere needs an MFA token and ends every session and token', async t => {
  const service = await useService(t, REMEMBERING)
  const user = service.user({ sid: 's1' })
  t.equal((await user.call('DELETE', '/mfa/sessions')).body.code, 'not_enrolled')
  const { secret, token } = await user.enroll()
  const other = (await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, user.token({ sid: 's2' }))).body.token
  t.match((await user.call('DELETE', '/mfa/sessions')).body, { code: 'step_up_required', action: 'verify' })
  t.equal((await user.call('DELETE', '/mfa/sessions', undefined, token)).status, 204)
  for (const dead of [token, other]) t.equal((await user.call('GET', '/mfa/status', undefined, dead)).status, 401)
  for (const sid of ['s1', 's2']) t.equal((await user.call('POST', '/mfa/token', {}, user.token({ sid }))).body.code, 'step_up_required')
  t.match((await user.events()).at(-1), { action: 'user.signed_out' })
})

t.test('a session remembered through a recovery code stays mfa-recovery in every token made from it', async t => {
  const service = await useService(t, REMEMBERING)
  const user = service.user({ sid: 's1', roles: ['mfa:admin'] })
  const { secret, recoveryCodes } = await user.enroll()
  await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  const { body } = await user.call('POST', '/mfa/token')
  t.match(body, { acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'] })
  t.match((await user.call('POST', '/mfa/token', {}, body.token)).body, { acr: 'mfa-recovery' })
  t.equal((await user.call('GET', '/admin/policy', undefined, body.token)).status, 401)
  await user.verify(secret)
  t.match((await user.call('POST', '/mfa/token')).body, { acr: 'mfa' }, 'the latest authentication is what is remembered')
})

t.test('removing a factor carries the acting session on, and ends all others', async t => {
  const service = await useService(t, REMEMBERING)
  const user = service.user({ sid: 's1' })
  const kept = await user.enroll()
  const gone = await user.enroll(kept.token)
  await user.call('POST', '/mfa/verify', { code: service.clock.code(gone.secret) }, user.token({ sid: 's2' }))
  service.clock.advance(30)
  const acting = await user.verify(kept.secret)
  const { body } = await user.call('DELETE', `/mfa/factors/${gone.factorId}`, undefined, acting)
  t.equal(claimsOf((await user.call('POST', '/mfa/token')).body.token).auth_time, claimsOf(body.token).auth_time)
  t.equal((await user.call('POST', '/mfa/token', {}, user.token({ sid: 's2' }))).body.code, 'step_up_required')
})

t.test('what a log-out has ended stays dead, however short what is remembered', async t => {
  const { sweep } = await import('../../src/maintenance/sweep.sql.ts')
  const service = await startService(t, { ...REMEMBERING, MFA_SESSION_MAX_AGE_SECONDS: '60' })
  const user = service.user({ sid: 's1' })
  const { token, secret } = await user.enroll()
  t.equal((await user.call('DELETE', '/mfa/session')).status, 204)
  t.equal((await user.call('GET', '/mfa/factors', undefined, token)).status, 401)
  const later = await user.verify(secret)
  // A minute later, as far as the sweep can tell.
  await service.db.rows`UPDATE mfa_sessions SET ends_at = (ends_at AT TIME ZONE 'UTC' - interval '2 minutes') AT TIME ZONE 'UTC',
    expires_at = (expires_at AT TIME ZONE 'UTC' - interval '2 minutes') AT TIME ZONE 'UTC' WHERE tenant = ${user.tenant}`
  await sweep(service.db)
  t.equal((await user.call('GET', '/mfa/factors', undefined, token)).status, 401, 'the one of before')
  t.equal((await user.call('GET', '/mfa/factors', undefined, later)).status, 200, 'the one of after')
  t.equal((await user.call('DELETE', '/mfa/session')).status, 204)
  t.equal((await user.call('GET', '/mfa/factors', undefined, later)).status, 401, 'until the next log-out')
})

t.test('rows that have ended are swept away, others stay', async t => {
  const { sweep } = await import('../../src/maintenance/sweep.sql.ts')
  const service = await useService(t, REMEMBERING)
  const user = service.user({ sid: 's1' })
  const { token } = await user.enroll()
  await user.call('POST', '/mfa/enroll', {}, token)
  await sweep(service.db)
  t.equal((await service.db.rows`SELECT 1 FROM mfa_sessions WHERE tenant = ${user.tenant}`).length, 1)
  t.equal((await service.db.rows`SELECT 1 FROM enrollments WHERE tenant = ${user.tenant}`).length, 1)
  await service.db.rows`UPDATE mfa_sessions SET expires_at = now() WHERE tenant = ${user.tenant}`
  await service.db.rows`UPDATE enrollments SET expires_at = now() WHERE tenant = ${user.tenant}`
  t.ok(await sweep(service.db) >= 2)
  t.equal((await service.db.rows`SELECT 1 FROM mfa_sessions WHERE tenant = ${user.tenant}`).length, 0)
})

t.test('the service sweeps by itself, and survives a sweep that fails', async t => {
  const { startSweeping } = await import('../../src/maintenance/sweep.sql.ts')
  const service = await useService(t, REMEMBERING)
  const user = service.user({ sid: 's1' })
  await user.enroll()
  await service.db.rows`UPDATE mfa_sessions SET expires_at = now() WHERE tenant = ${user.tenant}`
  const failures: unknown[] = []
  const stop = startSweeping(service.db, error => { failures.push(error) }, 10)
  const broken = startSweeping({ ...service.db, reports: () => Promise.reject(new Error('gone')) }, error => { failures.push(error) }, 10)
  while (failures.length === 0 || (await service.db.rows`SELECT 1 FROM mfa_sessions
    WHERE tenant = ${user.tenant}`).length > 0) { await new Promise(resolve => setTimeout(resolve, 10)) }
  await stop()
  await broken()
  t.match(failures[0], { message: 'gone' })
})
