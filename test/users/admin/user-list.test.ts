import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { findUsers, type Status } from '../../../src/users/admin/list/store.ts'
import { rulesOf } from '../../../src/policy/floor.ts'
import { decide, type DecisionSettings, usualSession } from '../../../src/policy/decide.ts'
import { DEFAULT_POLICY, type Policy } from '../../../src/policy/policy.ts'
import { groupsOf } from '../../../src/users/sources.ts'
import { MAX_COHORTS } from '../../../src/users/open-users.sql.ts'
import { findUserById } from '../../../src/users/user.sql.ts'
import { canProve, day, floors, hasFactor, oneIn, policies, RP_ID, settle, anyUser, SOURCES } from '../../helpers/crowd.ts'
import { raw, request } from '../../helpers/raw.ts'
import { type User, recount } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const STATUSES: Status[] = ['enrolled', 'not_enrolled', 'must_enroll', 'in_grace', 'exempt', 'locked', 'disabled']

const service = await useService(t)
const { db } = service

async function administrator (policy?: object): Promise<{ admin: User, list: (query?: string) => Promise<any> }> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  if (policy !== undefined) await admin.call('PUT', '/admin/policy', policy, token)
  return { admin, list: async (query = '') => (await admin.call('GET', `/admin/users${query}`, undefined, token)).body }
}

const subjects = ({ items }: { items: Array<{ subject: string }> }): string[] => items.map(({ subject }) => subject).sort()

t.test('a page tells of each what the user\'s own page does, in a few words, and never a secret', async t => {
  const { admin, list } = await administrator({ enforcement: 'required', gracePeriodDays: 7 })
  const user = service.user({ tenant: admin.tenant, sub: 'bob', groups: ['b', 'a'], accounts: ['local', 'sso'], email: 'Bob@Example.com' })
  const { body: { userId } } = await user.call('GET', '/mfa/status')
  const { token } = await service.user({ tenant: admin.tenant, roles: ['mfa:admin'] }).enroll()
  const isAsHisOwn = async (name: string): Promise<any> => {
    const { factors: _factors, recoveryCodes: _codes, locks: _locks, devices: _devices, ...rest } =
      (await service.call('GET', `/admin/users/${userId as string}`, { token })).body
    const { items: [item] } = await list('?subject=bob')
    t.same(item, { ...rest, locked: false }, name)
    return item
  }
  const item = await isAsHisOwn('in grace')
  t.same(Object.keys(item).length, 14)
  await service.call('PUT', `/admin/users/${userId as string}/exemption`, { token, body: { exempt: true, reason: 'On leave' } })
  t.match(await isAsHisOwn('exempt'), { exemption: { reason: 'On leave' }, decision: { reason: 'exempt_user' } })
  await user.enroll()
  t.match(
    (await list('?account=bob@example.com')).items,
    [{ subject: 'bob', enrolled: true, decision: { action: 'verify' } }],
    'in whatever case'
  )
})

