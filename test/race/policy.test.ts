// Two processes, one database: what a policy does to somebody once, it does once.
import t from 'tap'
import { startReplicas, tally } from '../helpers/replica.ts'
import { startService } from '../helpers/service.ts'

const service = await startService(t)
const { race } = await startReplicas(t, service)

async function tenantWith (policy: object): Promise<string> {
  const admin = service.person({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await admin.call('PUT', '/admin/policy', policy, token)
  return admin.tenant
}

t.test('of 50 parallel first calls over two replicas one gives the deadline, and all answer it', async t => {
  for (const isKnown of [false, true]) {
    const tenant = await tenantWith(isKnown ? { enforcement: 'optional', gracePeriodDays: 7 } : { enforcement: 'required', gracePeriodDays: 7 })
    const person = service.person({ tenant })
    if (isKnown) {
      await person.call('GET', '/mfa/status')
      await service.db.rows`UPDATE policies SET enforcement = 'required', version = version + 1 WHERE tenant = ${tenant}`
    }
    const answers = await race(person, 50, () => ['GET', '/mfa/status', { token: person.token() }])
    const served = answers.filter(({ status }) => status === 200)
    t.ok(served.length >= 2, JSON.stringify(tally(answers)))
    t.same(Object.keys(tally(answers)), ['200'])
    const deadlines = new Set(served.map(({ body }) => body.decision.deadline))
    t.equal(deadlines.size, 1, [...deadlines].join())
    const [row] = await service.db.rows<{ grace_until: Date, policy_met_at: Date }>`SELECT grace_until, policy_met_at FROM users WHERE tenant = ${tenant} AND subject = ${person.sub}`
    t.ok(deadlines.has(row?.grace_until.toISOString()))
    t.equal(Number(row?.grace_until) - Number(row?.policy_met_at), 7 * 86_400_000)
  }
})

t.test('of 50 parallel calls under report-only one is in the audit', async t => {
  const tenant = await tenantWith({ enforcement: 'report_only' })
  const person = service.person({ tenant })
  const answers = await race(person, 50, () => ['GET', '/mfa/status', { token: person.token() }])
  t.same(Object.keys(tally(answers)), ['200'])
  t.equal((await person.events()).filter(({ action }) => action === 'policy.would_enroll').length, 1)
})

t.test('of a policy that was changed since the decision no deadline is given', async t => {
  const tenant = await tenantWith({ enforcement: 'required', gracePeriodDays: 7 })
  const person = service.person({ tenant, accounts: ['sso'] })
  await person.call('GET', '/mfa/status')
  const { id } = await person.row()
  const [{ result } = { result: undefined }] = await service.db.rows<{ result: unknown }>`SELECT note_person_v1(${tenant}, ${id}::uuid, 0, 30, NULL, false, '{}') AS result`
  t.same(result, { outcome: 'noted' })
  const [row] = await service.db.rows<{ grace_until: Date | null }>`SELECT grace_until FROM users WHERE tenant = ${tenant} AND subject = ${person.sub}`
  t.equal(row?.grace_until, null)
})
