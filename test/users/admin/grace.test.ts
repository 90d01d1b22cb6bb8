import t from 'tap'
import { administrator } from '../../helpers/administrator.ts'
import { type User, type Service, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const DAY = 86_400_000

async function enforcing (service: Service, policy: object): Promise<{ admin: User, put: (policy: object) => Promise<void> }> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const put = async (change: object): Promise<void> => {
    const answer = await admin.call('PUT', '/admin/policy', change, token)
    if (answer.status !== 200) throw new Error(answer.text)
  }
  await put(policy)
  return { admin, put }
}

const decision = async (user: User, claims: Record<string, unknown> = {}): Promise<any> =>
  (await user.call('GET', '/mfa/status', undefined, user.token(claims))).body.decision

/** Lets the deadline be over, as time would: it is the database's time. */
const endGrace = ({ service, tenant, sub }: User): Promise<unknown> => service.db.rows`
  UPDATE users SET grace_until = now() - interval '1 second' WHERE tenant = ${tenant} AND subject = ${sub}`

t.test('a deadline is given when the policy first meets a user, by the database\'s clock, and a login does not renew it', async t => {
  const service = await useService(t)
  const { admin } = await enforcing(service, { enforcement: 'required', gracePeriodDays: 7 })
  const user = service.user({ tenant: admin.tenant })
  const before = Date.now()
  service.clock.advance(600)
  const first = await decision(user)
  t.match(first, { action: 'allow', reason: 'grace', deadline: /Z$/ })
  const given = Date.parse(first.deadline) - 7 * DAY
  t.ok(given >= before - 1000 && given <= Date.now() + 1000, 'not by the service\'s clock')
  service.clock.advance(3600)
  t.same(await decision(user), first)
  t.same(await decision(user, { sid: 'another' }), first)
  await endGrace(user)
  t.match(await decision(user), { action: 'enroll', reason: 'required_by_policy' })
})

t.test('neither the flag nor a group nor other days renew a deadline', async t => {
  const service = await useService(t)
  const { admin, put } = await enforcing(service, { enforcement: 'required', gracePeriodDays: 7, groups: ['staff'] })
  const user = service.user({ tenant: admin.tenant })
  const staff = { groups: ['staff'] }
  t.match(await decision(user, { groups: ['others'] }), { reason: 'not_required' })
  t.equal(await graceOf(user), null, 'who is not covered has no deadline')
  const { deadline } = await decision(user, staff)
  t.match(await decision(user, { groups: [] }), { reason: 'not_required' })
  t.equal((await decision(user, staff)).deadline, deadline, 'left the group, and came back')
  await put({ enforcement: 'optional' })
  t.match(await decision(user, staff), { reason: 'not_required' })
  await put({ enforcement: 'required', gracePeriodDays: 30 })
  t.equal((await decision(user, staff)).deadline, deadline, 'off and on, with more days')
  await endGrace(user)
  await put({ enforcement: 'report_only' })
  await put({ enforcement: 'required' })
  t.match(await decision(user, staff), { action: 'enroll' })
  const enforceFrom = new Date(Date.now() + DAY).toISOString()
  await put({ enforceFrom })
  t.same(await decision(user, staff), { action: 'allow', reason: 'grace', deadline: enforceFrom }, 'a second roll-out has a date')
})

const graceOf = async ({ service, tenant, sub }: User): Promise<Date | null> =>
  (await service.db.rows<{ grace_until: Date | null }>`SELECT grace_until FROM users WHERE tenant = ${tenant} AND subject = ${sub}`)[0]
    ?.grace_until ?? null

t.test('a user who is enrolled when the policy comes has a deadline too, so that a reset opens no new grace', async t => {
  const service = await useService(t)
  const { admin } = await enforcing(service, { enforcement: 'required', gracePeriodDays: 7 })
  const user = service.user({ tenant: admin.tenant })
  await user.enroll()
  const given = await graceOf(user)
  t.not(given, null)
  const support = await administrator(service, ['mfa:support'], user.tenant)
  const reset = async (): Promise<void> => { t.equal((await support.actOn((await user.row()).id, 'reset')).status, 204) }
  await reset()
  t.equal((await decision(user)).deadline, given?.toISOString())
  await user.enroll()
  await endGrace(user)
  await reset()
  t.match(await decision(user), { action: 'enroll' })
})

