// What a refusal says to the developer of the call: which field, role or variable, and what to do next.
import t from 'tap'
import { administrator } from '../helpers/administrator.ts'
import { type Answer } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const SOME_ID = '00000000-0000-4000-8000-000000000000'

t.test('a path that is none and an id that is no user\'s are not found for reasons of their own', async t => {
  const service = await useService(t, { ADMIN_PORT: '0', DOCS: 'false' })
  const user = service.user()
  const { token } = await user.enroll()
  const about = async (method: string, path: string, body?: unknown): Promise<string> => {
    const answer = await service.call(method, path, { token, body })
    t.match(answer, { status: 404, body: { code: 'not_found', title: 'Not found' } }, path)
    return answer.body.detail
  }
  const path = 'There is no such path. GET /openapi.json lists all of them.'
  for (const typo of ['/', '/mfa/enrol', '/mfa/status/', '/api/v1/mfa/status', '/mfa/%zz', '/admin/policy', '/metrics']) {
    t.equal(await about('GET', typo), path, typo)
  }
  for (const [method, body] of [['PATCH', { label: 'x' }], ['DELETE', undefined]] as const) {
    t.match(await about(method, `/mfa/factors/${SOME_ID}`, body), /nothing with this id, or it is not yours/)
  }
  t.match(
    await about('POST', '/mfa/enroll/confirm', { factorId: SOME_ID, code: '000000' }),
    /set-up is over: .* Start again/
  )
})

