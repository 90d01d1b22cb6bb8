import t from 'tap'
import { enrollPasskey, PASSKEYS, provePasskey } from '../helpers/passkeys.ts'
import { startService } from '../helpers/service.ts'
import { aroundSettling } from '../helpers/settling.ts'
import { useService } from '../helpers/use-service.ts'

t.test('who administers MFA has the role, and MFA of the last minutes', async t => {
  const service = await useService(t)
  const user = service.user()
  t.match(await user.call('GET', '/admin/policy'), { status: 403, body: { code: 'forbidden' } })
  t.match((await user.events()).at(-1), { action: 'access.refused', details: { cause: 'role' } })
  const admin = service.user({ roles: ['mfa:admin'] })
  t.match(await admin.call('GET', '/admin/policy'), { status: 409, body: { code: 'not_enrolled' } })
  const { token } = await admin.enroll()
  t.match(await admin.call('GET', '/admin/policy'), { status: 401, body: { code: 'step_up_required', action: 'verify' } })
  t.equal((await admin.call('GET', '/admin/policy', undefined, token)).status, 200)
  service.clock.advance(880)
  const stale = await admin.call('GET', '/admin/policy', undefined, token)
  t.equal(stale.status, 401)
})

t.test('an auditor reads and changes nothing', async t => {
  const service = await useService(t)
  const auditor = service.user({ roles: ['mfa:auditor'] })
  const { token } = await auditor.enroll()
  t.equal((await auditor.call('GET', '/admin/policy', undefined, token)).status, 200)
  t.equal((await auditor.call('PUT', '/admin/policy', { enforcement: 'required' }, token)).status, 403)
})

t.test('a tenant that has set nothing has the default, and its administrators change their own alone', async t => {
  const service = await useService(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const read = await admin.call('GET', '/admin/policy', undefined, token)
  t.same(read.body, {
    enforcement: 'optional',
    groups: null,
    gracePeriodDays: 0,
    enforceFrom: null,
    ssoRule: 'exempt_sso_only',
    phishingResistant: 'off',
    phishingResistantFrom: null,
    trustedDeviceDays: 0,
    version: 0,
    updatedAt: null,
    updatedBy: null,
    floor: null
  })
  t.equal(read.headers.get('etag'), '"0"')
  const other = service.user({ roles: ['mfa:admin'] })
  const { token: otherToken } = await other.enroll()
  await other.call('PUT', '/admin/policy', { enforcement: 'required' }, otherToken)
  t.equal((await admin.call('GET', '/admin/policy', undefined, token)).body.enforcement, 'optional')
})

t.test('a change counts at once, says who made it, and leaves before and after in the audit', async t => {
  const service = await useService(t)
  const replica = await startService(t, service.env, service.clock)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const user = service.user({ tenant: admin.tenant })
  t.match((await user.call('GET', '/mfa/status')).body.decision, { action: 'allow', reason: 'not_required' })
  const changed = await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
  t.match(changed, { status: 200, body: { enforcement: 'required', version: 1, updatedAt: /Z$/, updatedBy: (await admin.row()).id } })
  t.equal(changed.headers.get('etag'), '"1"')
  t.match((await replica.call('GET', '/mfa/status', { token: user.token() })).body.decision, {
    action: 'enroll',
    reason: 'required_by_policy'
  })
  t.match((await admin.events()).find(event => event.action === 'policy.changed'), {
    details: { before: { enforcement: 'optional' }, after: { enforcement: 'required' } }
  })
  t.equal(
    (await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)).body.version,
    1,
    'what changes nothing is no version'
  )
})

