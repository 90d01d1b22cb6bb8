// Where the token does not say when the login was, a new login would not help: it is told, everywhere, and once to the operator.
import t from 'tap'
import { newTenant, startTrusting, TestIssuer } from '../../helpers/issuers.ts'
import { checkProblem } from '../../helpers/problems.ts'
import { type Answer, type User, type Service, startService } from '../../helpers/service.ts'

const requireMfa = (service: Service, tenant: string, enforcement = 'required'): Promise<unknown> =>
  service.db.rows`INSERT INTO policies (tenant, enforcement, version) VALUES (${tenant}, ${enforcement}, 1)`
const ageless = (user: User): string => user.token({ auth_time: undefined })
const warnings = ({ log }: Service): any[] =>
  log.map(line => JSON.parse(line)).filter(({ level, msg }) => level === 40 && /when the login was/.test(msg))
const plain = (answer: Answer): any => ({ ...answer, headers: Object.fromEntries(answer.headers) })

t.test('decision, call and gateway say so, and lead no user to the log-in page', async t => {
  const pages = { ENROLL_PAGE_URL: 'https://app.example.com/set-up', LOGIN_PAGE_URL: 'https://id.example.com/login' }
  for (const [env, status] of [[{}, 403], [{ GATEWAY_ENROLL_STATUS: '401' }, 401]] as const) {
    const service = await startService(t, { ...pages, ...env })
    const user = service.user()
    await requireMfa(service, user.tenant)
    t.same((await user.call('GET', '/mfa/status', undefined, ageless(user))).body.decision, {
      action: 'enroll',
      reason: 'required_by_policy',
      loginTimeUnknown: true
    })
    checkProblem(t, plain(await user.call('POST', '/mfa/enroll', {}, ageless(user))), 403, 'login_time_unknown', 'the call')
    const told = await service.call('GET', '/mfa/authorize', { token: ageless(user) })
    checkProblem(t, plain(told), status, 'login_time_unknown', 'a gateway')
    t.match(Object.fromEntries(told.headers), {
      'x-mfa-action': 'enroll',
      'x-mfa-reason': 'login_time_unknown',
      'x-mfa-location': pages.ENROLL_PAGE_URL
    })
    const led = await service.call('GET', '/mfa/forward-auth', { token: ageless(user), headers: { accept: 'text/html' } })
    t.match(plain(led), { status: 302, headers: { location: pages.ENROLL_PAGE_URL } })
    t.notOk(
      (await service.call('GET', '/mfa/authorize', { token: user.token() })).headers.get('x-mfa-reason'),
      'and says nothing of the sort of a token that has it'
    )
  }
})

t.test('what a report-only policy would ask says so too', async t => {
  const service = await startService(t)
  const user = service.user()
  await requireMfa(service, user.tenant, 'report_only')
  t.match((await user.call('GET', '/mfa/status', undefined, ageless(user))).body.decision, {
    reason: 'report_only',
    wouldBe: { action: 'enroll', loginTimeUnknown: true }
  })
  t.equal(warnings(service).length, 1, 'the operator knows before it counts')
})

t.test('the operator is warned once for each issuer, whatever meets it', async t => {
  const [a, b] = [await new TestIssuer('https://a.test').start(t), await new TestIssuer('https://b.test').start(t)]
  const service = await startTrusting(t, [a, b].map(({ iss, jwksUrl }) => ({ issuer: iss, audience: 'mfa', jwksUrl, tenants: '*' })))
  const tenant = newTenant()
  await requireMfa(service, tenant)
  const sign = (issuer: TestIssuer, claims = {}): string => issuer.sign(service.clock, { tenant, ...claims })
  t.equal((await service.call('POST', '/mfa/enroll', { token: sign(a) })).status, 201)
  t.same(warnings(service), [], 'not while all is well')
  for (let i = 0; i < 3; i++) {
    await service.call('GET', '/mfa/status', { token: sign(a, { auth_time: undefined }) })
    await service.call('POST', '/mfa/enroll', { token: sign(a, { auth_time: 'yesterday' }) })
    await service.call('GET', '/mfa/authorize', { token: sign(a, { auth_time: undefined }) })
  }
  t.match(warnings(service), [{ issuer: a.iss }])
  t.equal(warnings(service).length, 1)
  await service.call('GET', '/mfa/authorize', { token: sign(b, { auth_time: undefined }) })
  t.same(warnings(service).map(({ issuer }) => issuer), [a.iss, b.iss])
})

t.test('an administrator\'s code lets a user set up all the same', async t => {
  const service = await startService(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const user = service.user({ tenant: admin.tenant })
  const { userId } = (await user.call('GET', '/mfa/status', undefined, ageless(user))).body
  const { body: { code } } = await admin.call('POST', `/admin/users/${String(userId)}/bypass`, { reason: 'no auth_time' }, token)
  const opened = await user.call('POST', '/mfa/recovery', { code }, ageless(user))
  t.equal(opened.status, 200)
  t.ok((await user.enroll(opened.body.token)).secret)
})

t.test('a user with a factor is asked for a code, however little the token says', async t => {
  const service = await startService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  t.match(await user.call('POST', '/mfa/enroll', {}, ageless(user)), { status: 401, body: { code: 'step_up_required', action: 'verify' } })
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, ageless(user))).status, 200)
})