t.test('a role that is missing is named, and so is what administrators can\'t do to themselves', async t => {
  const service = await useService(t)
  const { admin, actOn, seen } = await administrator(service)
  const user = service.user({ tenant: admin.tenant })
  const why = async (answer: Promise<Answer>): Promise<string> => {
    const { status, body } = await answer
    t.match({ status, body }, { status: 403, body: { code: 'forbidden' } })
    return body.detail
  }
  t.match(await why(user.call('PUT', '/admin/policy', { enforcement: 'optional' })), /needs the role `mfa:admin`, in a token/)
  t.match(await why(user.call('GET', '/admin/users')), /`mfa:admin` or `mfa:support` or `mfa:auditor`/)
  t.match(await why(actOn((await admin.row()).id, 'reset')), /can.t do this to yourself.*npm run admin/)
  const { id, user: gone } = await seen()
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${admin.tenant} AND id = ${id}::uuid`
  t.match(await why(gone.call('GET', '/mfa/factors')), /user is disabled/)
  t.match(await why(service.call('GET', '/mfa/authorize', { token: gone.token() })), /user is disabled/)
})

t.test('a value that is none of a few, a date, an audience: the message says what it may be', async t => {
  const service = await useService(t, { MFA_APPLICATION_AUDIENCES: 'billing' })
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const date = 'must be a date and time, such as 2026-12-01T00:00:00Z'
  const cases: Array<[method: string, path: string, body: unknown, field: string, message: string]> = [
    ['PUT', '/admin/policy', { enforcement: 'on' }, 'enforcement', 'must be one of optional, report_only, required'],
    ['PUT', '/admin/policy', { enforcement: 1 }, 'enforcement', 'must be one of optional, report_only, required'],
    ['PUT', '/admin/policy', { ssoRule: 'sso' }, 'ssoRule', 'must be one of exempt_sso_only, exempt_sso_session, none'],
    ['PUT', '/admin/policy', { enforceFrom: '2026-12-01' }, 'enforceFrom', `${date}, or null`],
    ['PUT', '/admin/policy', { enforceFrom: '2026-12-41T00:00:00Z' }, 'enforceFrom', `${date}, or null`],
    ['PUT', '/admin/policy', { enforceFrom: 1 }, 'enforceFrom', `${date}, or null`],
    ['PUT', '/admin/policy', { groups: 'staff' }, 'groups', 'must be a list of 1 to 500 different groups, or null'],
    ['PUT', '/admin/policy', { groups: [] }, 'groups', 'must be a list of 1 to 500 different groups, or null'],
    ['PUT', '/admin/policy', { groups: ['staff', 1] }, 'groups.1', 'must be text of 1 to 512 characters on one line'],
    ['PUT', '/admin/policy', { gracePeriodDays: 400 }, 'gracePeriodDays', 'must be <= 365'],
    ['PUT', `/admin/users/${SOME_ID}/grace`, { until: 'tomorrow', reason: 'x' }, 'until', date],
    ['PUT', '/admin/users', { users: [{ subject: 'a', accounts: ['ldap'] }] }, 'users.0.accounts.0', 'must be one of local, sso'],
    ['POST', '/mfa/enroll', { label: ' x' }, 'label', 'must be text of 1 to 64 characters on one line, without a space at either end'],
    [
      'POST',
      '/mfa/enroll/confirm',
      { factorId: 'mine', code: '000000' },
      'factorId',
      'must be a UUID, such as 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11'
    ],
    ['POST', '/mfa/verify', { code: 123456 }, 'code', 'must be six digits, as a string'],
    [
      'POST',
      '/mfa/verify',
      { code: '000000', audience: 'shop' },
      'audience',
      'is none of the configured applications (MFA_APPLICATION_AUDIENCES)'
    ],
    [
      'GET',
      '/admin/users?status=all',
      undefined,
      'querystring.status',
      'must be one of enrolled, not_enrolled, must_enroll, in_grace, exempt, locked, disabled'
    ],
    ['GET', '/admin/users?limit=101', undefined, 'querystring.limit', 'must be a number from 1 to 100'],
    ['GET', '/admin/audit?from=yesterday', undefined, 'querystring.from', date],
    ['GET', '/admin/audit?cursor=2', undefined, 'querystring.cursor', 'must be the `nextCursor` of a page before, as it was'],
    ['GET', '/mfa/authorize?acr=MFA', undefined, 'querystring.acr', 'must be one of mfa, phr'],
    ['GET', '/mfa/authorize?maxAge=15m', undefined, 'querystring.maxAge', 'must be a number of seconds']
  ]
  for (const [method, path, body, field, message] of cases) {
    const answer = await service.call(method, path, { token, body })
    t.same([answer.status, answer.body.errors], [400, [{ field, message }]], `${method} ${path} ${JSON.stringify(body)}`)
  }
})

t.test('no message asks anyone to read a regular expression', async t => {
  const service = await useService(t)
  const { body } = await service.call('GET', '/openapi.json')
  const asked = [
    body.components.schemas,
    ...Object.values(body.paths).flatMap((methods: any) => Object.values(methods)).map(({ parameters }: any) => parameters)
  ]
  const mute: unknown[] = []
  // What only answers hold is never refused.
  const answers = /Answer$|^(Factor|Jwks|RecoveryStatus|NewRecoveryCodes|UserPage|AuditPage|UndeliveredPage|SessionToken)$/
  const look = (schema: any): void => {
    if (schema === null || typeof schema !== 'object') return
    if (typeof schema.pattern === 'string' && schema['x-message'] === undefined) mute.push(schema)
    for (const value of Object.values(schema)) look(value)
  }
  for (const each of asked) look(Object.fromEntries(Object.entries(each ?? {}).filter(([name]) => !answers.test(name))))
  t.same(mute, [])
})

t.test('a policy below the floor and a last authenticator that must stay are told apart, and so is a user with nothing to ' +
  'reset', async t => {
  const service = await useService(t, { POLICY_FLOOR: '{"enforcement":"required","groups":null,"gracePeriodDays":0}' })
  const { admin, token, actOn, seen } = await administrator(service)
  const { id: factorId } = (await admin.call('GET', '/mfa/factors')).body.items[0]
  t.match((await admin.call('PUT', '/admin/policy', { enforcement: 'optional' }, token)).body, {
    code: 'required_by_policy',
    detail: /`floor` is in GET \/admin\/policy/
  })
  t.match((await admin.call('DELETE', `/mfa/factors/${factorId}`, undefined, token)).body, {
    code: 'required_by_policy',
    detail: /Add another authenticator/
  })
  const { id, user } = await seen()
  t.match((await actOn(id, 'reset')).body, { code: 'not_enrolled', detail: /nothing to reset/ })
  t.match((await user.call('GET', '/mfa/recovery')).body, { code: 'not_enrolled', detail: /no recovery codes/ })
})
