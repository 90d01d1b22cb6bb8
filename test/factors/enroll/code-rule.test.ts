// Whose first enrollment needs a code of an administrator, so that a stolen password alone sets up no factor.
import t from 'tap'
import { administrator } from '../../helpers/administrator.ts'
import { type Answer, claimsOf, type User, type Service, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const service = await useService(t)
const { clock, db } = service
const roles = await startService(t, { ...service.env, ENROLL_REQUIRES_CODE: undefined }, clock) // it is the default
const always = await startService(t, { ...service.env, ENROLL_REQUIRES_CODE: 'always' }, clock)
const ADMIN = { roles: ['mfa:admin'] }
const NEEDS_CODE = { status: 401, body: { code: 'step_up_required', action: 'recovery' } }

const on = ({ call }: Service, user: User, method: string, path: string, body?: unknown, token = user.token()): Promise<Answer> =>
  call(method, path, { token, body })
/** The same user as another service sees them. */
const at = (where: Service, { sub, options }: User, tenant: string): User => where.user({ ...options, sub, tenant })

t.test('requireCode: no user sets up a factor anew without the code that a reset gives, or a later bypass', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const { status, body } = await actOn(id, 'reset', { requireCode: true })
  t.equal(status, 200)
  t.same(Object.keys(body).sort(), ['code', 'expiresAt'])
  t.match(body, { code: /^B/, expiresAt: /Z$/ })
  const actions = (await user.events()).slice(-2).map(({ action, details }) => [action, details.reason, details.requireCode])
  t.same(actions, [['user.reset', 'Ticket 4711', true], ['bypass.issued', 'Ticket 4711', undefined]])
  t.notMatch(JSON.stringify(await user.events()), body.code)

  const refused = await user.call('POST', '/mfa/enroll')
  t.match(refused, NEEDS_CODE)
  t.equal(refused.headers.get('www-authenticate'), 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age=900')
  t.equal((await db.rows`SELECT 1 FROM enrollments WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid`).length, 0)
  const { body: { token } } = await user.call('POST', '/mfa/recovery', { code: body.code })
  const started = await user.call('POST', '/mfa/enroll', {}, token)
  t.equal(started.status, 201)
  const confirm = { factorId: started.body.factorId, code: clock.code(started.body.secret) }
  t.match(await user.call('POST', '/mfa/enroll/confirm', confirm), NEEDS_CODE, 'by the login alone it is not confirmed either')
  t.match(await user.call('POST', '/mfa/enroll/confirm', confirm, token), { status: 200, body: { acr: 'mfa-recovery' } })

  // A user who has set up a factor again and removes it needs no code the next time.
  clock.advance(30)
  t.equal((await user.call('DELETE', `/mfa/factors/${confirm.factorId as string}`, {}, await user.verify(started.body.secret))).status, 204)
  t.equal((await user.call('POST', '/mfa/enroll')).status, 201)
})

t.test('the code may end unused: then a bypass helps, and a reset has nothing to take', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const { code } = (await actOn(id, 'reset', { requireCode: true })).body
  await db.rows`UPDATE bypasses SET expires_at = now() WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid`
  t.equal((await user.call('POST', '/mfa/recovery', { code })).status, 422)
  t.match(await user.call('POST', '/mfa/enroll'), NEEDS_CODE)
  t.equal((await actOn(id, 'reset')).status, 409)
  const bypass = (await actOn(id, 'bypass')).body.code
  const { body: { token } } = await user.call('POST', '/mfa/recovery', { code: bypass })
  clock.advance(901)
  t.equal((await user.call('POST', '/mfa/enroll', {}, token)).status, 401, 'the token has ended')
  const again = (await user.call('POST', '/mfa/recovery', { code: await administratorsBypass(user, id) })).body.token
  t.equal((await user.enroll(again)).recoveryCodes?.length, 10)
})

/** By SQL's own hand, where the test's administrator would have to verify anew. */
async function administratorsBypass (user: User, id: string): Promise<string> {
  const other = await administrator(service, ['mfa:admin'], user.tenant)
  return (await other.actOn(id, 'bypass')).body.code
}