t.test('each filter names the users that it should, and so do all of them together', async t => {
  const { admin, list } = await administrator({ enforcement: 'required', groups: ['staff'], gracePeriodDays: 3 })
  const come = async (sub: string, claims: Record<string, unknown>): Promise<string> =>
    (await service.user({ tenant: admin.tenant, sub, ...claims }).call('GET', '/mfa/status')).body.userId
  const early = await come('early', { groups: ['staff'] })
  await come('late', { groups: ['staff', 'other'] })
  await come('sso', { groups: ['staff'], accounts: ['sso'] })
  await come('guest', { groups: ['other'] })
  await come('over', { groups: ['staff'] })
  await come('gone', { groups: ['staff'] })
  await service.user({ tenant: admin.tenant, sub: 'done', groups: ['staff'] }).enroll()
  await come('stuck', { groups: ['staff'], accounts: ['sso'] })
  await db.rows`UPDATE users SET grace_until = now() + interval '1 day' WHERE tenant = ${admin.tenant} AND id = ${early}::uuid`
  await db.rows`UPDATE users SET grace_until = now() - interval '1 day' WHERE tenant = ${admin.tenant} AND subject = 'over'`
  await db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${admin.tenant} AND subject = 'gone'`
  await db
    .rows`INSERT INTO throttles (tenant, user_id, kind, locked_at) SELECT tenant, id, 'totp', now() FROM users
      WHERE tenant = ${admin.tenant} AND subject = 'stuck'`
  await recount(db, admin.tenant)

  t.same(subjects(await list()), [admin.sub, 'done', 'early', 'gone', 'guest', 'late', 'over', 'sso', 'stuck'].sort())
  const named: Record<string, string[]> = {
    'status=enrolled': [admin.sub, 'done'].sort(),
    'status=not_enrolled': ['early', 'guest', 'late', 'over', 'sso', 'stuck'],
    'status=must_enroll': ['over'],
    'status=in_grace': ['early', 'late'],
    'status=exempt': ['sso', 'stuck'],
    'status=locked': ['stuck'],
    'status=disabled': ['gone'],
    'group=staff': ['done', 'early', 'gone', 'late', 'over', 'sso', 'stuck'],
    'group=other': ['guest', 'late'],
    'group=nobodys': [],
    'status=in_grace&group=other': ['late'],
    'status=enrolled&group=staff': ['done'],
    'namespace=https://id.test&group=other': ['guest', 'late'],
    'namespace=elsewhere': [],
    'subject=late': ['late'],
    'subject=late&status=must_enroll': [],
    [`deadlineBefore=${new Date(Date.now() + 2 * 86_400_000).toISOString()}`]: ['early', 'over'],
    [`deadlineBefore=${new Date().toISOString()}`]: ['over'],
    [`deadlineBefore=${new Date(Date.now() + 9 * 86_400_000).toISOString()}&status=in_grace`]: ['early', 'late'],
    'deadlineBefore=2199-01-01T00:00:00Z&status=enrolled': [],
    'deadlineBefore=2199-01-01T00:00:00Z&status=locked': []
  }
  for (const [query, wanted] of Object.entries(named)) t.same(subjects(await list(`?${query}`)), wanted, query)
})

t.test('pages hold everyone once, in an order that what comes meanwhile does not move', async t => {
  const { admin, list } = await administrator()
  await db
    .rows`INSERT INTO users (tenant, id, namespace, subject, account, sources) SELECT ${admin.tenant}, gen_random_uuid(), 'n', 's' || n,
      'a', '{"https://id.test": {"groups": ["g"]}}' FROM generate_series(1, 230) AS n`
  await recount(db, admin.tenant)
  for (const [filter, count] of [['', 231], ['status=not_enrolled', 230], ['group=g', 230]] as const) {
    const seen: string[] = []
    let cursor: string | null = ''
    for (let page = 0; cursor !== null; page++) {
      const body: any = await list(`?limit=100&${filter}${cursor === '' ? '' : `&cursor=${cursor}`}`)
      seen.push(...body.items.map(({ userId }: { userId: string }) => userId))
      cursor = body.nextCursor
      t.ok(cursor === null || body.items.length === 100)
      if (page === 0) {
        await db
          .rows`INSERT INTO users (tenant, id, namespace, subject, account)
            VALUES (${admin.tenant}, '00000000-0000-4000-8000-000000000001', ${filter}, 'early', 'a')`
      }
    }
    t.same([seen.length, new Set(seen).size], [count, count], filter)
    t.same(seen, [...seen].sort())
    await db.rows`DELETE FROM users WHERE tenant = ${admin.tenant} AND subject = 'early'`
  }
  t.equal((await list()).items.length, 50)
  t.match(await list('?limit=231'), { code: 'invalid_request', errors: [{ field: 'querystring.limit' }] })
})

t.test('all come at once as lines, as many as are asked for', async t => {
  const { admin } = await administrator()
  const { token } = await service.user({ tenant: admin.tenant, roles: ['mfa:admin'] }).enroll()
  await db
    .rows`INSERT INTO users (tenant, id, namespace, subject, account) SELECT ${admin.tenant}, gen_random_uuid(), 'n', 's' || n, 'a'
      FROM generate_series(1, 2300) AS n`
  const lines = async (query: string): Promise<any[]> => {
    const answer = await fetch(`${service.url}/admin/users${query}`, {
      headers: { authorization: `Bearer ${token}`, accept: 'application/x-ndjson' }
    })
    t.equal(answer.headers.get('content-type'), 'application/x-ndjson; charset=utf-8')
    return (await answer.text()).split('\n').filter(Boolean).map(line => JSON.parse(line))
  }
  const all = await lines('')
  t.equal(new Set(all.map(({ userId }) => userId)).size, 2302)
  t.match(all[0], { tenant: admin.tenant, decision: { action: /./ } })
  t.match(await raw(service.url, request('GET /admin/users?limit=1', [`Authorization: Bearer ${token}`])), {
    status: 200,
    headers: { 'content-type': 'application/json; charset=utf-8' }
  }, 'and not to a client that names no format')
  t.same(
    (await lines(`?limit=3&cursor=${all[1000].userId as string}`)).map(({ userId }) => userId),
    all.slice(1001, 1004).map(({ userId }) => userId)
  )
})

t.test('support sees no users with a role, and a query that is not well-formed is named', async t => {
  const { admin } = await administrator()
  await service.user({ tenant: admin.tenant, sub: 'plain' }).call('GET', '/mfa/status')
  await service.user({ tenant: admin.tenant, roles: ['mfa:auditor'] }).call('GET', '/mfa/status')
  const support = service.user({ tenant: admin.tenant, roles: ['mfa:support'] })
  const { token } = await support.enroll()
  const ask = async (query: string): Promise<any> => (await support.call('GET', `/admin/users${query}`, undefined, token)).body
  t.same(subjects(await ask('')), ['plain'])
  t.same(subjects(await ask('?status=enrolled')), [])
  t.same(subjects(await ask('?status=not_enrolled')), ['plain'])
  const wrong = {
    'status=active': 'status',
    'limit=0': 'limit',
    'limit=101': 'limit',
    'cursor=1': 'cursor',
    'deadlineBefore=tomorrow': 'deadlineBefore',
    'deadlineBefore=0000-01-01T00:00:00Z': 'deadlineBefore',
    'group=': 'group',
    'subject=a%00b': 'subject',
    'userId=x': 'userId',
    'status=enrolled&status=locked': 'status'
  }
  for (const [query, field] of Object.entries(wrong)) {
    t.match(await ask(`?${query}`), { code: 'invalid_request', errors: [{ field: `querystring.${field}` }] }, query)
  }
})

t.test('no user of another tenant is listed', async t => {
  const one = await administrator()
  const other = await administrator()
  t.same(subjects(await one.list()), [one.admin.sub])
  t.same(subjects(await other.list(`?subject=${one.admin.sub}`)), [])
})

t.test('an SSO user who has a factor is exempt until a passkey is asked of them, and found by when that is', async t => {
  const tenant = `tenant-${randomUUID()}`
  const boss = { sources: { a: { sso: true } }, isDisabled: false, isEnrolled: true, isLocked: false, isAdministrator: true, passkeys: [] }
  const [row] = await settle(db, tenant, [{ ...boss, met: null, exempt: null }])
  const id = row?.id
  const inDays = (days: number): Date => new Date(Date.now() + days * 86_400_000)
  const exempt = async (phishingResistant: Policy['phishingResistant'], deadlineBefore?: Date): Promise<string[]> => {
    const policy: Policy = { ...DEFAULT_POLICY, ssoRule: 'exempt_sso_session', phishingResistant, phishingResistantFrom: inDays(5) }
    const judging = { rules: rulesOf(policy, null), sources: SOURCES, rpId: RP_ID }
    const filter = { tenant, status: 'exempt' as const, areAdministratorsHidden: false, ...(deadlineBefore && { deadlineBefore }) }
    return (await findUsers(db, filter, judging, undefined, 10)).map(({ id }) => id)
  }
  t.same(await exempt('off'), [id])
  t.same(await exempt('off', inDays(9)), [])
  t.same(await exempt('administrators'), [id])
  t.same(await exempt('administrators', inDays(4)), [])
  t.same(await exempt('administrators', inDays(9)), [id])
})

t.test('for any users, policy and floor each status names exactly the users that the decision function gives it', async t => {
  const deadlines = fc.option(day.map(days => new Date(Date.now() + (days + 0.5) * 86_400_000)))
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyUser, { minLength: 1, maxLength: 15 }),
      policies,
      floors,
      fc.option(fc.constantFrom('x', 'w')),
      deadlines,
      oneIn(10),
      async (users, drawn, floor, group, deadlineBefore, areCohortsMany) => {
        const tenant = `tenant-${randomUUID()}`
        const policy: Policy = { ...DEFAULT_POLICY, ...drawn }
        const rows = await settle(db, tenant, users)
        const settings: DecisionSettings = { issuers: new Set(SOURCES), loginFreshSeconds: 900, floor, canProve }
        const now = new Date()
        const filter = {
          tenant,
          areAdministratorsHidden: false,
          ...(group !== null && { group }),
          ...(deadlineBefore !== null && { deadlineBefore })
        }
        const wanted = new Map<Status | undefined, string[]>([undefined, ...STATUSES].map(status => [status, []]))
        for (const row of rows) {
          const { id, isDisabled, isLocked } = row
          const user = await findUserById(db, tenant, id)
          if (user === null) throw new Error('the user is there')
          if (group !== null && !groupsOf(user.sources, settings.issuers).includes(group)) continue
          const decision = decide({ ...user, policy }, usualSession(user, now, settings), now, settings)
          if (deadlineBefore !== null && !isDue(decision, { ...user, policy }, deadlineBefore, settings)) continue
          wanted.get(undefined)?.push(id)
          if (isDisabled) wanted.get('disabled')?.push(id)
          if (isDisabled) continue
          wanted.get(hasFactor(row) ? 'enrolled' : 'not_enrolled')?.push(id)
          if (isLocked) wanted.get('locked')?.push(id)
          if (decision.action === 'enroll') wanted.get('must_enroll')?.push(id)
          if (decision.reason === 'grace') wanted.get('in_grace')?.push(id)
          if (decision.reason === 'exempt_sso' || decision.reason === 'exempt_user') wanted.get('exempt')?.push(id)
        }
        // Where there are very many cohorts, each user is judged alone.
        if (areCohortsMany) {
          await db
            .rows`INSERT INTO user_tallies (tenant, cohort, is_enrolled, accounts, groups, users) SELECT ${tenant}, gen_random_uuid(),
              false, '{}', '{}', 0 FROM generate_series(0, ${MAX_COHORTS}::int)`
        }
        const judging = { rules: rulesOf(policy, floor), sources: SOURCES, rpId: RP_ID }
        for (const [status, ids] of wanted) {
          const found = await findUsers(db, { ...filter, status }, judging, undefined, 100)
          assert.deepEqual(found.map(({ id }) => id), ids.sort(), status)
        }
      }), { numRuns: 80 })
  t.pass('they are the same')

  /** Would the user have to enroll at that time, if nothing changed? */
  function isDue (
    decision: { action: string, reason: string, deadline?: string },
    user: Parameters<typeof decide>[0],
    at: Date,
    settings: DecisionSettings
  ): boolean {
    if (decision.deadline !== undefined) return !canProve('phr', user) && new Date(decision.deadline) < at
    if (decision.action !== 'enroll') return false
    if (at > user.readAt) return true
    // They must already: since when? A user that no policy has met yet, since now.
    const then = decide(
      { ...user, readAt: at, ...(user.graceUntil === null && { graceUntil: user.readAt, policyMetAt: user.readAt }), exemption: null },
      usualSession(user, at, settings),
      at,
      settings
    )
    return then.action === 'enroll'
  }
})
