import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { type Counted, countPreview } from '../../src/policy/preview/store.ts'
import { rulesOf } from '../../src/policy/floor.ts'
import { decide, type DecisionSettings, phrSince, usualSession } from '../../src/policy/decide.ts'
import { DEFAULT_POLICY, type Decision, type Policy } from '../../src/policy/policy.ts'
import { groupsOf } from '../../src/users/sources.ts'
import { findUserById } from '../../src/users/user.sql.ts'
import { canProve, floors, hasFactor, policies, RP_ID, settle, anyUser, SOURCES } from '../helpers/crowd.ts'
import { recount } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

t.test('a draft is counted and changes nothing; what it leaves out is as it is set', async t => {
  const service = await useService(t)
  const admin = service.user({ roles: ['mfa:admin'], groups: ['staff'] })
  const { token } = await admin.enroll()
  const come = (claims: Record<string, unknown>): Promise<unknown> =>
    service.user({ tenant: admin.tenant, ...claims }).call('GET', '/mfa/status')
  await come({ sub: 'local', groups: ['staff'], email: 'local@example.com' })
  await come({ sub: 'guest', groups: ['guests', '__proto__'] })
  await come({ sub: 'sso', accounts: ['sso'], groups: ['staff'] })
  await come({ sub: 'gone', groups: ['staff'] })
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${admin.tenant} AND subject = 'gone'`
  await service.db
    .rows`UPDATE users SET sources = jsonb_set(sources, '{https://id.test,groupsUnknown}', 'true') WHERE tenant = ${admin.tenant}
      AND subject = 'guest'`
  await recount(service.db, admin.tenant)
  const preview = async (draft: object): Promise<any> => (await admin.call('POST', '/admin/policy/preview', draft, token)).body
  const none = { users: 0, enrolled: 0, mustEnroll: 0, inGrace: 0, exempt: 0, notCovered: 0, needPasskey: 0 }

  const all = await preview({ enforcement: 'required' })
  t.match(all, { ...none, users: 4, enrolled: 1, mustEnroll: 2, exempt: 1, groupsUnknown: 1 })
  t.same(all.byGroup.staff, { ...none, users: 3, enrolled: 1, mustEnroll: 1, exempt: 1 })
  t.same(all.byGroup.guests, { ...none, users: 1, mustEnroll: 1 })
  t.same(Object.keys(all.byGroup).sort(), ['__proto__', 'guests', 'staff'], 'a name is a name')
  const [local] = all.sample.filter(({ subject }: { subject: string }) => subject === 'local')
  t.match(local, { userId: /^[0-9a-f-]{36}$/, subject: 'local', account: 'local@example.com', namespace: 'https://id.test' })
  t.same(all.sample.map(({ subject }: { subject: string }) => subject).sort(), ['guest', 'local'])

  t.match(await preview({ enforcement: 'report_only' }), { mustEnroll: 2, exempt: 1 }, 'as if required')
  t.match(await preview({ enforcement: 'required', ssoRule: 'none' }), { mustEnroll: 3, exempt: 0 })
  t.match(await preview({ enforcement: 'required', ssoRule: 'exempt_sso_session' }), { mustEnroll: 2, exempt: 1 })
  t.match(await preview({ enforcement: 'required', gracePeriodDays: 7 }), { mustEnroll: 0, inGrace: 2, sample: [] })
  t.match(await preview({ enforcement: 'required', enforceFrom: '2199-01-01T00:00:00Z' }), { mustEnroll: 0, inGrace: 2 })
  t.match(
    await preview({ enforcement: 'required', groups: ['none'] }),
    { mustEnroll: 1, notCovered: 2, enrolled: 1 },
    'groups that were left out may be any'
  )
  t.match(await preview({}), { users: 4, enrolled: 1, notCovered: 3, mustEnroll: 0, sample: [] })
  t.match((await admin.call('GET', '/admin/policy', undefined, token)).body, { version: 0, enforcement: 'optional' })

  await admin.call('PUT', '/admin/policy', { enforcement: 'required', groups: ['staff'] }, token)
  t.match(await preview({ gracePeriodDays: 3 }), { inGrace: 2, exempt: 1, notCovered: 0 })
  t.equal(
    (await service.db.rows`SELECT 1 FROM users WHERE tenant = ${admin.tenant} AND grace_until IS NOT NULL`).length,
    0,
    'and meets no user'
  )
})

t.test('in a tenant without other users there are none to count, and no more than twenty are shown', async t => {
  const service = await useService(t)
  const empty = await countPreview(service.db, `tenant-${randomUUID()}`, {
    rules: [{ ...DEFAULT_POLICY, enforcement: 'required', phishingResistant: 'required' }],
    sources: ['https://id.test'],
    rpId: undefined
  })
  t.same(empty, { counts: [], groupsUnknown: 0, sample: [] })
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await service.db
    .rows`INSERT INTO users (tenant, id, namespace, subject, account) SELECT ${admin.tenant}, gen_random_uuid(), 'n', 's' || n, 'a'
      FROM generate_series(1, 50) AS n`
  await recount(service.db, admin.tenant)
  const { body } = await admin.call('POST', '/admin/policy/preview', { enforcement: 'required' }, token)
  t.match(body, { users: 51, enrolled: 1, mustEnroll: 50, byGroup: {} })
  t.equal(new Set(body.sample.map(({ userId }: { userId: string }) => userId)).size, 20)
})

t.test('an auditor previews, and support does not', async t => {
  const service = await useService(t)
  for (const [role, status] of [['mfa:auditor', 200], ['mfa:support', 403]] as const) {
    const user = service.user({ roles: [role] })
    const { token } = await user.enroll()
    t.equal((await user.call('POST', '/admin/policy/preview', { enforcement: 'required' }, token)).status, status, role)
  }
})

const BUCKETS: Partial<Record<Decision['reason'], string>> = {
  not_required: 'notCovered',
  exempt_sso: 'exempt',
  exempt_user: 'exempt',
  grace: 'inGrace',
  required_by_policy: 'mustEnroll',
  phishing_resistant_required: 'mustEnroll'
}

t.test('for any users, policy and floor it counts what the decision function decides of each, report-only as if required', async t => {
  const { db } = await useService(t)
  await fc.assert(fc.asyncProperty(fc.array(anyUser, { minLength: 1, maxLength: 25 }), policies, floors, async (users, drawn, floor) => {
    const tenant = `tenant-${randomUUID()}`
    const asRequired = <T extends { enforcement?: Policy['enforcement'] }>(fields: T): T => ({
      ...fields,
      ...(fields.enforcement === 'report_only' && { enforcement: 'required' })
    })
    const policy: Policy = { ...DEFAULT_POLICY, ...drawn }
    const rows = await settle(db, tenant, users)
    const settings: DecisionSettings = {
      issuers: new Set(SOURCES),
      loginFreshSeconds: 900,
      floor: floor === null ? null : asRequired(floor),
      canProve
    }
    const wanted = new Map<string, number>()
    const mustEnroll = new Set<string>()
    let unknown = 0
    const now = new Date()
    for (const row of rows) {
      const { id, isDisabled, sources } = row
      if (isDisabled) continue
      const user = await findUserById(db, tenant, id)
      if (user === null) throw new Error('the user is there')
      const judged = { ...user, policy: asRequired(policy) }
      const decision = decide(judged, usualSession(user, now, settings), now, settings)
      const bucket = hasFactor(row) && decision.action !== 'enroll' ? 'enrolled' : BUCKETS[decision.reason] as string
      const isPasskeyMissing = phrSince(judged, now, settings) !== null && !canProve('phr', user)
      for (const group of [null, ...groupsOf(user.sources, settings.issuers)]) {
        const key = JSON.stringify([group, bucket, isPasskeyMissing])
        wanted.set(key, (wanted.get(key) ?? 0) + 1)
      }
      if (bucket === 'mustEnroll') mustEnroll.add(id)
      if (SOURCES.some(source => sources[source]?.groupsUnknown === true)) unknown++
    }

    const { counts, groupsUnknown, sample } = await countPreview(db, tenant, {
      rules: rulesOf(policy, floor),
      sources: SOURCES,
      rpId: RP_ID
    })
    const keyOf = ({ group, bucket, isPasskeyMissing }: Counted): string => JSON.stringify([group, bucket, isPasskeyMissing])
    const counted = new Map(counts.map(each => [keyOf(each), each.users]))
    assert.deepEqual(counted, wanted)
    assert.equal(groupsUnknown, unknown)
    assert.equal(sample.length, Math.min(20, mustEnroll.size))
    assert.ok(sample.every(({ userId }) => mustEnroll.has(userId)))
  }), { numRuns: 150 })
  t.pass('they are equal')
})
