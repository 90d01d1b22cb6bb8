import t from 'tap'
import { claimsOf } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const APPLICATIONS = { MFA_APPLICATION_AUDIENCES: 'billing,wiki' }

t.test('each call that gives a token gives one for a configured application, which opens nothing here', async t => {
  const service = await useService(t, APPLICATIONS)
  const user = service.user()
  const { body: started } = await user.call('POST', '/mfa/enroll')
  const confirmed = await user.call('POST', '/mfa/enroll/confirm', {
    factorId: started.factorId,
    code: service.clock.code(started.secret),
    audience: 'billing'
  })
  service.clock.advance(30)
  const verified = await user.call('POST', '/mfa/verify', { code: service.clock.code(started.secret), audience: 'wiki' })
  const recovered = await user.call('POST', '/mfa/recovery', { code: confirmed.body.recoveryCodes[0], audience: 'billing' })
  service.clock.advance(30)
  const { body: own } = await user.call('POST', '/mfa/verify', { code: service.clock.code(started.secret) })
  const renewed = await user.call('POST', '/mfa/token', { audience: 'wiki' }, own.token)
  for (const [answer, audience] of [[confirmed, 'billing'], [verified, 'wiki'], [recovered, 'billing'], [renewed, 'wiki']] as const) {
    t.equal(claimsOf(answer.body.token).aud, audience)
    t.equal((await user.call('GET', '/mfa/status', undefined, answer.body.token)).status, 401)
  }
})

t.test('an application that is not configured is 400 and names the field', async t => {
  const service = await useService(t, APPLICATIONS)
  const user = service.user()
  const { secret } = await user.enroll()
  const code = service.clock.code(secret)
  for (
    const [path, body] of [['/mfa/verify', { code }], ['/mfa/token', {}], ['/mfa/recovery', { code: '0'.repeat(16) }], [
      '/mfa/enroll/confirm',
      { code, factorId: '00000000-0000-4000-8000-000000000000' }
    ]] as const
  ) {
    t.match(await user.call('POST', path, { ...body, audience: 'mfa-own' }), {
      status: 400,
      body: { code: 'invalid_request', errors: [{ field: 'audience' }] }
    }, path)
  }
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200, 'the code was not spent')
})

t.test('a user who is allowed without MFA gets a token for an application that says so, for five minutes', async t => {
  const service = await useService(t, APPLICATIONS)
  const user = service.user({ groups: ['a'] })
  const { status, body } = await user.call('POST', '/mfa/token', { audience: 'billing' })
  t.equal(status, 200)
  t.match(body, { acr: 'none', amr: ['pwd'], expiresIn: 300 })
  const claims = claimsOf(body.token)
  t.match(claims, {
    aud: 'billing',
    sub: user.sub,
    mfa_reason: 'not_required',
    acr: 'none',
    groups: ['a'],
    auth_time: service.clock.seconds
  })
  t.notOk('fid' in claims)
  const late = claimsOf(
    (await user.call('POST', '/mfa/token', { audience: 'billing' }, user.token({ auth_time: undefined, exp: service.clock.seconds + 60 })))
      .body.token
  )
  t.notOk('auth_time' in late)
  t.equal(late.exp, service.clock.seconds + 60)
})

t.test('without an application\'s audience, or where a factor is needed, no one gets a token for nothing', async t => {
  const service = await useService(t, APPLICATIONS)
  const admin = service.user({ roles: ['mfa:admin'] })
  t.equal((await admin.call('POST', '/mfa/token')).body.code, 'not_enrolled')
  const { token } = await admin.enroll()
  t.match((await admin.call('POST', '/mfa/token', { audience: 'billing' })).body, { code: 'step_up_required', action: 'verify' })
  await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
  const user = service.user({ tenant: admin.tenant })
  t.equal((await user.call('POST', '/mfa/token', { audience: 'billing' })).body.code, 'not_enrolled')
})
