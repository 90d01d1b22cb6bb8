import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { issuersEnvironment, newTenant, startTrusting } from '../../helpers/issuers.ts'
import { TestProvider } from '../../helpers/provider.ts'
import { type Answer, inTime, type User, SECRET, startService, TestClock } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const service = await useService(t)
const { db } = service

interface Stage { admin: User, token: string, sync: (...users: object[]) => Promise<Answer>, user: (sub: string) => Promise<any> }

async function stage (policy?: object): Promise<Stage> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  if (policy !== undefined) await admin.call('PUT', '/admin/policy', policy, token)
  return {
    admin,
    token,
    sync: (...users) => admin.call('PUT', '/admin/users', { users }, token),
    user: async sub => (await admin.call('GET', `/admin/users?subject=${sub}`, undefined, token)).body.items[0]
  }
}

const syncEvents = async (admin: User): Promise<any[]> =>
  (await admin.events()).filter(({ action }) => /^users?\.(synced|disabled|enabled)$/.test(action))

t.test('an application tells of its users ahead of their first login: who is made, who is changed and who stays as they were', async t => {
  const { admin, sync, user } = await stage({ enforcement: 'required', groups: ['staff'], gracePeriodDays: 7 })
  const users = [{ subject: 'alice', account: 'alice@example.com', accounts: ['local'], groups: ['staff', 'b', 'staff'] }, {
    subject: 'bob'
  }]
  t.match(await sync(...users), { status: 200, body: { created: 2, updated: 0, unchanged: 0 } })
  t.match(await user('alice'), {
    account: 'alice@example.com',
    namespace: 'https://id.test',
    accounts: ['local'],
    groups: ['b', 'staff'],
    enrolled: false,
    disabled: false,
    decision: { action: 'allow', reason: 'grace' }
  })
  t.match(await user('bob'), { account: 'bob', accounts: [], groups: [], decision: { reason: 'not_required' } })
  t.same((await sync(...users)).body, { created: 0, updated: 0, unchanged: 2 })
  t.same((await sync({ subject: 'carol', groups: [] }, { subject: 'bob', account: 'Bob' }, users[0] as object)).body, {
    created: 1,
    updated: 1,
    unchanged: 1
  })
  t.match(await user('bob'), { account: 'Bob', accounts: [], groups: [] }, 'what is left out stays')

  const alice = service.user({ tenant: admin.tenant, sub: 'alice' })
  t.match(
    (await alice.call('GET', '/mfa/status')).body,
    { account: 'alice@example.com', decision: { action: 'allow', reason: 'grace' } },
    'they are known when they come'
  )
  await alice.enroll()
  t.match((await db.rows`SELECT 1 FROM users WHERE tenant = ${admin.tenant}`).length, 4)
  const events = await syncEvents(admin)
  t.match(events.map(({ action, subject, actor, details }) => ({ action, subject, actor, details })), [
    { created: 2, updated: 0, unchanged: 0 }, { created: 0, updated: 0, unchanged: 2 }, { created: 1, updated: 1, unchanged: 1 }
  ].map(details => ({ action: 'users.synced', subject: null, actor: /^[0-9a-f-]{36}$/, details })))
})

t.test('accounts and groups replace all that was claimed before; what a token claims later is joined again', async t => {
  const { admin, sync, user } = await stage()
  const alice = service.user({ tenant: admin.tenant, sub: 'alice' })
  await alice.call('GET', '/mfa/status', undefined, alice.token({ accounts: ['local', 'sso'], groups: ['x', 'y'], hasgroups: true }))
  t.same((await sync({ subject: 'alice', accounts: ['sso'], groups: ['y', 'z'] })).body, { created: 0, updated: 1, unchanged: 0 })
  t.match(await user('alice'), { accounts: ['sso'], groups: ['y', 'z'] })
  const sources = async (): Promise<any> =>
    (await db.rows<any>`SELECT sources FROM users WHERE tenant = ${admin.tenant} AND subject = 'alice'`)[0].sources
  t.same(await sources(), { 'https://id.test': { sso: true, groups: ['y'] }, '': { local: false, sso: true, groups: ['y', 'z'] } })
  t.same(
    (await sync({ subject: 'alice', accounts: ['sso'], groups: ['z', 'y'] })).body,
    { created: 0, updated: 0, unchanged: 1 },
    'the order is nothing'
  )

  await alice.call('GET', '/mfa/status', undefined, alice.token({ accounts: ['local'], groups: ['w'] }))
  t.match(await user('alice'), { accounts: ['local', 'sso'], groups: ['w', 'y', 'z'] })
  t.same((await sync({ subject: 'alice', groups: [] })).body, { created: 0, updated: 1, unchanged: 0 })
  t.match(await user('alice'), { accounts: ['local', 'sso'], groups: [] }, 'and accounts were not synced')
  await sync({ subject: 'alice', accounts: [] })
  t.match(await user('alice'), { accounts: [] })
  await alice.call('GET', '/mfa/status')
  t.match(await user('alice'), { accounts: ['local'] }, 'the login type shows one')
})