t.test('a session that the SSO rule exempts, an exempt user and a disabled user are not met yet', async t => {
  const service = await useService(t)
  const { admin } = await enforcing(service, { enforcement: 'required', gracePeriodDays: 7 })
  const sso = service.user({ tenant: admin.tenant, accounts: ['sso'] })
  t.match(await decision(sso), { reason: 'exempt_sso' })
  t.equal(await graceOf(sso), null)
  t.match(await decision(sso, { accounts: ['sso', 'local'] }), { reason: 'grace' })
  const disabled = service.user({ tenant: admin.tenant, accounts: ['sso'] })
  await decision(disabled)
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${admin.tenant} AND subject = ${disabled.sub}`
  t.match(await decision(disabled, { accounts: ['local'] }), { action: 'deny' })
  t.equal(await graceOf(disabled), null)
})

t.test('report-only lets everyone pass, starts no clock, and says and audits what required would ask, once for each version', async t => {
  const service = await useService(t)
  const { admin, put } = await enforcing(service, { enforcement: 'report_only' })
  const user = service.user({ tenant: admin.tenant })
  t.same(await decision(user), { action: 'allow', reason: 'report_only', wouldBe: { action: 'enroll', reason: 'required_by_policy' } })
  t.match(await decision(user, { auth_time: service.clock.seconds - 1000 }), {
    reason: 'report_only',
    wouldBe: { action: 'enroll', loginFirst: true }
  })
  t.equal(await graceOf(user), null)
  const reports = async (): Promise<any[]> => (await admin.events()).filter(({ action }) => action === 'policy.would_enroll')
  const id = (await user.row()).id
  t.match(await reports(), [{ actor: id, subject: id, outcome: 'success', details: { action: 'enroll', reason: 'required_by_policy' } }])
  await put({ gracePeriodDays: 7 })
  t.match(await decision(user), { reason: 'report_only', wouldBe: { action: 'allow', reason: 'grace', deadline: /Z$/ } })
  await decision(user)
  t.equal((await reports()).length, 2)
  t.equal(await graceOf(user), null)
  t.match(await decision(service.user({ tenant: admin.tenant, accounts: ['sso'] })), { reason: 'exempt_sso' })
  t.equal((await reports()).length, 2)
})

t.test('a personal token of a user who must have MFA does not pass, whatever the SSO rule', async t => {
  const service = await useService(t, { JWT_LOGIN_TYPE: 'api' })
  const { admin, put } = await enforcing(service, { enforcement: 'required' })
  for (const ssoRule of ['exempt_sso_only', 'exempt_sso_session', 'none']) {
    await put({ ssoRule })
    t.match(await decision(service.user({ tenant: admin.tenant })), { action: 'enroll' }, ssoRule)
  }
})

t.test('a session that came in by SSO passes by the session\'s rule, with a factor too, and asks nothing of a password\'s', async t => {
  const local = await useService(t)
  const sso = await startService(t, { ...local.env, JWT_LOGIN_TYPE: 'sso' }, local.clock)
  const { admin, put } = await enforcing(local, { enforcement: 'required', ssoRule: 'exempt_sso_session' })
  const user = local.user({ tenant: admin.tenant })
  const bySso = async (): Promise<any> => (await sso.call('GET', '/mfa/status', { token: user.token() })).body.decision
  t.same(await bySso(), { action: 'allow', reason: 'exempt_sso' })
  t.match(await decision(user), { action: 'enroll' })
  await user.enroll()
  t.same(await bySso(), { action: 'allow', reason: 'exempt_sso' })
  t.match(await decision(user), { action: 'verify' })
  await put({ ssoRule: 'exempt_sso_only' })
  t.match(await bySso(), { action: 'verify' })
})
