import t from 'tap'
import { type User, type Service } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'
import { bare } from '../helpers/tokens.ts'

const RANDOM_ID = '00000000-0000-4000-8000-000000000000'

/** All that is stored of a tenant, but for its audit. */
async function stored (service: Service, tenant: string): Promise<unknown> {
  const { db } = service
  return {
    users: await db.rows`SELECT * FROM users WHERE tenant = ${tenant} ORDER BY id`,
    factors: await db.rows`SELECT * FROM factors WHERE tenant = ${tenant} ORDER BY id`,
    enrollments: await db.rows`SELECT * FROM enrollments WHERE tenant = ${tenant} ORDER BY user_id`,
    codes: await db.rows`SELECT * FROM recovery_codes WHERE tenant = ${tenant} ORDER BY user_id, slot`,
    throttles: await db.rows`SELECT * FROM throttles WHERE tenant = ${tenant} ORDER BY user_id, kind`,
    policies: await db.rows`SELECT * FROM policies WHERE tenant = ${tenant}`
  }
}

const administrator = async (service: Service): Promise<{ admin: User, token: string }> => {
  const admin = service.user({ roles: ['mfa:admin'] })
  return { admin, token: (await admin.enroll()).token }
}

t.test('the ids of others are as ids that never were, to the byte, and nothing happens to them', async t => {
  const service = await useService(t)
  const victim = service.user()
  const { factorId } = await victim.enroll()
  const waiting = service.user({ tenant: victim.tenant })
  const { body: { factorId: pendingId } } = await waiting.call('POST', '/mfa/enroll')
  const stranger = service.user({ tenant: victim.tenant })
  const strangers = [
    await stranger.enroll(),
    await service.user({ sub: victim.sub }).enroll(),
    await service.user({ roles: ['mfa:admin'] }).enroll()
  ]
  const before = await stored(service, victim.tenant)
  const bodies = { factors: new Set<string>(), confirm: new Set<string>() }
  for (const { token } of strangers) {
    for (const id of [factorId, pendingId, RANDOM_ID]) {
      for (
        const [method, path, body] of [['PATCH', `/mfa/factors/${id as string}`, { label: 'mine' }], [
          'DELETE',
          `/mfa/factors/${id as string}`,
          undefined
        ], ['POST', '/mfa/enroll/confirm', { factorId: id, code: '123456' }]] as const
      ) {
        const answer = await service.call(method, path, { token, body })
        t.equal(answer.status, 404, `${method} ${path}`)
        bodies[method === 'POST' ? 'confirm' : 'factors'].add(JSON.stringify(bare(answer)))
      }
    }
  }
  t.same([bodies.factors.size, bodies.confirm.size], [1, 1])
  t.same(await stored(service, victim.tenant), before)
})

t.test('a code for another\'s factor is refused as one for a factor that never was', async t => {
  const service = await useService(t)
  const victim = service.user()
  const { factorId, secret } = await victim.enroll()
  const before = await stored(service, victim.tenant)
  const stranger = service.user()
  await stranger.enroll()
  const answers = []
  for (const id of [factorId, RANDOM_ID]) {
    answers.push(await stranger.call('POST', '/mfa/verify', { factorId: id, code: service.clock.code(secret) }))
  }
  for (const answer of answers) t.equal(answer.status, 422)
  t.same(bare(answers[0] as never), bare(answers[1] as never))
  t.same(await stored(service, victim.tenant), before)
})

t.test('an administrator reads and changes the policy of the tenant in the token, whatever the request names', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const { admin: other, token: otherToken } = await administrator(service)
  await other.call('PUT', '/admin/policy', { enforcement: 'required' }, otherToken)
  const before = await stored(service, other.tenant)
  const headers = { 'x-tenant-id': other.tenant, 'x-tenant': other.tenant, 'x-forwarded-tenant': other.tenant, host: 'localhost' }
  t.match((await service.call('GET', '/admin/policy', { token, headers })).body, { enforcement: 'optional', version: 0 })
  for (const name of ['tenant', 'tenantId', 'tid']) {
    t.match(await service.call('GET', `/admin/policy?${name}=${other.tenant}`, { token }), {
      status: 400,
      body: { code: 'invalid_request', errors: [{ field: `querystring.${name}` }] }
    })
    t.match(await service.call('PUT', '/admin/policy', { token, body: { enforcement: 'optional', [name]: other.tenant } }), {
      status: 400,
      body: { code: 'invalid_request', errors: [{ field: name }] }
    })
  }
  t.match(await service.call('PUT', '/admin/policy', { token, headers, body: { enforcement: 'required' } }), {
    status: 200,
    body: { version: 1 }
  })
  t.same(await stored(service, other.tenant), before, 'the other tenant is as it was')
  t.equal((await service.db.rows`SELECT 1 FROM policies WHERE tenant = ${admin.tenant}`).length, 1)
})