t.test('a disabled user is refused everything but their status, with every token and on every way, and let in again', async t => {
  const { admin, sync, user } = await stage()
  const alice = service.user({ tenant: admin.tenant, sub: 'alice', sid: 's1' })
  const { token } = await alice.enroll()
  const before = await alice.row()
  t.same((await sync({ subject: 'alice', disabled: true }, { subject: 'new', disabled: true })).body, {
    created: 1,
    updated: 1,
    unchanged: 0
  })
  t.match(await alice.call('GET', '/mfa/status'), { status: 200, body: { decision: { action: 'deny', reason: 'user_disabled' } } })
  t.match(await alice.call('GET', '/mfa/factors'), { status: 403, body: { code: 'forbidden' } })
  t.match(await alice.call('GET', '/mfa/factors', undefined, token), { status: 401 })
  t.match(
    await service.user({ tenant: admin.tenant, sub: 'new' }).call('POST', '/mfa/enroll'),
    { status: 403 },
    'also a user who never came'
  )
  t.match(await user('new'), { disabled: true, decision: { action: 'deny' } })
  t.same((await sync({ subject: 'alice', disabled: true }, { subject: 'alice2' })).body, { created: 1, updated: 0, unchanged: 1 })
  t.equal((await alice.row()).epoch, before.epoch + 1, 'the epoch moves once')
  t.same((await sync({ subject: 'alice', disabled: false }, { subject: 'alice2', disabled: false })).body, {
    created: 0,
    updated: 1,
    unchanged: 1
  })
  t.match((await alice.call('GET', '/mfa/status')).body.decision, { action: 'verify' })
  t.equal((await alice.call('GET', '/mfa/factors', undefined, token)).status, 401, 'a token of before stays dead')
  const { id } = await alice.row()
  t.match((await syncEvents(admin)).filter(({ subject }) => subject === id).map(({ action, outcome }) => [action, outcome]), [[
    'user.disabled',
    'success'
  ], ['user.enabled', 'success']])
})

t.test('what is not well-formed is named by its place, never by its value, and no user of the call is changed', async t => {
  const { admin, token, sync } = await stage()
  const fine = { subject: 'fine' }
  const wrong: Array<[object[], string]> = [
    [[], 'users'],
    [Array.from({ length: 1001 }, (_, index) => ({ subject: `s${index}` })), 'users'],
    [[fine, {}], 'users.1.subject'],
    [[fine, { subject: '' }], 'users.1.subject'],
    [[fine, { subject: 'SECRET\n' }], 'users.1.subject'],
    [[fine, { subject: 'x'.repeat(256) }], 'users.1.subject'],
    [[fine, { subject: null }], 'users.1.subject'],
    [[fine, { subject: 'a', account: null }], 'users.1.account'],
    [[fine, { subject: 'a', accounts: 'local' }], 'users.1.accounts'],
    [[fine, { subject: 'a', accounts: null }], 'users.1.accounts'],
    [[fine, { subject: 'a', accounts: ['sso', 'ldap'] }], 'users.1.accounts.1'],
    [[fine, { subject: 'a', accounts: ['SSO'] }], 'users.1.accounts.0'],
    [[fine, { subject: 'a' }, { subject: 'b', groups: [1] }], 'users.2.groups.0'],
    [[fine, { subject: 'a', groups: ['SECRET\u0000'] }], 'users.1.groups.0'],
    [[fine, { subject: 'a', groups: Array.from({ length: 2001 }, (_, index) => `g${index}`) }], 'users.1.groups'],
    [[fine, { subject: 'a', disabled: 'true' }], 'users.1.disabled'],
    [[fine, { subject: 'a', namespace: 'SECRET' }], 'users.1.namespace'],
    [[fine, { subject: 'a', userId: 'SECRET' }], 'users.1.userId'],
    [[fine, { subject: 'a' }, fine], 'users.2.subject'],
    [[fine, { subject: 'fine', namespace: 'https://id.test' }], 'users.1.subject']
  ]
  for (const [users, field] of wrong) {
    const answer = await sync(...users)
    t.match(answer, { status: 400, body: { code: 'invalid_request', errors: [{ field }] } }, field)
    t.notMatch(answer.text, 'SECRET')
  }
  t.match(await admin.call('PUT', '/admin/users', {}, token), { status: 400, body: { errors: [{ field: 'users' }] } })
  t.equal((await db.rows`SELECT 1 FROM users WHERE tenant = ${admin.tenant}`).length, 1)
  t.same(await syncEvents(admin), [])
})

