import t from 'tap'
import { administrator } from '../../helpers/administrator.ts'
import { type User } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000'
const service = await useService(t, { JWT_SESSION_CLAIM: 'sid', THROTTLE_WAITS: '0,0,0,0,30' })
const { clock, db } = service

/** Everything by which a user could prove a second factor, and what keeps them from it. */
const belongings = async ({ tenant }: User, id: string): Promise<Record<string, number>> => {
  const [row] = await db.rows<Record<string, number>>`SELECT
    (SELECT count(*)::int FROM factors WHERE tenant = ${tenant} AND user_id = ${id}::uuid) AS factors,
    (SELECT count(*)::int FROM recovery_codes WHERE tenant = ${tenant} AND user_id = ${id}::uuid) AS codes,
    (SELECT count(*)::int FROM recovery_sets WHERE tenant = ${tenant} AND user_id = ${id}::uuid) AS sets,
    (SELECT count(*)::int FROM enrollments WHERE tenant = ${tenant} AND user_id = ${id}::uuid) AS pending,
    (SELECT count(*)::int FROM bypasses WHERE tenant = ${tenant} AND user_id = ${id}::uuid) AS bypasses,
    (SELECT count(*)::int FROM mfa_sessions WHERE tenant = ${tenant} AND user_id = ${id}::uuid) AS sessions,
    (SELECT count(*)::int FROM throttles WHERE tenant = ${tenant} AND user_id = ${id}::uuid AND (failures > 0 OR locked_at IS NOT NULL
      OR wait_until IS NOT NULL OR recent <> '{}')) AS closed`
  return row as Record<string, number>
}
const NONE = { factors: 0, codes: 0, sets: 0, pending: 0, bypasses: 0, sessions: 0, closed: 0 }

t.test('a reset takes factors, codes, what is pending, sessions and locks, ends the tokens, and keeps what there was in the ' +
  'audit', async t => {
  const { admin, actOn, enrolled } = await administrator(service)
  const { user, id, secret, recoveryCodes, factorId, token } = await enrolled({ sid: 's1', accounts: ['local'] })
  await user.call('POST', '/mfa/enroll', {}, token)
  await actOn(id, 'bypass')
  for (let failure = 0; failure < 5; failure++) await user.call('POST', '/mfa/verify', { code: clock.wrongCode(secret) })
  t.match(await belongings(user, id), { factors: 1, codes: 10, pending: 1, bypasses: 1, sessions: 1, closed: 2 })
  const before = await user.row()
  const answer = await actOn(id, 'reset')
  t.equal(answer.status, 204)
  t.equal(answer.text, '')
  t.same(await belongings(user, id), NONE)
  t.match(await user.row(), { epoch: before.epoch + 1, revision: before.revision + 1 })
  const event = (await admin.events()).at(-1)
  t.match(event, {
    action: 'user.reset',
    actor: (await admin.row()).id,
    subject: id,
    outcome: 'success',
    address: '127.0.0.1',
    request_id: answer.headers.get('x-request-id') as string
  })
  t.match(event?.details, {
    reason: 'Ticket 4711',
    requireCode: false,
    factors: [{ factorId, label: 'Authenticator 1', confirmedAt: /^\d{4}-/, lastUsedAt: null }],
    cleared: { totp: { failures: 5, waitUntil: /^\d{4}-/, lockedAt: null, budget: 5 } }
  })
  t.notMatch(JSON.stringify(event), new RegExp([secret, ...recoveryCodes as string[], 'sealed', '\\$2b'].join('|')))
  const [revocation] = await db.rows`SELECT epoch FROM revocations WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid AND issuer = ''`
  t.match(revocation, { epoch: before.epoch + 1 })

  t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 401)
  t.match((await user.call('GET', '/mfa/status')).body, {
    enrolled: false,
    recoveryCodes: null,
    decision: { action: 'allow', reason: 'not_required' }
  }, 'nothing is remembered of the session')
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 409)
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 422)
  const anew = await user.enroll()
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[1] })).status, 422, 'not after a new enrollment either')
  t.equal((await user.call('POST', '/mfa/recovery', { code: anew.recoveryCodes?.[1] })).status, 200)
})

t.test('who has nothing is not reset: not_enrolled; what is pending is something', async t => {
  const { actOn, seen, admin } = await administrator(service)
  const { user, id } = await seen()
  const before = await user.row()
  t.match(await actOn(id, 'reset'), { status: 409, body: { code: 'not_enrolled' } })
  t.match(await actOn(id, 'reset', { requireCode: true }), { status: 409, body: { code: 'not_enrolled' } })
  t.same(await user.row(), before)
  t.notOk((await admin.events()).some(({ action }) => action === 'user.reset'))
  const { body } = await user.call('POST', '/mfa/enroll')
  t.equal((await actOn(id, 'reset')).status, 204)
  t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId: body.factorId, code: clock.code(body.secret) })).status, 404)
})