t.test('a namesake of another tenant is another user', async t => {
  const service = await useService(t)
  const user = service.user()
  await user.enroll()
  const namesake = service.user({ sub: user.sub })
  t.match((await namesake.call('GET', '/mfa/status')).body, { subject: user.sub, tenant: namesake.tenant, enrolled: false })
  t.not((await namesake.row()).id, (await user.row()).id)
  const headers = { 'x-tenant-id': user.tenant }
  t.match((await service.call('GET', '/mfa/status', { token: namesake.token(), headers })).body, {
    tenant: namesake.tenant,
    enrolled: false
  })
})

t.test('no body can set what the service decides', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const bodies: Array<[string, string, Record<string, unknown>]> = [
    ['POST', '/mfa/enroll', {}],
    ['POST', '/mfa/enroll/confirm', { factorId: RANDOM_ID, code: '123456' }],
    ['POST', '/mfa/verify', { code: '123456' }],
    ['POST', '/mfa/recovery', { code: '0000-0000-0000-0000' }],
    ['POST', '/mfa/recovery/codes', {}],
    ['POST', '/mfa/recovery/acknowledge', {}],
    ['POST', '/mfa/token', {}],
    ['DELETE', '/mfa/session', {}],
    ['DELETE', '/mfa/sessions', {}],
    ['PATCH', `/mfa/factors/${RANDOM_ID}`, { label: 'x' }],
    ['DELETE', `/mfa/factors/${RANDOM_ID}`, {}],
    ['PUT', '/admin/policy', { enforcement: 'optional' }],
    ['POST', '/admin/policy/preview', { enforcement: 'optional' }],
    ['PUT', `/admin/users/${RANDOM_ID}/exemption`, { exempt: true, reason: 'x' }],
    ['PUT', `/admin/users/${RANDOM_ID}/grace`, { until: '2199-01-01T00:00:00Z', reason: 'x' }]
  ]
  const before = await stored(service, admin.tenant)
  for (const [method, path, body] of bodies) {
    for (
      const name of [
        'status',
        'verifiedAt',
        'confirmedAt',
        'failCount',
        'failures',
        'lockedAt',
        'tenant',
        'tenantId',
        'userId',
        'role',
        'roles',
        'secret',
        'epoch',
        'acr',
        'skip',
        'mfaRequired',
        'version'
      ]
    ) {
      t.match(await service.call(method, path, { token, body: { ...body, [name]: true } }), {
        status: 400,
        body: { code: 'invalid_request', errors: [{ field: name, message: `${path} ${name}` === '/mfa/token acr' ? 'must be string' : 'is unknown' }] }
      }, `${method} ${path} ${name}`)
    }
  }
  t.same(await stored(service, admin.tenant), before)
})

t.test('answers have exactly the fields that they promise', async t => {
  const service = await useService(t)
  const { admin, token } = await administrator(service)
  const { body } = await admin.call('GET', '/mfa/status')
  t.same(Object.keys(body).sort(), [
    'account',
    'decision',
    'enrolled',
    'factors',
    'namespace',
    'offers', 'recoveryCodes',
    'subject',
    'tenant',
    'trustedDeviceDays',
    'userId'
  ])
  const ofFactor = ['confirmedAt', 'createdAt', 'id', 'kind', 'label', 'lastUsedAt', 'nextCodeAt', 'passkey', 'status']
  t.same(Object.keys(body.factors[0]).sort(), ofFactor)
  t.same(Object.keys(body.recoveryCodes).sort(), ['acknowledgedAt', 'remaining', 'total'])
  t.same(Object.keys((await admin.call('GET', '/mfa/recovery')).body).sort(), ['acknowledgedAt', 'generatedAt', 'remaining', 'total'])
  t.same(Object.keys((await admin.call('GET', '/admin/policy', undefined, token)).body).sort(), [
    'enforceFrom',
    'enforcement',
    'floor',
    'gracePeriodDays',
    'groups',
    'phishingResistant',
    'phishingResistantFrom',
    'ssoRule',
    'trustedDeviceDays',
    'updatedAt',
    'updatedBy',
    'version'
  ])
  const started = await admin.call('POST', '/mfa/enroll', {}, token)
  t.same(Object.keys(started.body).sort(), ['expiresAt', 'factorId', 'otpauthUri', 'qrCode', 'secret'])
})

t.test('users neither read nor change the policy, nor exempt themselves', async t => {
  const service = await useService(t)
  const user = service.user({ roles: ['admin', 'mfa', 'mfa:', 'mfa:administrator', 'Mfa:admin'] })
  const { token } = await user.enroll()
  const before = await stored(service, user.tenant)
  for (const bearer of [token, user.token()]) {
    t.match(await user.call('GET', '/admin/policy', undefined, bearer), { status: 403, body: { code: 'forbidden' } })
    t.match(await user.call('PUT', '/admin/policy', { enforcement: 'optional' }, bearer), { status: 403, body: { code: 'forbidden' } })
    t.match(await user.call('PUT', '/admin/policy', 'not even JSON', bearer), { status: 403 }, 'before the body is read')
    t.equal((await user.call('PUT', '/admin/users/me/exemption', { exempt: true, reason: 'x' }, bearer)).status, 403)
  }
  t.same(await stored(service, user.tenant), before)
  t.match((await user.events()).at(-1), { action: 'access.refused', outcome: 'failure', details: { cause: 'role' } })
})
