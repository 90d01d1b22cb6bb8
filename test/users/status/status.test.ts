import t from 'tap'
import { useService } from '../../helpers/use-service.ts'

t.test('the first call records the user, and their id stays', async t => {
  const service = await useService(t)
  const user = service.user({ email: 'a@example.com', sid: 's' })
  const { body } = await user.call('GET', '/mfa/status')
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
  t.match(body, {
    subject: user.sub,
    account: 'a@example.com',
    tenant: user.tenant,
    namespace: 'https://id.test',
    enrolled: false,
    factors: [],
    recoveryCodes: null
  })
  t.equal((await user.call('GET', '/mfa/status')).body.userId, body.userId)
  t.equal((await user.row()).id, body.userId)
  t.not((await service.user({ sub: user.sub }).call('GET', '/mfa/status')).body.userId, body.userId, 'another tenant, another user')
})

t.test('fifty first calls at once record one user', async t => {
  const service = await useService(t)
  const user = service.user()
  const answers = await Promise.all(Array.from({ length: 50 }, () => user.call('GET', '/mfa/status')))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(new Set(answers.map(({ body }) => body.userId)).size, 1)
})

t.test('the account is preferred_username, else e-mail, else the subject; a newer token\'s counts', async t => {
  const service = await useService(t)
  const user = service.user()
  const account = async (claims: object): Promise<string> =>
    (await user.call('GET', '/mfa/status', undefined, user.token({ ...claims }))).body.account
  t.equal(await account({}), user.sub)
  t.equal(await account({ email: 'a@example.com' }), 'a@example.com')
  t.equal(await account({ email: 'a@example.com', preferred_username: 'al' }), 'al')
})

t.test('the rule of the guide: an SSO account alone is left to the identity provider, both accounts are enforced', async t => {
  const service = await useService(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
  const decision = async (claims: Record<string, unknown>): Promise<unknown> =>
    (await service.user({ tenant: admin.tenant, ...claims }).call('GET', '/mfa/status')).body.decision
  t.same(await decision({ accounts: ['sso'] }), { action: 'allow', reason: 'exempt_sso' })
  t.same(await decision({ accounts: ['local', 'sso'] }), { action: 'enroll', reason: 'required_by_policy' })
  t.same(await decision({ accounts: ['local'] }), { action: 'enroll', reason: 'required_by_policy' })
  t.same(await decision({ accounts: [] }), { action: 'enroll', reason: 'required_by_policy' }, 'a user without a known account')
  t.same(await decision({ accounts: ['ldap'] }), { action: 'enroll', reason: 'required_by_policy' }, 'other values do not count')
  t.same(await decision({}), { action: 'enroll', reason: 'required_by_policy' }, 'the login type is local')
  t.same(await decision({ auth_time: service.clock.seconds - 1000 }), { action: 'enroll', reason: 'required_by_policy', loginFirst: true })
})

t.test('an issuer\'s newer claims replace its older ones; without the claim its login type is added', async t => {
  const service = await useService(t)
  const user = service.user()
  const sources = async (): Promise<any> =>
    (await service.db.rows<any>`SELECT sources FROM users WHERE tenant = ${user.tenant}`)[0].sources['https://id.test']
  await user.call('GET', '/mfa/status', undefined, user.token({ accounts: ['sso'], groups: ['a'] }))
  t.same(await sources(), { local: false, sso: true, groups: ['a'] })
  await user.call('GET', '/mfa/status', undefined, user.token({}))
  t.same(await sources(), { local: true, sso: true, groups: ['a'] }, 'an absent claim changes no group')
  await user.call('GET', '/mfa/status', undefined, user.token({ accounts: ['sso'], groups: [] }))
  t.same(await sources(), { local: false, sso: true, groups: [] })
})

t.test('a personal token shows no account', async t => {
  const service = await useService(t, { JWT_LOGIN_TYPE: 'api' })
  const user = service.user()
  await user.call('GET', '/mfa/status')
  const [row] = await service.db.rows<any>`SELECT sources FROM users WHERE tenant = ${user.tenant}`
  t.same(row.sources, { 'https://id.test': { local: false, sso: false } })
})

t.test('a disabled user is denied everything but the status that says so, and so are their tokens', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret, token } = await user.enroll()
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${user.tenant}`
  t.match((await user.call('GET', '/mfa/status')).body.decision, { action: 'deny', reason: 'user_disabled' })
  for (const bearer of [token, user.token()]) {
    t.match(await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, bearer), {
      status: 403,
      body: { code: 'forbidden' }
    })
    t.equal((await user.call('GET', '/mfa/factors', undefined, bearer)).status, 403)
  }
  t.match((await user.events()).at(-1), { action: 'access.refused', outcome: 'failure', details: { cause: 'disabled' } })
})
