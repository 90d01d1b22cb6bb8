import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { countPreview } from '../../src/admin/policy/preview/store.ts'
import { type Floor, rulesOf } from '../../src/core/floor.ts'
import { decide, DEFAULT_POLICY, type Decision, type DecisionSettings, type Policy, usualSession } from '../../src/core/policy.ts'
import { groupsOf } from '../../src/core/sources.ts'
import { findPersonById } from '../../src/db/person.ts'
import { startService } from '../helpers/service.ts'

t.test('a draft is counted and changes nothing; what it leaves out is as it is set', async t => {
  const service = await startService(t)
  const admin = service.person({ roles: ['mfa:admin'], groups: ['staff'] })
  const { token } = await admin.enroll()
  const come = (claims: Record<string, unknown>): Promise<unknown> => service.person({ tenant: admin.tenant, ...claims }).call('GET', '/mfa/status')
  await come({ sub: 'local', groups: ['staff'], email: 'local@example.com' })
  await come({ sub: 'guest', groups: ['guests', '__proto__'] })
  await come({ sub: 'sso', accounts: ['sso'], groups: ['staff'] })
  await come({ sub: 'gone', groups: ['staff'] })
  await service.db.rows`UPDATE users SET disabled_at = clock_timestamp() WHERE tenant = ${admin.tenant} AND subject = 'gone'`
  await service.db.rows`UPDATE users SET sources = jsonb_set(sources, '{https://id.test,groupsUnknown}', 'true') WHERE tenant = ${admin.tenant} AND subject = 'guest'`
  const preview = async (draft: object): Promise<any> => (await admin.call('POST', '/admin/policy/preview', draft, token)).body
  const nobody = { users: 0, enrolled: 0, mustEnroll: 0, inGrace: 0, exempt: 0, notCovered: 0 }

  const all = await preview({ enforcement: 'required' })
  t.match(all, { ...nobody, users: 4, enrolled: 1, mustEnroll: 2, exempt: 1, groupsUnknown: 1 })
  t.same(all.byGroup.staff, { ...nobody, users: 3, enrolled: 1, mustEnroll: 1, exempt: 1 })
  t.same(all.byGroup.guests, { ...nobody, users: 1, mustEnroll: 1 })
  t.same(Object.keys(all.byGroup).sort(), ['__proto__', 'guests', 'staff'], 'a name is a name')
  const [local] = all.sample.filter(({ subject }: { subject: string }) => subject === 'local')
  t.match(local, { userId: /^[0-9a-f-]{36}$/, subject: 'local', account: 'local@example.com', namespace: 'https://id.test' })
  t.same(all.sample.map(({ subject }: { subject: string }) => subject).sort(), ['guest', 'local'])

  t.match(await preview({ enforcement: 'report_only' }), { mustEnroll: 2, exempt: 1 }, 'as if required')
  t.match(await preview({ enforcement: 'required', ssoRule: 'none' }), { mustEnroll: 3, exempt: 0 })
  t.match(await preview({ enforcement: 'required', ssoRule: 'exempt_sso_session' }), { mustEnroll: 2, exempt: 1 })
  t.match(await preview({ enforcement: 'required', gracePeriodDays: 7 }), { mustEnroll: 0, inGrace: 2, sample: [] })
  t.match(await preview({ enforcement: 'required', enforceFrom: '2199-01-01T00:00:00Z' }), { mustEnroll: 0, inGrace: 2 })
  t.match(await preview({ enforcement: 'required', groups: ['nobody'] }), { mustEnroll: 1, notCovered: 2, enrolled: 1 }, 'groups that were left out may be any')
  t.match(await preview({}), { users: 4, enrolled: 1, notCovered: 3, mustEnroll: 0, sample: [] })
  t.match((await admin.call('GET', '/admin/policy', undefined, token)).body, { version: 0, enforcement: 'optional' })

  await admin.call('PUT', '/admin/policy', { enforcement: 'required', groups: ['staff'] }, token)
  t.match(await preview({ gracePeriodDays: 3 }), { inGrace: 2, exempt: 1, notCovered: 0 })
  t.equal((await service.db.rows`SELECT 1 FROM users WHERE tenant = ${admin.tenant} AND grace_until IS NOT NULL`).length, 0, 'and meets nobody')
})