t.test('a reset gives no second grace period', async t => {
  const { admin, token, actOn, enrolled } = await administrator(service)
  await admin.call('PUT', '/admin/policy', { enforcement: 'required', gracePeriodDays: 7 }, token)
  const { user, id } = await enrolled({ accounts: ['local'] })
  const path = `/admin/users/${id}`
  const { graceUntil } = (await admin.call('GET', path, undefined, token)).body
  await actOn(id, 'reset')
  t.match((await user.call('GET', '/mfa/status')).body, { decision: { action: 'allow', reason: 'grace', deadline: graceUntil } })
  await db.rows`UPDATE users SET grace_until = now() - interval '1 second' WHERE tenant = ${user.tenant} AND id = ${id}::uuid`
  await user.enroll()
  await actOn(id, 'reset')
  t.match((await user.call('GET', '/mfa/status')).body, { decision: { action: 'enroll', reason: 'required_by_policy' } })
})

t.test('an unlock clears run, wait, lock and budget, is audited with what there was, and moves no epoch', async t => {
  const { admin, actOn, enrolled } = await administrator(service)
  const { user, id, secret, recoveryCodes, token } = await enrolled()
  await db
    .rows`UPDATE throttles SET failures = 30, tries = 30, locked_at = now(), wait_until = now() + interval '1 hour',
      recent = array_fill(now(), ARRAY[20])
    WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid AND kind = 'totp'`
  t.match(await user.call('POST', '/mfa/verify', { code: clock.code(secret) }), { status: 403, body: { code: 'factor_locked' } })
  t.equal((await actOn(id, 'unlock')).status, 204)
  t.match(await user.throttle('totp'), { failures: 0, tries: 0, wait_until: null, locked_at: null, recent: [] })
  const event = (await admin.events()).at(-1)
  t.match(event, {
    action: 'user.unlocked',
    subject: id,
    details: { reason: 'Ticket 4711', cleared: { totp: { failures: 30, lockedAt: /./, budget: 20 } } }
  })
  t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 200)
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 200)
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)
  t.equal((await actOn(id, 'unlock')).status, 204, 'whose doors are open')
})

t.test('a sign-out ends every MFA token and remembered session, and takes nothing', async t => {
  const { admin, actOn, enrolled } = await administrator(service)
  const { user, id, token } = await enrolled({ sid: 's1' })
  t.match((await user.call('GET', '/mfa/status')).body.decision, { reason: 'mfa_verified' })
  t.equal((await actOn(id, 'sign-out')).status, 204)
  t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 401)
  t.match((await user.call('GET', '/mfa/status')).body, {
    enrolled: true,
    recoveryCodes: { remaining: 10 },
    decision: { action: 'verify' }
  })
  t.match((await admin.events()).at(-1), {
    action: 'user.signed_out',
    subject: id,
    actor: (await admin.row()).id,
    details: { reason: 'Ticket 4711' }
  })
  t.equal((await actOn(id, 'sign-out')).status, 204, 'again')
})

const ACTIONS = ['reset', 'unlock', 'bypass', 'sign-out', 'erase']

t.test('administrators do none of it to themselves, by whatever spelling of their id', async t => {
  const { admin, actOn } = await administrator(service)
  const { id } = await admin.row()
  const before = await db.rows`SELECT * FROM users WHERE tenant = ${admin.tenant}`
  for (const what of ACTIONS) {
    for (const spelled of [id, id.toUpperCase()]) {
      t.match(await actOn(spelled, what), { status: 403, body: { code: 'forbidden' } }, what)
      t.match((await admin.events()).at(-1), { action: 'access.refused', subject: id, details: { cause: 'oneself' } })
    }
  }
  t.same(await db.rows`SELECT * FROM users WHERE tenant = ${admin.tenant}`, before)
})

