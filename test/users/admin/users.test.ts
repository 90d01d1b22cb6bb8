import t from 'tap'
import { type User, type Service, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const DAY = 86_400_000
const inDays = (days: number): string => new Date(Date.now() + days * DAY).toISOString()
const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000'

async function administrator (service: Service, policy?: object): Promise<{ admin: User, token: string }> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  if (policy !== undefined) await admin.call('PUT', '/admin/policy', policy, token)
  return { admin, token }
}

/** A user of the administrator's tenant who has been here once. */
async function seen (admin: User, claims: Record<string, unknown> = {}): Promise<{ user: User, path: string, id: string }> {
  const user = admin.service.user({ tenant: admin.tenant, ...claims })
  const { body } = await user.call('GET', '/mfa/status')
  return { user, id: body.userId, path: `/admin/users/${body.userId as string}` }
}

const decision = async (user: User): Promise<any> => (await user.call('GET', '/mfa/status')).body.decision

t.test('an administrator sees all that is known of a user, and never a secret', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service, { enforcement: 'required', gracePeriodDays: 7 })
  const { user, path, id } = await seen(admin, { accounts: ['local', 'sso'], groups: ['b', 'a'], email: 'a@example.com' })
  const { body } = await admin.call('GET', path, undefined, token)
  t.same(Object.keys(body).sort(), [
    'account',
    'accounts',
    'createdAt',
    'decision',
    'devices',
    'disabled',
    'enrolled',
    'exemption',
    'factors',
    'graceUntil',
    'groups',
    'locks',
    'namespace',
    'recoveryCodes',
    'subject',
    'tenant',
    'userId'
  ])
  t.match(body, {
    userId: id,
    subject: user.sub,
    account: 'a@example.com',
    namespace: 'https://id.test',
    tenant: admin.tenant,
    groups: ['a', 'b'],
    accounts: ['local', 'sso'],
    enrolled: false,
    factors: [],
    recoveryCodes: null,
    exemption: null,
    graceUntil: /Z$/,
    disabled: false,
    createdAt: /Z$/,
    decision: { action: 'allow', reason: 'grace', deadline: body.graceUntil }
  })
  t.same(body.locks, { totp: { failures: 0, waitUntil: null, lockedAt: null } })

  const { secret, recoveryCodes } = await user.enroll()
  for (let failure = 0; failure < 5; failure++) await user.call('POST', '/mfa/verify', { code: service.clock.wrongCode(secret) })
  const enrolled = await admin.call('GET', path.toUpperCase().replace('/ADMIN/USERS', '/admin/users'), undefined, token)
  t.match(enrolled.body, {
    enrolled: true,
    factors: [{ kind: 'totp', status: 'active' }],
    recoveryCodes: { total: 10, remaining: 10, acknowledgedAt: null },
    locks: { totp: { failures: 5, waitUntil: /Z$/, lockedAt: null } },
    decision: { action: 'verify', reason: 'factor_enrolled' }
  })
  for (const word of [secret, ...recoveryCodes as string[], 'sealed', 'hash', 'pepper', 'otpauth']) t.notMatch(enrolled.text, word)
  await service.db.rows`UPDATE throttles SET locked_at = now() WHERE tenant = ${admin.tenant} AND user_id = ${id}::uuid AND kind = 'totp'`
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${admin.tenant} AND id = ${id}::uuid`
  await user.call('POST', '/mfa/recovery/acknowledge')
  t.match((await admin.call('GET', path, undefined, token)).body, {
    disabled: true,
    locks: { totp: { lockedAt: /Z$/ } },
    decision: { action: 'deny' }
  })
})

t.test('the decision is of a session without a second factor that comes as the user usually does', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service, { enforcement: 'required', ssoRule: 'exempt_sso_session' })
  const asked = async (claims: Record<string, unknown>): Promise<unknown> =>
    (await admin.call('GET', (await seen(admin, claims)).path, undefined, token)).body.decision
  t.same(await asked({ accounts: ['sso'] }), { action: 'allow', reason: 'exempt_sso' })
  t.same(await asked({ accounts: ['local', 'sso'], auth_time: service.clock.seconds - 5000 }), {
    action: 'enroll',
    reason: 'required_by_policy'
  })
  const own = await admin.call('GET', `/admin/users/${(await admin.row()).id}`, undefined, token)
  t.match(own.body, { decision: { action: 'verify' }, recoveryCodes: { acknowledgedAt: null } })
  await admin.call('POST', '/mfa/recovery/acknowledge')
  t.match((await admin.call('GET', `/admin/users/${(await admin.row()).id}`, undefined, token)).body, {
    recoveryCodes: { acknowledgedAt: /Z$/ }
  })
})

t.test('support sees users who were never seen with an mfa: role, an auditor everyone; neither changes anything', async t => {
  const service = await useService(t)
  const { admin } = await administrator(service)
  const { path } = await seen(admin)
  const former = await seen(admin, { roles: ['mfa:sync'] })
  await former.user.call('GET', '/mfa/status', undefined, former.user.token({ roles: [] }))
  const support = service.user({ tenant: admin.tenant, roles: ['mfa:support'] })
  const { token } = await support.enroll()
  t.equal((await support.call('GET', path, undefined, token)).status, 200)
  t.match(await support.call('GET', former.path, undefined, token), { status: 403, body: { code: 'forbidden' } })
  t.match((await admin.events()).at(-1), {
    action: 'access.refused',
    subject: former.id,
    details: { cause: 'support of an administrator' }
  })
  const auditor = service.user({ tenant: admin.tenant, roles: ['mfa:auditor'] })
  const { token: auditing } = await auditor.enroll()
  for (const each of [path, former.path]) t.equal((await auditor.call('GET', each, undefined, auditing)).status, 200)
  for (const [user, bearer] of [[support, token], [auditor, auditing]] as const) {
    t.equal((await user.call('PUT', `${path}/exemption`, { exempt: true, reason: 'x' }, bearer)).status, 403)
    t.equal((await user.call('PUT', `${path}/grace`, { until: inDays(9), reason: 'x' }, bearer)).status, 403)
  }
})

t.test('ids of other tenants and ids that never were are one 404, and change nothing', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const other = await seen((await administrator(service)).admin)
  const row = async (): Promise<unknown> => await service.db.rows`SELECT * FROM users WHERE id = ${other.id}::uuid`
  const before = await row()
  for (const id of [other.id, UNKNOWN_ID]) {
    t.match(await admin.call('GET', `/admin/users/${id}`, undefined, token), { status: 404, body: { code: 'not_found' } })
    t.match(await admin.call('PUT', `/admin/users/${id}/exemption`, { exempt: true, reason: 'x' }, token), {
      status: 404,
      body: { code: 'not_found' }
    })
    t.match(await admin.call('PUT', `/admin/users/${id}/grace`, { until: inDays(9), reason: 'x' }, token), {
      status: 404,
      body: { code: 'not_found' }
    })
  }
  t.same(await row(), before)
  t.match(await admin.call('GET', '/admin/users/me', undefined, token), { status: 400, body: { code: 'invalid_request' } })
})

t.test('an exemption lets a user pass until it ends, with a reason that is audited, and asks an enrolled one all the same', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service, { enforcement: 'required' })
  const { user, path, id } = await seen(admin)
  const adminId = (await admin.row()).id
  t.match(await decision(user), { action: 'enroll' })
  const until = inDays(3)
  const exempted = await admin.call('PUT', `${path}/exemption`, { exempt: true, reason: 'Ticket 4711', until }, token)
  t.match(exempted, {
    status: 200,
    body: { exemption: { since: /Z$/, until, reason: 'Ticket 4711', by: adminId }, decision: { action: 'allow', reason: 'exempt_user' } }
  })
  t.match((await admin.events()).at(-1), {
    action: 'user.exempted',
    actor: adminId,
    subject: id,
    outcome: 'success',
    details: { exempt: true, reason: 'Ticket 4711' }
  })
  t.same(await decision(user), { action: 'allow', reason: 'exempt_user' })
  await service.db.rows`UPDATE users SET exempt_until = now() - interval '1 second' WHERE id = ${id}::uuid AND tenant = ${admin.tenant}`
  t.match(await decision(user), { action: 'enroll' })
  t.equal((await admin.call('GET', path, undefined, token)).body.exemption, null)

  t.match((await admin.call('PUT', `${path}/exemption`, { exempt: true, reason: 'For good' }, token)).body, {
    exemption: { until: null },
    decision: { reason: 'exempt_user' }
  })
  t.match((await admin.call('PUT', `${path}/exemption`, { exempt: false, reason: 'Back' }, token)).body, {
    exemption: null,
    decision: { action: 'enroll' }
  })
  t.match((await admin.events()).at(-1), { action: 'user.exempted', details: { exempt: false, reason: 'Back', until: null } })
  await admin.call('PUT', `${path}/exemption`, { exempt: true, reason: 'Again' }, token)
  await user.enroll()
  t.match(await decision(user), { action: 'verify' })
})

t.test('administrators do not exempt themselves, by whatever spelling of their id; ending it is allowed', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const { id } = await admin.row()
  for (const spelled of [id, id.toUpperCase()]) {
    t.match(await admin.call('PUT', `/admin/users/${spelled}/exemption`, { exempt: true, reason: 'x' }, token), {
      status: 403,
      body: { code: 'forbidden' }
    })
    t.match((await admin.events()).at(-1), { action: 'access.refused', subject: id, details: { cause: 'oneself' } })
  }
  t.match(await admin.call('PUT', `/admin/users/${id}/exemption`, { exempt: false, reason: 'x' }, token), {
    status: 200,
    body: { exemption: null }
  })
})

t.test('an administrator moves a deadline, with a reason that is audited, and nothing renews it after that', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service, { enforcement: 'required' })
  const { user, path, id } = await seen(admin)
  t.match(await decision(user), { action: 'enroll' })
  const until = inDays(20)
  t.match(await admin.call('PUT', `${path}/grace`, { until, reason: 'Parental leave' }, token), {
    status: 200,
    body: { graceUntil: until, decision: { action: 'allow', reason: 'grace', deadline: until } }
  })
  t.match((await admin.events()).at(-1), {
    action: 'user.grace_set',
    actor: (await admin.row()).id,
    subject: id,
    details: { reason: 'Parental leave', before: /./, after: /./ }
  })
  t.match(await decision(user), { deadline: until })
  await admin.call('PUT', '/admin/policy', { gracePeriodDays: 90 }, token)
  t.match(await decision(user), { deadline: until })
  const unmet = await seen(admin, { accounts: ['sso'] })
  t.match((await admin.call('PUT', `${unmet.path}/grace`, { until, reason: 'x' }, token)).body, { graceUntil: until })
  t.match((await unmet.user.call('GET', '/mfa/status', undefined, unmet.user.token({ accounts: ['local'] }))).body.decision, {
    deadline: until
  }, 'given before the policy met them')
})

t.test('what is no reason and no time to come is 400 and names the field', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const { path } = await seen(admin)
  const table: Array<[string, object, string]> = [
    ['exemption', { exempt: true }, 'reason'],
    ...['', ' ', ' x', 'a\nb', 'a\u0000', 'x'.repeat(501), 1].map((
      reason
    ): [string, object, string] => ['exemption', { exempt: true, reason }, 'reason']),
    ['exemption', { reason: 'x' }, 'exempt'],
    ['exemption', { exempt: 'true', reason: 'x' }, 'exempt'],
    ['exemption', { exempt: true, reason: 'x', until: inDays(-1) }, 'until'],
    ['exemption', { exempt: true, reason: 'x', until: null }, 'until'],
    ['exemption', { exempt: true, reason: 'x', until: '2026-12-31T23:59:60Z' }, 'until'],
    ['exemption', { exempt: false, reason: 'x', until: inDays(1) }, 'until'],
    ['exemption', { exempt: true, reason: 'x', by: 'me' }, 'by'],
    ['grace', { reason: 'x' }, 'until'],
    ['grace', { until: inDays(1) }, 'reason'],
    ['grace', { until: inDays(-1), reason: 'x' }, 'until'],
    ['grace', { until: '2027-01-01', reason: 'x' }, 'until']
  ]
  for (const [what, body, field] of table) {
    t.match(await admin.call('PUT', `${path}/${what}`, body, token), {
      status: 400,
      body: { code: 'invalid_request', errors: [{ field }] }
    }, JSON.stringify(body).slice(0, 60))
  }
  t.match((await admin.call('GET', path, undefined, token)).body, { exemption: null, graceUntil: null })
  t.equal((await admin.call('PUT', `${path}/exemption`, { exempt: true, reason: 'ü'.repeat(500) }, token)).status, 200)
})

t.test('the floor bounds exemptions and deadlines: 409, and those of before end with it', async t => {
  const service = await useService(t)
  const floored = await startService(t, { ...service.env, POLICY_FLOOR: '{"gracePeriodDays":7,"maxExemptionDays":30}' }, service.clock)
  const { admin, token } = await administrator(service, { enforcement: 'required' })
  const { user, path, id } = await seen(admin)
  const put = (what: string, body: object): Promise<any> =>
    floored.call('PUT', `${path}/${what}`, { token, body: { reason: 'x', ...body } })
  for (const until of [undefined, inDays(31)]) {
    t.match(await put('exemption', { exempt: true, ...(until !== undefined && { until }) }), {
      status: 409,
      body: { code: 'required_by_policy', errors: [{ field: 'until' }] }
    })
  }
  t.match(await put('exemption', { exempt: true, until: inDays(29) }), { status: 200, body: { decision: { reason: 'exempt_user' } } })
  t.equal((await put('exemption', { exempt: false })).status, 200)
  t.match(await put('grace', { until: inDays(8) }), { status: 409, body: { code: 'required_by_policy', errors: [{ field: 'until' }] } })
  t.equal((await put('grace', { until: inDays(6) })).status, 200)
  await service.db.rows`UPDATE users SET policy_met_at = now() - interval '5 days' WHERE tenant = ${admin.tenant} AND id = ${id}::uuid`
  t.equal((await put('grace', { until: inDays(3) })).status, 409, 'from the first meeting')
  t.equal((await put('grace', { until: inDays(1) })).status, 200)

  // Given where there was no floor.
  await admin.call('PUT', `${path}/exemption`, { exempt: true, reason: 'For good' }, token)
  const bounded = (await floored.call('GET', path, { token })).body
  t.equal(Date.parse(bounded.exemption.until) - Date.parse(bounded.exemption.since), 30 * DAY)
  await service.db
    .rows`UPDATE users SET exempt_since = now() - interval '31 days', grace_until = now() + interval '1 year',
      policy_met_at = now() - interval '8 days'
    WHERE tenant = ${admin.tenant} AND id = ${id}::uuid`
  t.match(await decision(user), { reason: 'exempt_user' })
  t.match((await floored.call('GET', '/mfa/status', { token: user.token() })).body.decision, { action: 'enroll' })
  t.match((await floored.call('GET', path, { token })).body, { exemption: null, decision: { action: 'enroll' } })
})

t.test('of a user and their audit row both are written or neither', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const { path } = await seen(admin)
  await Promise.all(
    Array.from({ length: 10 }, (_, index) => admin.call('PUT', `${path}/exemption`, { exempt: true, reason: `Ticket ${index}` }, token))
  )
  const { body } = await admin.call('GET', path, undefined, token)
  const audited = (await admin.events()).filter(({ action }) => action === 'user.exempted')
  t.equal(audited.length, 10)
  t.ok(audited.some(({ details }) => details.reason === body.exemption.reason))
})
