import t from 'tap'
import { type User } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const service = await useService(t)
const { db } = service

async function administrator (): Promise<{ admin: User, stats: () => Promise<any> }> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  return { admin, stats: async () => (await admin.call('GET', '/admin/stats', undefined, token)).body }
}

t.test('adoption overall, by group and by day; who is locked and whose codes run low; no user who is disabled', async t => {
  const { admin, stats } = await administrator()
  const come = (sub: string, groups: string[]): User => service.user({ tenant: admin.tenant, sub, groups })
  const enrolled = come('enrolled', ['staff', '__proto__'])
  await enrolled.enroll()
  await come('plain', ['staff']).call('GET', '/mfa/status')
  const gone = come('gone', ['staff'])
  await gone.enroll()
  const removed = come('removed', ['guests'])
  const { token, factorId } = await removed.enroll()
  await removed.call('DELETE', `/mfa/factors/${factorId}`, undefined, token)
  const { id } = await enrolled.row()
  await db.rows`UPDATE throttles SET locked_at = now() WHERE tenant = ${admin.tenant} AND user_id IN (${id}::uuid, ${
    (await gone.row()).id
  }::uuid) AND kind = 'totp'`
  await db.rows`UPDATE recovery_codes SET used_at = now() WHERE tenant = ${admin.tenant} AND user_id IN (${id}::uuid, ${
    (await gone.row()).id
  }::uuid) AND slot < 7`
  await db.rows`UPDATE recovery_codes SET used_at = now() WHERE tenant = ${admin.tenant} AND user_id = ${
    (await admin.row()).id
  }::uuid AND slot < 6`
  await db.rows`UPDATE users SET enrolled_at = now() - interval '1 day' WHERE tenant = ${admin.tenant} AND id = ${id}::uuid`
  const { token: synced } = await service.user({ tenant: admin.tenant, roles: ['mfa:admin'], groups: ['staff'] }).enroll()
  await service.call('PUT', '/admin/users', { token: synced, body: { users: [{ subject: 'gone', disabled: true }] } })

  const found = await stats()
  t.match(found, { users: 5, enrolled: 3, locked: 1, codesRunningLow: 1, administrators: { enrolled: 2, notEnrolled: 0 }, warning: null })
  t.same(found.groups, [{ group: 'staff', users: 3, enrolled: 2 }, { group: '__proto__', users: 1, enrolled: 1 }, {
    group: 'guests',
    users: 1,
    enrolled: 0
  }])
  t.equal(found.enrolledPerDay.length, 30)
  t.match(found.enrolledPerDay.slice(-2), [{ day: new Date(Date.now() - 86_400_000).toISOString().slice(0, 10), enrolled: 1 }, {
    day: new Date().toISOString().slice(0, 10),
    enrolled: 2
  }])
  t.same(Object.keys(found).sort(), [
    'administrators',
    'codesRunningLow',
    'enrolled',
    'enrolledPerDay',
    'groups',
    'locked',
    'passkeys', 'users',
    'warning'
  ])
})

t.test('fewer than two enrolled administrators is a warning in it and in the log', async t => {
  const { admin, stats } = await administrator()
  await service.user({ tenant: admin.tenant, roles: ['mfa:support'] }).call('GET', '/mfa/status')
  const logged = (): number =>
    service.log.filter(line => line.includes('fewer than two administrators') && line.includes(admin.tenant)).length
  t.match(await stats(), { administrators: { enrolled: 1, notEnrolled: 1 }, warning: /two administrators/ })
  t.equal(logged(), 1)
  await service.user({ tenant: admin.tenant, roles: ['mfa:admin'] }).enroll()
  t.match(await stats(), { administrators: { enrolled: 2, notEnrolled: 1 }, warning: null })
  t.equal(logged(), 1)
})

t.test('support and auditors read them', async t => {
  for (const role of ['mfa:support', 'mfa:auditor']) {
    const user = service.user({ roles: [role] })
    const { token } = await user.enroll()
    t.match(await user.call('GET', '/admin/stats', undefined, token), { status: 200, body: { users: 1, enrolled: 1, groups: [] } }, role)
  }
})
