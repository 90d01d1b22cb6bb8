// Two processes, one database: what an application says of users meets what their tokens say, and nothing is lost.
import sql from 'sql-template-tag'
import pg from 'pg'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type RaceCall, startReplicas, tally } from '../helpers/replica.ts'
import { callTo, type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { race, urls, syncClocks } = await startReplicas(t, service)
const { db } = service

async function administrator (): Promise<{ admin: User, token: string, sync: (...users: object[]) => RaceCall }> {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  return { admin, token, sync: (...users) => ['PUT', '/admin/users', { token, body: { users } }] }
}

const users = (tenant: string): Promise<any[]> =>
  db.rows`SELECT subject, account, sources, disabled_at IS NOT NULL AS is_disabled, epoch FROM users WHERE tenant = ${tenant}
    AND subject LIKE 's%' ORDER BY subject`
/** Are as many counted as there are? */
const isCounted = async (tenant: string): Promise<unknown> => (await db.settle('recount_users', sql`${tenant}`)).mended

t.test('of many syncs of the same new users, listed in any order, one makes each; the last sync stands whole', async t => {
  const { admin, sync } = await administrator()
  const subjects = Array.from({ length: 30 }, (_, index) => `s${index}`)
  const answers = await race(
    admin,
    12,
    index =>
      sync(
        ...(index % 2 === 0 ? subjects : [...subjects].reverse()).map(subject => ({
          subject,
          account: `by-${index}`,
          groups: [`g${index}`]
        }))
      )
  )
  t.same(Object.keys(tally(answers)), ['200'], JSON.stringify(tally(answers)))
  const served = answers.filter(({ status }) => status === 200).map(({ body }) => body)
  t.equal(served.reduce((sum, { created }) => sum + (created as number), 0), 30)
  t.ok(served.every(({ created, updated, unchanged }) => created + updated + unchanged === 30))
  const rows = await users(admin.tenant)
  t.equal(rows.length, 30)
  t.equal(new Set(rows.map(({ account }) => account)).size, 1, 'no call is half done')
  t.ok(rows.every(({ account, sources }) => sources[''].groups[0] === account.replace('by-', 'g')))
  t.equal(await isCounted(admin.tenant), 0)
})

t.test('a sync beside first sights and logins: there is one user of each, with what both have claimed', async t => {
  for (const isKnown of [false, true]) {
    const { admin, sync } = await administrator()
    const user = service.user({ tenant: admin.tenant, sub: 's1', accounts: ['sso'], groups: ['token'] })
    if (isKnown) await user.call('GET', '/mfa/status', undefined, user.token({ groups: ['old'] }))
    const answers = await race(user, 20, index => index % 4 === 0
      ? sync({ subject: 's0' }, { subject: 's1', account: 'synced' }, { subject: 's2' })
      : ['GET', '/mfa/status', { token: user.token() }])
    t.same(Object.keys(tally(answers)), ['200'])
    t.same(new Set(answers.filter(({ body }) => body?.userId !== undefined).map(({ body }) => body.userId)).size, 1)
    const rows = await users(admin.tenant)
    t.match(rows, [{ subject: 's0' }, {
      subject: 's1',
      account: 'synced',
      sources: { 'https://id.test': { local: false, sso: true, groups: ['token'] } }
    }, { subject: 's2' }])
    t.equal(await isCounted(admin.tenant), 0)
  }
})

t.test('a sync that waits for a login\'s newer claims replaces those, too', async t => {
  const { admin, token } = await administrator()
  const user = service.user({ tenant: admin.tenant, sub: 's1', groups: ['old'] })
  await user.call('GET', '/mfa/status')
  const client = new pg.Client({ connectionString: service.config.DATABASE_URL })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('BEGIN')
  await client.query('SELECT record_claims($1, gen_random_uuid(), $2, $3, NULL, $2, true, $4)', [admin.tenant, 'https://id.test', 's1', {
    local: true,
    sso: true,
    groups: ['new']
  }])
  const syncing = admin.call('PUT', '/admin/users', { users: [{ subject: 's1', accounts: ['sso'], groups: ['mine'] }] }, token)
  await sleep(200)
  await client.query('COMMIT')
  t.match(await syncing, { status: 200, body: { updated: 1 } })
  t.match(await users(admin.tenant), [{
    sources: { '': { local: false, sso: true, groups: ['mine'] }, 'https://id.test': { sso: true, groups: [] } }
  }])
  t.notOk((await users(admin.tenant))[0].sources['https://id.test'].local)
  t.equal(await isCounted(admin.tenant), 0)
})

t.test('a user who is disabled by many is so once; every replica denies them within a second, with every token', async t => {
  const { admin, sync } = await administrator()
  const user = service.user({ tenant: admin.tenant, sub: 's1' })
  const { token } = await user.enroll()
  const { epoch } = await user.row()
  await syncClocks()
  const ask = (bearer: string): Promise<number[]> =>
    Promise.all(urls.map(async url => (await callTo(url)('GET', '/mfa/authorize', { token: bearer })).status))
  t.same(await ask(token), [200, 200])
  const answers = await race(user, 10, () => sync({ subject: 's1', disabled: true }))
  const end = performance.now()
  t.same(tally(answers)[200] !== undefined && answers.filter(({ body }) => body?.updated === 1).length, 1)
  t.same(await ask(user.token()), [403, 403], 'a login at once')
  while ((await ask(token)).some(status => status !== 401) && performance.now() - end < 2000) await sleep(20)
  t.ok(performance.now() - end < 1000, `${Math.round(performance.now() - end)} ms`)
  t.equal((await user.row()).epoch, epoch + 1)
  t.equal((await user.events()).filter(({ action }) => action === 'user.disabled').length, 1)
  t.equal(await isCounted(admin.tenant), 0)
})