t.test('a reset without requireCode asks for none, and ends what an earlier one asked', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const { code } = (await actOn(id, 'reset', { requireCode: true })).body
  const { body: { token } } = await user.call('POST', '/mfa/recovery', { code })
  await user.call('POST', '/mfa/enroll', {}, token)
  t.equal((await actOn(id, 'reset')).status, 204, 'what is pending is something')
  t.equal((await user.call('POST', '/mfa/enroll')).status, 201)
})

t.test('an old authentication of a remembered session is no fresh code', async t => {
  const remembering = await startService(t, { ...service.env, JWT_SESSION_CLAIM: 'sid' }, clock)
  const { actOn, enrolled } = await administrator(remembering)
  const { user, id } = await enrolled({ sid: 's1' })
  const { code } = (await actOn(id, 'reset', { requireCode: true })).body
  await user.call('POST', '/mfa/recovery', { code })
  clock.advance(901)
  const { body: { token } } = await user.call('POST', '/mfa/token')
  t.equal(claimsOf(token).bypass, true)
  t.match(await user.call('POST', '/mfa/enroll', {}, token), NEEDS_CODE)
})

t.test('always: everyone needs one, and no fresh login', async t => {
  const { admin, actOn, seen } = await administrator(service)
  const { user, id } = await seen()
  t.match(await on(always, user, 'POST', '/mfa/enroll'), NEEDS_CODE)
  t.match(await on(always, user, 'POST', '/mfa/enroll', {}, user.token({ auth_time: clock.seconds - 5000 })), NEEDS_CODE)
  const { code } = (await actOn(id, 'bypass')).body
  const { body } = await on(always, user, 'POST', '/mfa/recovery', { code }, user.token({ auth_time: clock.seconds - 5000 }))
  const mine = await at(always, user, admin.tenant).enroll(body.token)
  t.equal(mine.recoveryCodes?.length, 10)
  t.equal((await on(always, user, 'POST', '/mfa/enroll', {}, mine.token)).status, 201, 'a further one takes a second factor')
  t.match(
    await on(always, always.user(ADMIN), 'POST', '/mfa/enroll'),
    NEEDS_CODE,
    'the first administrator too: the break-glass command gives them one'
  )
})

t.test('by default: an attacker with the password of a promoted user that support has reset sets up no factor, and administers ' +
  'nothing', async t => {
  t.equal(roles.config.ENROLL_REQUIRES_CODE, 'roles')
  const { admin: { tenant }, actOn, enrolled } = await administrator(roles, ['mfa:support'])
  const { user, id } = await enrolled()
  // Promoted at the identity provider, and not seen here since: support may still reset them.
  t.equal((await actOn(id, 'reset')).status, 204)
  const thief = at(roles, user, tenant)
  thief.options.roles = ['mfa:admin']
  t.match(await thief.call('POST', '/mfa/enroll'), NEEDS_CODE)
  t.match(await thief.call('POST', '/mfa/enroll', {}, thief.token({ roles: [] })), NEEDS_CODE, 'nor by a token of before the promotion')
  t.match(await thief.call('GET', '/admin/policy'), { status: 409, body: { code: 'not_enrolled' } })
  t.match(await actOn(id, 'bypass'), { status: 403 }, 'nor does support hand them the code')
  t.equal((await db.rows`SELECT 1 FROM factors WHERE tenant = ${tenant} AND user_id = ${id}::uuid`).length, 0)
})

t.test('by default: a first factor that was started before its owner was promoted is confirmed only with a code', async t => {
  const { admin: { tenant } } = await administrator(roles)
  const user = roles.user({ tenant })
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const confirm = { factorId, code: clock.code(secret) }
  user.options.roles = ['mfa:admin']
  t.match(await user.call('POST', '/mfa/enroll/confirm', confirm), NEEDS_CODE)
})

