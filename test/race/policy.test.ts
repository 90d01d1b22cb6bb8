// Two processes, one database: what a policy does to a user once, it does once.
import t from 'tap'
import { startReplicas, tally } from '../helpers/replica.ts'
import { callTo } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { race, urls, syncClocks } = await startReplicas(t, service)

async function tenantWith (policy: object): Promise<string> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await admin.call('PUT', '/admin/policy', policy, token)
  return admin.tenant
}

t.test('of 50 parallel first calls over two replicas one gives the deadline, and all answer it', async t => {
  for (const isKnown of [false, true]) {
    const tenant = await tenantWith(
      isKnown ? { enforcement: 'optional', gracePeriodDays: 7 } : { enforcement: 'required', gracePeriodDays: 7 }
    )
    const user = service.user({ tenant })
    if (isKnown) {
      await user.call('GET', '/mfa/status')
      await service.db.rows`UPDATE policies SET enforcement = 'required', version = version + 1 WHERE tenant = ${tenant}`
    }
    const answers = await race(user, 50, () => ['GET', '/mfa/status', { token: user.token() }])
    const served = answers.filter(({ status }) => status === 200)
    t.ok(served.length >= 2, JSON.stringify(tally(answers)))
    t.same(Object.keys(tally(answers)), ['200'])
    const deadlines = new Set(served.map(({ body }) => body.decision.deadline))
    t.equal(deadlines.size, 1, [...deadlines].join())
    const [row] = await service.db.rows<
      { grace_until: Date, policy_met_at: Date }
    >`SELECT grace_until, policy_met_at FROM users WHERE tenant = ${tenant} AND subject = ${user.sub}`
    t.ok(deadlines.has(row?.grace_until.toISOString()))
    t.equal(Number(row?.grace_until) - Number(row?.policy_met_at), 7 * 86_400_000)
  }
})

t.test('of 50 parallel calls under report-only one is in the audit', async t => {
  const tenant = await tenantWith({ enforcement: 'report_only' })
  const user = service.user({ tenant })
  const answers = await race(user, 50, () => ['GET', '/mfa/status', { token: user.token() }])
  t.same(Object.keys(tally(answers)), ['200'])
  t.equal((await user.events()).filter(({ action }) => action === 'policy.would_enroll').length, 1)
})

t.test('what is set on one replica is what every replica decides by, within a second', async t => {
  const replicas = urls.map(callTo)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const user = service.user({ tenant: admin.tenant })
  await syncClocks()
  const decided = async (): Promise<string[]> => {
    const answers = await Promise.all(
      replicas.flatMap(
        call => [call('GET', '/mfa/status', { token: user.token() }), call('GET', '/mfa/authorize', { token: user.token() })]
      )
    )
    return [
      ...new Set(answers.map(({ status, headers, body }) =>
        headers.get('x-mfa-reason') ?? body.decision?.reason ?? `${status} ${String(body.code)}`
      ))
    ].sort()
  }
  t.same(await decided(), ['not_required'])
  const { userId } = (await user.call('GET', '/mfa/status')).body
  const changes: Array<[string, object, string[]]> = [
    ['/admin/policy', { enforcement: 'required' }, ['403 enrollment_required', 'required_by_policy']],
    [`/admin/users/${String(userId)}/exemption`, { exempt: true, reason: 'test' }, ['exempt_user']],
    [`/admin/users/${String(userId)}/exemption`, { exempt: false, reason: 'test' }, ['403 enrollment_required', 'required_by_policy']],
    ['/admin/policy', { enforcement: 'report_only' }, ['report_only']],
    ['/admin/policy', { enforcement: 'required', enforceFrom: new Date(Date.now() + 86_400_000).toISOString() }, ['grace']],
    ['/admin/policy', { enforcement: 'optional' }, ['not_required']]
  ]
  for (const [index, [path, body, wanted]] of changes.entries()) {
    const answer = await (replicas[index % 2] as typeof replicas[0])('PUT', path, { token, body })
    t.equal(answer.status, 200, answer.text)
    const begun = performance.now()
    while (JSON.stringify(await decided()) !== JSON.stringify(wanted) && performance.now() - begun < 2000);
    const milliseconds = performance.now() - begun
    t.ok(milliseconds < 1000, `${JSON.stringify(body)}: after ${Math.round(milliseconds)} ms`)
    t.same(await decided(), wanted)
  }
})

t.test('of a policy that was changed since the decision no deadline is given', async t => {
  const tenant = await tenantWith({ enforcement: 'required', gracePeriodDays: 7 })
  const user = service.user({ tenant, accounts: ['sso'] })
  await user.call('GET', '/mfa/status')
  const { id } = await user.row()
  const [{ result } = { result: undefined }] = await service.db.rows<
    { result: unknown }
  >`SELECT record_policy_contact(${tenant}, ${id}::uuid, 0, 30, NULL, false, '{}') AS result`
  t.same(result, { outcome: 'recorded' })
  const [row] = await service.db.rows<
    { grace_until: Date | null }
  >`SELECT grace_until FROM users WHERE tenant = ${tenant} AND subject = ${user.sub}`
  t.equal(row?.grace_until, null)
})