t.test('making MFA optional again asks enrolled users all the same', async t => {
  const service = await useService(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
  await admin.call('PUT', '/admin/policy', { enforcement: 'optional' }, token)
  t.match((await admin.call('GET', '/mfa/status')).body.decision, { action: 'verify', reason: 'factor_enrolled' })
})

t.test('If-Match of another version is 412 and changes nothing', async t => {
  const service = await useService(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const put = (enforcement: string, match: string) =>
    service.call('PUT', '/admin/policy', { token, body: { enforcement }, headers: { 'if-match': match } })
  t.equal((await put('required', '"0"')).status, 200)
  for (const match of ['"0"', '"2"', '1', 'W/"1"', 'x']) {
    t.match(await put('optional', match), { status: 412, body: { code: 'precondition_failed' } }, match)
  }
  t.equal((await put('optional', '"1"')).status, 200)
  t.equal((await put('required', '*')).status, 200)
})

t.test('values that are not offered are 400 and name the field', async t => {
  const service = await useService(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  const wrong = [
    ['enforcement', 'off'],
    ['enforcement', null],
    ['ssoRule', 'all'],
    ['groups', []],
    ['groups', ['']],
    ['groups', 'a'],
    ['groups', ['a', 'a']],
    ['groups', [1]],
    ['gracePeriodDays', -1], ['gracePeriodDays', 366], ['gracePeriodDays', 1.5], ['gracePeriodDays', '7'], ['gracePeriodDays', null],
    ['enforceFrom', '2027-01-01'],
    ['enforceFrom', '2027-02-30T00:00:00Z'],
    ['enforceFrom', '2026-12-31T23:59:60Z'],
    ['enforceFrom', '2027-01-01 00:00:00Z'],
    ['enforceFrom', 1],
    ['phishingResistant', 'on'],
    ['phishingResistant', null],
    ['phishingResistant', true],
    ['phishingResistantFrom', '2027-01-01'],
    ['phishingResistantFrom', 'x'.repeat(100)],
    ['phishingResistantFrom', '0000-01-01T00:00:00Z'],
    ['phishingResistantFrom', 1],
    ['trustedDeviceDays', 31],
    ['trustedDeviceDays', -1],
    ['trustedDeviceDays', 1.5],
    ['trustedDeviceDays', '7'],
    ['trustedDeviceDays', null],
    ['mfaRequired', false]
  ] as const
  for (const path of ['/admin/policy', '/admin/policy/preview']) {
    for (const [field, value] of wrong) {
      const answer = await admin.call(path === '/admin/policy' ? 'PUT' : 'POST', path, { [field]: value }, token)
      t.match(
        answer,
        { status: 400, body: { code: 'invalid_request', errors: [{ field: new RegExp(`^${field}`) }] } },
        `${path} ${field} ${JSON.stringify(value)}`
      )
    }
  }
  t.equal((await admin.call('PUT', '/admin/policy', {}, token)).status, 400)
  t.equal((await admin.call('GET', '/admin/policy', undefined, token)).body.version, 0)
})

t.test('each field is set by itself, the others stay, and the audit has before and after', async t => {
  const service = await startService(t, PASSKEYS)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { authenticator } = await enrollPasskey(admin)
  const { body: { token } } = await provePasskey(admin, authenticator)
  const changes: Array<[object, object?]> = [
    [{ enforcement: 'report_only' }],
    [{ groups: ['staff', '__proto__'] }],
    [{ gracePeriodDays: 14 }],
    [{ ssoRule: 'none' }],
    [{ ssoRule: 'exempt_sso_session' }],
    [{ enforceFrom: '2027-01-01T02:00:00+02:00' }, { enforceFrom: '2027-01-01T00:00:00.000Z' }],
    [{ groups: null }],
    [{ trustedDeviceDays: 30 }],
    [{ enforceFrom: null }],
    [{ phishingResistant: 'administrators' }],
    [{ phishingResistantFrom: '2027-01-01T02:00:00+02:00' }, { phishingResistantFrom: '2027-01-01T00:00:00.000Z' }],
    [{ phishingResistant: 'required' }],
    [{ phishingResistantFrom: null }],
    [{ phishingResistant: 'off' }],
    [{ enforcement: 'required', gracePeriodDays: 0 }]
  ]
  let wanted: Record<string, unknown> = {
    enforcement: 'optional',
    groups: null,
    gracePeriodDays: 0,
    enforceFrom: null,
    ssoRule: 'exempt_sso_only',
    phishingResistant: 'off',
    phishingResistantFrom: null,
    trustedDeviceDays: 0
  }
  const inUtc = (time: string | null): string | null => time === null ? null : new Date(time).toISOString()
  for (const [index, [change, shown = change]] of changes.entries()) {
    const before = wanted
    wanted = { ...wanted, ...shown }
    const { body } = await admin.call('PUT', '/admin/policy', change, token)
    t.match(body, { ...wanted, version: index + 1, floor: null }, JSON.stringify(change))
    t.same((await admin.call('GET', '/admin/policy', undefined, token)).body, body)
    const { details } = (await admin.events()).at(-1) as { details: any }
    for (const [audited, policy] of [[details.before, before], [details.after, wanted]]) {
      const [enforceFrom, phishingResistantFrom] = [inUtc(audited.enforceFrom), inUtc(audited.phishingResistantFrom)]
      t.same({ ...audited, enforceFrom, phishingResistantFrom }, policy)
    }
  }
})

t.test('below the deployment\'s floor is 409 and names the field; a tenant can only tighten', async t => {
  const service = await startService(t, {
    POLICY_FLOOR: JSON.stringify({
      enforcement: 'report_only',
      groups: ['staff'],
      gracePeriodDays: 7,
      enforceFrom: '2027-01-01T00:00:00Z',
      trustedDeviceDays: 7
    })
  })
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  t.match((await admin.call('GET', '/admin/policy', undefined, token)).body, {
    enforcement: 'optional',
    floor: { enforcement: 'report_only', groups: ['staff'], gracePeriodDays: 7, enforceFrom: '2027-01-01T00:00:00.000Z' }
  })
  for (
    const [field, value] of [['enforcement', 'optional'], ['groups', ['other']], ['gracePeriodDays', 8], ['trustedDeviceDays', 8], [
      'enforceFrom',
      '2027-01-01T00:00:01Z'
    ]]
  ) {
    for (const [method, path] of [['PUT', '/admin/policy'], ['POST', '/admin/policy/preview']] as const) {
      const answer = await service.call(method, path, { token, body: { [field as string]: value }, headers: { 'if-match': '"9"' } })
      t.match(answer, { status: 409, body: { code: 'required_by_policy', errors: [{ field }] } }, `${path} ${field as string}`)
    }
  }
  const tight = {
    enforcement: 'required',
    groups: ['staff', 'other'],
    gracePeriodDays: 7,
    enforceFrom: null,
    ssoRule: 'exempt_sso_session'
  }
  t.match(await admin.call('PUT', '/admin/policy', tight, token), { status: 200, body: tight })
})

t.test('a floor counts for tenants that have set nothing, and one without fields binds nothing', async t => {
  const strict = await useService(t, { POLICY_FLOOR: '{"enforcement":"required","ssoRule":"none"}' })
  t.match((await strict.user().call('GET', '/mfa/status')).body.decision, { action: 'enroll', reason: 'required_by_policy' })
  t.match((await strict.user({ accounts: ['sso'] }).call('GET', '/mfa/status')).body.decision, { action: 'enroll' })
  const empty = await useService(t, { POLICY_FLOOR: '{}' })
  const admin = empty.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  t.same((await admin.call('GET', '/admin/policy', undefined, token)).body.floor, {})
  t.match((await empty.user().call('GET', '/mfa/status')).body.decision, { reason: 'not_required' })
})

t.test('a change that another one overtakes is decided anew, and given up if that happens again and again', async t => {
  const service = await startService(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  await admin.call('PUT', '/admin/policy', { gracePeriodDays: 1 }, token)
  let times = 2
  const end = aroundSettling(service.db, async send => {
    if (times-- > 0) await service.db.rows`UPDATE policies SET version = version + 1 WHERE tenant = ${admin.tenant}`
    return await send()
  })
  t.match((await admin.call('PUT', '/admin/policy', { gracePeriodDays: 2 }, token)).body, { gracePeriodDays: 2, version: 4 })
  times = Infinity
  t.match(await admin.call('PUT', '/admin/policy', { gracePeriodDays: 3 }, token), { status: 503, body: { code: 'unavailable' } })
  end()
  t.match((await admin.call('GET', '/admin/policy', undefined, token)).body, { gracePeriodDays: 2 })
})
