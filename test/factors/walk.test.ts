import t from 'tap'
import { useService } from '../helpers/use-service.ts'

t.test('from enroll over verify to recovery', async t => {
  const service = await useService(t)
  const alice = service.user({ roles: ['mfa:admin'] })
  const { factorId, secret, recoveryCodes, token } = await alice.enroll()
  t.equal(recoveryCodes?.length, 10)
  const verified = await alice.call('POST', '/mfa/verify', { code: service.clock.code(secret) })
  t.equal(verified.status, 200)
  t.equal((await alice.call('POST', '/mfa/verify', { code: service.clock.code(secret) })).status, 422)
  const recovered = await alice.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  t.match(recovered.body, { acr: 'mfa-recovery', remaining: 9 })
  t.equal((await alice.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 422)
  t.match((await alice.call('GET', '/mfa/status', undefined, token)).body, {
    enrolled: true,
    decision: { action: 'allow', reason: 'mfa_verified' }
  })
  t.equal((await alice.call('GET', '/admin/policy', undefined, token)).status, 200)
  t.match((await alice.call('PUT', '/admin/policy', { enforcement: 'required' }, token)).body, { enforcement: 'required', version: 1 })
  t.equal((await alice.call('DELETE', `/mfa/factors/${factorId}`, undefined, token)).body.code, 'required_by_policy')
  t.equal((await alice.call('POST', '/mfa/recovery/codes', undefined, token)).status, 201)
})