t.test('a body is at most 1 MiB, on this route alone, and a thousand users fit', async t => {
  const { admin, token } = await stage()
  const users = Array.from(
    { length: 1000 },
    (_, index) => ({
      subject: `s${index}`,
      account: `${'x'.repeat(200)}${index}`,
      accounts: ['local', 'sso'],
      groups: Array.from({ length: 10 }, (_, group) => `group-${'y'.repeat(50)}-${(index + group) % 40}`)
    })
  )
  const body = JSON.stringify({ users })
  t.ok(body.length > 500_000)
  t.match(await inTime(() => service.call('PUT', '/admin/users', { token, body })), { status: 200, body: { created: 1000 } })
  t.match(await inTime(() => service.call('PUT', '/admin/users', { token, body: body + ' '.repeat(1024 * 1024 - body.length) })), {
    status: 200,
    body: { unchanged: 1000 }
  })
  t.match(await service.call('PUT', '/admin/users', { token, body: body + ' '.repeat(1024 * 1024 + 1 - body.length) }), {
    status: 413,
    body: { code: 'payload_too_large' }
  })
  t.match(await service.call('PUT', '/admin/policy', { token, body: ' '.repeat(16 * 1024) + '{}' }), { status: 413 })
  t.match((await admin.call('GET', '/admin/stats', undefined, token)).body, { users: 1001 })
})

t.test('a thousand users of seven groups each: four calls at once succeed, forty converge, and who is known costs no write', async t => {
  const { admin, token } = await stage()
  const crowd = (of: string): object => ({
    users: Array.from(
      { length: 1000 },
      (_, n) => ({
        subject: `${of}-${n}`,
        account: `${of}-${n}@example.com`,
        accounts: ['local'],
        groups: Array.from({ length: 7 }, (_, group) => `group-${(n + group) % 40}`)
      })
    )
  })
  const put = (of: string): Promise<Answer> => service.call('PUT', '/admin/users', { token, body: crowd(of) })
  const start = performance.now()
  t.match(await put('a'), { status: 200, body: { created: 1000 } })
  t.ok(performance.now() - start < 5000, 'alone')
  t.same((await Promise.all(['a', 'b', 'c', 'a'].map(name => inTime(() => put(name))))).map(({ status }) => status), [200, 200, 200, 200])
  const versions = (): Promise<unknown> =>
    service.db.rows`SELECT id, xmin::text, xmax::text, ctid::text FROM users WHERE tenant = ${admin.tenant} ORDER BY id`
  const before = await versions()
  t.match(await put('b'), { status: 200, body: { unchanged: 1000 } })
  t.same(await versions(), before, 'neither written nor locked')

  const names = Array.from({ length: 40 }, (_, n) => ['c', 'd'][n % 2] as string)
  const left = { count: names.length }
  await Promise.all(names.map(async name => {
    for (let tries = 0; tries < 100; tries++) {
      const answer = await put(name)
      if (answer.status === 200) { left.count--; return }
      t.match(answer, { status: 503, body: { code: 'unavailable' } })
      await sleep(Number(answer.headers.get('retry-after')) * 1000)
    }
  }))
  t.equal(left.count, 0)
  t.match(await put('d'), { body: { unchanged: 1000 } })
})

t.test('users do not disable themselves: the call is refused as a whole, and audited', async t => {
  const { admin, sync } = await stage()
  t.match(await sync({ subject: 'other' }, { subject: admin.sub, disabled: true }), { status: 403, body: { code: 'forbidden' } })
  t.match((await admin.events()).at(-1), { action: 'access.refused', details: { cause: 'oneself' } })
  t.match((await sync({ subject: admin.sub, disabled: false, account: 'me' })).body, { updated: 1 })
  t.equal((await db.rows`SELECT 1 FROM users WHERE tenant = ${admin.tenant}`).length, 1)
})