t.test('of a tenant without anybody else there is nobody to count, and no more than twenty are shown', async t => {
  const service = await startService(t)
  const empty = await countPreview(service.db, `tenant-${randomUUID()}`, [{ ...DEFAULT_POLICY, enforcement: 'required' }], ['https://id.test'])
  t.same(empty, { counts: null, groupsUnknown: 0, sample: null })
  const admin = service.person({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await service.db.rows`INSERT INTO users (tenant, id, namespace, subject, account) SELECT ${admin.tenant}, gen_random_uuid(), 'n', 's' || n, 'a' FROM generate_series(1, 50) AS n`
  const { body } = await admin.call('POST', '/admin/policy/preview', { enforcement: 'required' }, token)
  t.match(body, { users: 51, enrolled: 1, mustEnroll: 50, byGroup: {} })
  t.equal(new Set(body.sample.map(({ userId }: { userId: string }) => userId)).size, 20)
})

t.test('an auditor previews, and support does not', async t => {
  const service = await startService(t)
  for (const [role, status] of [['mfa:auditor', 200], ['mfa:support', 403]] as const) {
    const person = service.person({ roles: [role] })
    const { token } = await person.enroll()
    t.equal((await person.call('POST', '/admin/policy/preview', { enforcement: 'required' }, token)).status, status, role)
  }
})

// Days from now, never close to it: the two are asked at different moments.
const day = fc.constantFrom(-40, -9, -2, 2, 5, 40)
const source = fc.record({ local: fc.boolean(), sso: fc.boolean(), groups: fc.subarray(['x', 'y', 'z']), groupsUnknown: fc.boolean() }, { requiredKeys: [] })
const somebody = fc.record({
  sources: fc.dictionary(fc.constantFrom('a', 'b', 'gone'), source, { maxKeys: 3 }),
  isDisabled: fc.integer({ max: 9, min: 0 }).map(number => number === 0),
  isEnrolled: fc.integer({ max: 3, min: 0 }).map(number => number === 0),
  met: fc.option(fc.record({ at: fc.constantFrom(-30, -9, -2), until: day })),
  exempt: fc.option(fc.record({ since: fc.constantFrom(-60, -10, -1), until: fc.option(day) }))
})
const enforcement = fc.constantFrom('optional', 'report_only', 'required', 'required', 'required') as fc.Arbitrary<Policy['enforcement']>
const ssoRule = fc.constantFrom('exempt_sso_only', 'exempt_sso_session', 'none') as fc.Arbitrary<Policy['ssoRule']>
const groups = fc.option(fc.subarray(['x', 'y', 'z', 'w'], { minLength: 1 }))
const gracePeriodDays = fc.constantFrom(0, 7, 30)
const enforceFrom = fc.option(day.map(days => new Date(Date.now() + days * 86_400_000)))
const policies = fc.record({ enforcement, ssoRule, groups, gracePeriodDays, enforceFrom })
const floors = fc.option(fc.record({ enforcement, ssoRule, groups, gracePeriodDays, enforceFrom, maxExemptionDays: fc.constantFrom(0, 5, 30) }, { requiredKeys: [] }))

const BUCKETS: Partial<Record<Decision['reason'], string>> = { not_required: 'notCovered', exempt_sso: 'exempt', exempt_user: 'exempt', grace: 'inGrace', required_by_policy: 'mustEnroll' }

t.test('for any people, policy and floor it counts what the decision function decides of each, report-only as if required', async t => {
  const { db } = await startService(t)
  await fc.assert(fc.asyncProperty(fc.array(somebody, { minLength: 1, maxLength: 25 }), policies, floors, async (people, drawn, drawnFloor) => {
    const tenant = `tenant-${randomUUID()}`
    const asRequired = <T extends { enforcement?: Policy['enforcement'] }>(fields: T): T => ({ ...fields, ...(fields.enforcement === 'report_only' && { enforcement: 'required' }) })
    const policy: Policy = { ...DEFAULT_POLICY, ...drawn }
    const floor: Floor | null = drawnFloor
    const rows = people.map((person, index) => ({ ...person, id: randomUUID(), index }))
    await db.rows`INSERT INTO users (tenant, id, namespace, subject, account, sources, disabled_at, policy_met_at, grace_until, exempt_since, exempt_until, exempt_reason, exempt_by)
      SELECT ${tenant}, (p->>'id')::uuid, 'n', p->>'index', 'a', p->'sources', CASE WHEN (p->>'isDisabled')::boolean THEN now() END,
        now() + (p->'met'->>'at')::int * interval '24 hours', now() + (p->'met'->>'until')::int * interval '24 hours',
        now() + (p->'exempt'->>'since')::int * interval '24 hours', now() + (p->'exempt'->>'until')::int * interval '24 hours',
        CASE WHEN p->'exempt'->>'since' IS NOT NULL THEN 'r' END, CASE WHEN p->'exempt'->>'since' IS NOT NULL THEN 'b' END
      FROM jsonb_array_elements(${JSON.stringify(rows)}::jsonb) AS p`
    await db.rows`INSERT INTO factors (tenant, id, user_id, label, sealed, key_id, last_step, created_at, confirmed_at)
      SELECT ${tenant}, gen_random_uuid(), (p->>'id')::uuid, l, '\\x00', 'k', 1, now(), now()
      FROM jsonb_array_elements(${JSON.stringify(rows)}::jsonb) AS p, unnest(ARRAY['one', 'two']) AS l WHERE (p->>'isEnrolled')::boolean`

    const settings: DecisionSettings = { issuers: new Set(['a', 'b']), loginFreshSeconds: 900, floor: floor === null ? null : asRequired(floor) }
    const wanted = new Map<string, number>()
    const mustEnroll = new Set<string>()
    let unknown = 0
    const now = new Date()
    for (const { id, isDisabled, isEnrolled, sources } of rows) {
      if (isDisabled) continue
      const person = await findPersonById(db, tenant, id)
      if (person === null) throw new Error('he is there')
      const decision = decide({ ...person, policy: asRequired(policy) }, usualSession(person, now, settings), now, settings)
      const bucket = isEnrolled ? 'enrolled' : BUCKETS[decision.reason] as string
      for (const group of [null, ...groupsOf(person.sources, settings.issuers)]) {
        const key = JSON.stringify([group, bucket])
        wanted.set(key, (wanted.get(key) ?? 0) + 1)
      }
      if (bucket === 'mustEnroll') mustEnroll.add(id)
      if (['a', 'b'].some(issuer => (sources as any)[issuer]?.groupsUnknown === true)) unknown++
    }

    const { counts, groupsUnknown, sample } = await countPreview(db, tenant, rulesOf(policy, floor), ['a', 'b'])
    const counted = new Map((counts ?? []).map(({ group, bucket, users }) => [JSON.stringify([group, bucket]), users]))
    assert.deepEqual(counted, wanted)
    assert.equal(groupsUnknown, unknown)
    assert.equal((sample ?? []).length, Math.min(20, mustEnroll.size))
    assert.ok((sample ?? []).every(({ userId }) => mustEnroll.has(userId)))
  }), { numRuns: 150 })
  t.pass('they are equal')
})