t.test('roles: the first administrator of a tenant needs none, further ones do, and others never', async t => {
  const first = roles.user(ADMIN)
  const { tenant } = first
  t.equal((await first.enroll()).recoveryCodes?.length, 10)
  const second = roles.user({ tenant, roles: ['mfa:auditor'] })
  t.match(await second.call('POST', '/mfa/enroll'), NEEDS_CODE)
  t.match(await second.call('POST', '/mfa/enroll', {}, second.token({ roles: [] })), NEEDS_CODE, 'whatever the token leaves out')
  t.equal((await roles.user({ tenant }).enroll()).recoveryCodes?.length, 10)
  t.equal((await roles.user(ADMIN).enroll()).recoveryCodes?.length, 10, 'of another tenant')
  const other = await administrator(roles, ['mfa:admin'], `${tenant}-b`)
  t.ok(other)
  await db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${tenant} AND subject = ${first.sub}`
  t.equal((await second.enroll()).recoveryCodes?.length, 10, 'no one is there to ask')
})

t.test('roles: a first factor that was set up without a code administers after a day, and so does what is set up by it', async t => {
  const first = await administrator(roles)
  const { tenant } = first.admin
  const user = roles.user({ tenant })
  const { secret, token } = await user.enroll()
  clock.advance(30)
  const second = await user.enroll(token)
  const promoted = at(roles, user, tenant)
  promoted.options.roles = ['mfa:admin']
  for (const each of [secret, second.secret]) {
    t.match(await promoted.call('GET', '/admin/policy', undefined, await promoted.verify(each)), {
      status: 403,
      body: { code: 'forbidden' }
    })
  }
  await db
    .rows`UPDATE factors SET after_recovery_at = (after_recovery_at AT TIME ZONE 'UTC' - interval '1 day') AT TIME ZONE 'UTC'
      WHERE tenant = ${tenant} AND id = ${second.factorId}::uuid`
  t.match(await promoted.call('GET', '/admin/policy', undefined, await promoted.verify(secret)), {
    status: 401,
    body: { code: 'step_up_required', action: 'verify' }
  }, 'an older one is asked for')
  t.equal((await promoted.call('GET', '/admin/policy', undefined, await promoted.verify(second.secret))).status, 200)

  // Where no user needed a code, no one waits.
  const early = roles.user()
  const mine = await early.enroll()
  early.options.roles = ['mfa:admin']
  t.equal((await early.call('GET', '/admin/policy', undefined, await early.verify(mine.secret))).status, 200)
})

t.test('roles: by a bypass a further administrator sets up, and administers after a day', async t => {
  const { admin, actOn } = await administrator(roles)
  const second = roles.user({ ...ADMIN, tenant: admin.tenant })
  const { body: { userId } } = await second.call('GET', '/mfa/status')
  const { body: { token } } = await second.call('POST', '/mfa/recovery', { code: (await actOn(userId, 'bypass')).body.code })
  const { secret } = await second.enroll(token)
  t.match(await second.call('GET', '/admin/policy', undefined, await second.verify(secret)), { status: 403 })
  await db
    .rows`UPDATE factors SET after_recovery_at = (after_recovery_at AT TIME ZONE 'UTC' - interval '1 day') AT TIME ZONE 'UTC'
      WHERE tenant = ${admin.tenant}`
  t.equal((await second.call('GET', '/admin/policy', undefined, await second.verify(secret))).status, 200)
})

t.test('a reset that comes between the start and its writing leaves nothing pending', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id, token } = await enrolled()
  const { settle } = db
  t.teardown(() => { service.db.settle = settle })
  const beside = (change: () => Promise<unknown>): void => {
    service.db.settle = async (...call) => {
      service.db.settle = settle
      await change()
      return await settle(...call)
    }
  }
  beside(async () => { t.equal((await actOn(id, 'reset', { requireCode: true })).status, 200) })
  t.equal((await user.call('POST', '/mfa/enroll', {}, token)).status, 401, 'its token has ended')
  t.equal((await db.rows`SELECT 1 FROM enrollments WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid`).length, 0)
  const { user: newcomer, id: theirs } = await (await administrator(service, ['mfa:admin'], user.tenant)).seen()
  await newcomer.call('POST', '/mfa/enroll')
  beside(async () => { t.equal((await actOn(theirs, 'reset')).status, 204) })
  t.equal((await newcomer.call('POST', '/mfa/enroll')).status, 201, 'a login starts anew')
  service.db.settle = async () => ({ outcome: 'stale' }) as never
  t.match(await newcomer.call('POST', '/mfa/enroll'), { status: 503 })
})
