import t from 'tap'
import { claimsOf } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

t.test('a factor shows what it is and when it was used, never its secret', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll(undefined, 'Phone')
  await user.verify(secret)
  const { body } = await user.call('GET', '/mfa/factors')
  t.same(Object.keys(body.items[0]).sort(), [
    'confirmedAt',
    'createdAt',
    'id',
    'kind',
    'label',
    'lastUsedAt',
    'nextCodeAt',
    'passkey',
    'status'
  ])
  t.match(body.items, [{ kind: 'totp', label: 'Phone', status: 'active', lastUsedAt: /Z$/, nextCodeAt: null }])
})

t.test('renaming needs a fresh second factor, and a label that no other has', async t => {
  const service = await useService(t)
  const user = service.user()
  const { factorId, token } = await user.enroll(undefined, 'Phone')
  await user.enroll(token, 'Tablet')
  const path = `/mfa/factors/${factorId}`
  t.match(await user.call('PATCH', path, { label: 'Old phone' }), { status: 401, body: { code: 'step_up_required', action: 'verify' } })
  t.match(await user.call('PATCH', path, { label: 'Tablet' }, token), { status: 409, body: { code: 'label_taken' } })
  t.match(await user.call('PATCH', path, { label: 'Old phone' }, token), {
    status: 200,
    body: { id: factorId, label: 'Old phone', status: 'active' }
  })
  t.match((await user.events()).at(-1), { action: 'factor.renamed', details: { label: 'Old phone' } })
})

t.test('a pending factor is renamed and removed by its owner\'s login alone', async t => {
  const service = await useService(t)
  const user = service.user({ sid: 's1' })
  const { body: { factorId } } = await user.call('POST', '/mfa/enroll')
  const path = `/mfa/factors/${factorId}`
  t.match((await user.call('PATCH', path, { label: 'Watch' })).body, { label: 'Watch', status: 'pending' })
  t.equal((await user.call('DELETE', path, {}, user.token({ sid: 's2' }))).status, 404)
  const { epoch } = await user.row()
  t.equal((await user.call('DELETE', path)).status, 204)
  t.equal((await user.row()).epoch, epoch, 'it moves no epoch')
  t.equal((await user.call('DELETE', path)).status, 404)
})

t.test('removing ends the tokens of before and carries the acting session on, no fresher and no longer', async t => {
  const service = await useService(t)
  const user = service.user()
  const kept = await user.enroll()
  const gone = await user.enroll(kept.token)
  const acting = await user.verify(kept.secret)
  service.clock.advance(60)
  t.match(await user.call('DELETE', `/mfa/factors/${gone.factorId}`), { status: 401, body: { code: 'step_up_required' } })
  const { status, body } = await user.call('DELETE', `/mfa/factors/${gone.factorId}`, undefined, acting)
  t.equal(status, 200)
  t.same(Object.keys(body).sort(), ['acr', 'amr', 'expiresIn', 'token', 'tokenType'])
  const [before, after] = [claimsOf(acting), claimsOf(body.token)]
  t.match(after, { auth_time: before.auth_time, acr: 'mfa', amr: before.amr, fid: before.fid, epoch: before.epoch + 1 })
  t.ok(after.exp <= before.exp)
  for (const dead of [acting, kept.token, gone.token]) t.equal((await user.call('GET', '/mfa/status', undefined, dead)).status, 401)
  t.equal((await user.call('GET', '/mfa/status', undefined, body.token)).status, 200)
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(gone.secret) })).status, 422)
})

t.test('removing the factor that earned the acting token ends the session\'s second factor', async t => {
  const service = await useService(t)
  const user = service.user()
  const first = await user.enroll()
  const second = await user.enroll(first.token)
  t.equal((await user.call('DELETE', `/mfa/factors/${second.factorId}`, undefined, second.token)).status, 204)
})

t.test('the last factor takes the recovery codes with it, and everything sealed', async t => {
  const service = await useService(t)
  const user = service.user()
  const { factorId, recoveryCodes, token } = await user.enroll()
  t.equal((await user.call('DELETE', `/mfa/factors/${factorId}`, undefined, token)).status, 204)
  t.match((await user.call('GET', '/mfa/status')).body, { enrolled: false, factors: [], recoveryCodes: null })
  t.equal((await service.db.rows`SELECT 1 FROM recovery_codes WHERE tenant = ${user.tenant}`).length, 0)
  t.equal((await service.db.rows`SELECT 1 FROM factors WHERE tenant = ${user.tenant}`).length, 0)
  const again = await user.enroll()
  t.equal(again.recoveryCodes?.length, 10)
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 422, 'codes of before never come back')
  t.match((await user.events()).find(event => event.action === 'factor.removed')?.details, { factorId, confirmedAt: String })
})

t.test('while MFA is enforced the last factor stays, and another one may go', async t => {
  const service = await useService(t)
  const user = service.user({ roles: ['mfa:admin'] })
  const first = await user.enroll()
  await user.call('PUT', '/admin/policy', { enforcement: 'required' }, first.token)
  t.match(await user.call('DELETE', `/mfa/factors/${first.factorId}`, undefined, first.token), {
    status: 409,
    body: { code: 'required_by_policy' }
  })
  const second = await user.enroll(first.token)
  t.equal((await user.call('DELETE', `/mfa/factors/${second.factorId}`, undefined, first.token)).status, 200)
})

t.test('a user who signs in by SSO alone may remove the last one', async t => {
  const service = await useService(t, { JWT_LOGIN_TYPE: 'sso' })
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token: adminToken } = await admin.enroll()
  await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, adminToken)
  const user = service.user({ tenant: admin.tenant })
  const { factorId, token } = await user.enroll()
  t.equal((await user.call('DELETE', `/mfa/factors/${factorId}`, undefined, token)).status, 204)
})

t.test('a recovery may remove a lost factor', async t => {
  const service = await useService(t)
  const user = service.user()
  const lost = await user.enroll()
  const { body: { token } } = await user.call('POST', '/mfa/recovery', { code: lost.recoveryCodes?.[0] })
  const added = await user.enroll(token)
  const removed = await user.call('DELETE', `/mfa/factors/${lost.factorId}`, {}, token)
  t.match(removed, { status: 200, body: { acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'] } })
  t.match((await user.call('GET', '/mfa/factors')).body.items, [{ id: added.factorId }])
})

t.test('another user\'s factor, another tenant\'s and one that never was are the same 404, and nothing happens', async t => {
  const service = await useService(t)
  const victim = service.user()
  const { factorId } = await victim.enroll()
  const neighbour = service.user({ tenant: victim.tenant })
  const namesake = service.user({ sub: victim.sub })
  for (const stranger of [neighbour, namesake]) {
    const { token } = await stranger.enroll()
    const bodies = []
    for (const id of [factorId, '00000000-0000-4000-8000-000000000000']) {
      for (const [method, body] of [['DELETE', undefined], ['PATCH', { label: 'mine' }]] as const) {
        const answer = await stranger.call(method, `/mfa/factors/${id}`, body, token)
        t.equal(answer.status, 404)
        bodies.push(JSON.stringify({ ...answer.body, instance: '' }))
      }
    }
    t.equal(new Set(bodies).size, 1)
  }
  t.match((await victim.call('GET', '/mfa/factors')).body.items, [{ id: factorId, label: 'Authenticator 1' }])
})

t.test('a factor id that is no UUID is 400 and names the field', async t => {
  const service = await useService(t)
  const user = service.user()
  t.match((await user.call('DELETE', '/mfa/factors/1')).body, { code: 'invalid_request', errors: [{ field: 'params.factorId' }] })
})