t.test('support helps users who were never seen with an mfa: role, and erases no one', async t => {
  const { admin, enrolled } = await administrator(service)
  const support = await administrator(service, ['mfa:support'], admin.tenant)
  const adminId = (await admin.row()).id
  const former = await enrolled({ roles: ['mfa:auditor'] })
  await former.user.call('GET', '/mfa/status', undefined, former.user.token({ roles: [] }))
  const user = await enrolled()
  for (const id of [adminId, former.id]) {
    for (const what of ACTIONS) t.match(await support.actOn(id, what), { status: 403, body: { code: 'forbidden' } }, what)
  }
  t.equal(
    (await admin.events()).filter(({ action, details }) => action === 'access.refused' && details.cause === 'support of an administrator')
      .length,
    8
  )
  t.match(await belongings(former.user, former.id), { factors: 1, codes: 10, bypasses: 0 })
  t.equal((await former.user.call('GET', '/mfa/status', undefined, former.token)).status, 200)
  for (const [what, status] of [['unlock', 204], ['sign-out', 204], ['bypass', 201], ['reset', 204]] as const) {
    t.equal((await support.actOn(user.id, what)).status, status, what)
  }
  t.match(await support.actOn(user.id, 'erase'), { status: 403 })
  const auditor = await administrator(service, ['mfa:auditor', 'mfa:sync'], admin.tenant)
  for (const what of ACTIONS) t.equal((await auditor.actOn(user.id, what)).status, 403, what)
})

t.test('a user who is first seen as an administrator while support acts is not touched', async t => {
  const { admin } = await administrator(service)
  const support = await administrator(service, ['mfa:support'], admin.tenant)
  const { user, id } = await support.enrolled()
  const { settle } = db
  t.teardown(() => { db.settle = settle })
  for (const what of ['reset', 'unlock', 'bypass', 'sign-out']) {
    await db.rows`UPDATE users SET administrator_at = NULL WHERE tenant = ${user.tenant} AND id = ${id}::uuid`
    db.settle = async (...call) => {
      db.settle = settle
      await user.call('GET', '/mfa/status', undefined, user.token({ roles: ['mfa:auditor'] }))
      return await settle(...call)
    }
    t.match(await support.actOn(id, what), { status: 403, body: { code: 'forbidden' } }, what)
  }
  t.match(await belongings(user, id), { factors: 1, bypasses: 0 })
})

t.test('ids of other tenants and ids that never were are one 404, and nothing changes', async t => {
  const { actOn } = await administrator(service)
  const other = await administrator(service)
  const { user, id } = await other.enrolled()
  const state = async (): Promise<
    unknown
  > => [await db.rows`SELECT * FROM users WHERE id = ${id}::uuid`, await belongings(user, id), (await user.events()).length]
  const before = await state()
  for (const what of ACTIONS) {
    for (const each of [id, UNKNOWN_ID]) t.match(await actOn(each, what), { status: 404, body: { code: 'not_found' } }, what)
    t.match(await actOn('me', what), { status: 400, body: { code: 'invalid_request' } })
  }
  t.same(await state(), before)
})

t.test('a user who is erased while an administrator acts on them is not found', async t => {
  const { admin, actOn, seen } = await administrator(service)
  const { settle } = db
  t.teardown(() => { db.settle = settle })
  for (const what of ACTIONS) {
    const { id } = await seen()
    db.settle = async (...call) => {
      db.settle = settle
      await db.rows`DELETE FROM users WHERE tenant = ${admin.tenant} AND id = ${id}::uuid`
      return await settle(...call)
    }
    t.match(await actOn(id, what), { status: 404, body: { code: 'not_found' } }, what)
  }
})

t.test('a reason is required, and what is not known is refused by its name', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const table: Array<[what: string, body: object, field: string]> = [
    ...ACTIONS.flatMap((what): Array<[string, object, string]> => [
      [what, { reason: undefined }, 'reason'],
      [what, { reason: '' }, 'reason'],
      [what, { reason: 'a\nb' }, 'reason'],
      [what, { reason: 'x'.repeat(501) }, 'reason'],
      [what, { secret: 'x' }, 'secret']
    ]),
    ['reset', { requireCode: 'true' }, 'requireCode'],
    ['reset', { expiresInSeconds: 60 }, 'expiresInSeconds'],
    ['bypass', { requireCode: true }, 'requireCode'],
    ...[59, 901, 60.5, '60', null].map((expiresInSeconds): [string, object, string] => ['bypass', { expiresInSeconds }, 'expiresInSeconds'])
  ]
  for (const [what, body, field] of table) {
    t.match(
      await actOn(id, what, body),
      { status: 400, body: { code: 'invalid_request', errors: [{ field }] } },
      `${what} ${JSON.stringify(body).slice(0, 40)}`
    )
  }
  t.match(await belongings(user, id), { factors: 1, bypasses: 0 })
})

t.test('administrators do not move their own deadline', async t => {
  const { admin, token } = await administrator(service)
  t.match(await admin.call('PUT', `/admin/users/${(await admin.row()).id}/grace`, { until: '2199-01-01T00:00:00Z', reason: 'x' }, token), {
    status: 403,
    body: { code: 'forbidden' }
  })
})