t.test('where issuers name users of several namespaces each user has one, of those that may name users of the tenant', async t => {
  const tenant = newTenant()
  const entry = (issuer: string, members: object): object => ({ issuer, audience: 'mfa', secret: SECRET, tenant, ...members })
  const trusting = await startTrusting(t, [
    entry('https://one.test', { grants: ['mfa:admin'] }),
    entry('https://two.test', { namespace: 'shared' }),
    entry('https://three.test', { namespace: 'shared' }),
    entry('https://machines.test', { loginType: 'service' }), entry('https://elsewhere.test', { tenant: newTenant() })
  ], {})
  const admin = trusting.user({ tenant, roles: ['mfa:admin'], iss: 'https://one.test' })
  const { token } = await admin.enroll()
  const sync = (...users: object[]): Promise<Answer> => admin.call('PUT', '/admin/users', { users }, token)
  t.match(await sync({ subject: 'a', namespace: 'shared' }, { subject: 'b' }), {
    status: 400,
    body: { errors: [{ field: 'users.1.namespace', message: /required/ }] }
  })
  for (const namespace of ['https://two.test', 'https://machines.test', 'https://elsewhere.test']) {
    t.match(
      await sync({ subject: 'a', namespace }),
      { status: 400, body: { errors: [{ field: 'users.0.namespace', message: /none/ }] } },
      namespace
    )
  }
  t.same((await sync({ subject: 'a', namespace: 'shared' }, { subject: 'a', namespace: 'https://one.test' })).body, {
    created: 2,
    updated: 0,
    unchanged: 0
  })
})

t.test('a machine of the provider syncs with mfa:sync and reads with mfa:auditor, and does no more', async t => {
  const provider = await new TestProvider().start(t)
  const tenant = newTenant()
  const entry = {
    issuer: provider.url,
    jwksUrl: provider.jwksUrl,
    audience: 'mfa',
    loginType: 'service',
    tenant,
    grants: ['mfa:sync', 'mfa:auditor']
  }
  const users = { issuer: 'https://id.test', audience: 'mfa', secret: SECRET, tenant }
  const served = await startService(t, issuersEnvironment(t, [entry, users]), new TestClock())
  const machine = async (...roles: string[]): Promise<string> => {
    provider.claims = { roles }
    return (await provider.machine()).accessToken
  }
  const sync = async (token: string, ...users: object[]): Promise<Answer> =>
    await served.call('PUT', '/admin/users', { token, body: { users } })
  const syncing = await machine('mfa:sync')
  t.match(await sync(syncing, { subject: 'alice', groups: ['staff'] }), { status: 200, body: { created: 1 } })
  t.match(await served.db.rows`SELECT actor FROM audit_events WHERE tenant = ${tenant} AND action = 'users.synced'`, [{
    actor: 'service:machine'
  }])
  t.match((await served.user({ tenant, sub: 'alice' }).call('GET', '/mfa/status')).body, { subject: 'alice', tenant })
  for (const path of ['/admin/users', '/admin/stats', '/admin/policy', '/admin/audit']) {
    t.equal((await served.call('GET', path, { token: syncing })).status, 403, path)
  }
  const auditing = await machine('mfa:auditor')
  t.match((await served.call('GET', '/admin/users', { token: auditing })).body.items, [{ subject: 'alice', groups: ['staff'] }])
  t.match(await served.call('GET', '/admin/stats', { token: auditing }), { status: 200, body: { users: 1 } })
  t.match(await sync(auditing, { subject: 'bob' }), { status: 403, body: { code: 'forbidden' } })
  t.match(await sync(await machine('mfa:admin'), { subject: 'bob' }), { status: 403 }, 'a role that no machine has')
  t.equal((await served.db.rows`SELECT 1 FROM users WHERE tenant = ${tenant}`).length, 1)
})

t.test('the user of a sync is the user of the tokens, by namespace and subject in their own tenant only', async t => {
  const one = await stage()
  const other = await stage()
  const sub = `user-${randomUUID()}`
  await one.sync({ subject: sub, disabled: true })
  t.match((await service.user({ tenant: other.admin.tenant, sub }).call('GET', '/mfa/status')).body.decision, { action: 'allow' })
  t.match((await service.user({ tenant: one.admin.tenant, sub }).call('GET', '/mfa/status')).body.decision, { action: 'deny' })
})
