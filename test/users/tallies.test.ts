// How many users there are of each cohort is kept beside them: whatever changes a user must change it, too.
import sql from 'sql-template-tag'
import t from 'tap'
import fc from 'fast-check'
import assert from 'node:assert/strict'
import { foldTallies } from '../../src/users/tallies.sql.ts'
import { maintain } from '../../src/maintenance/maintain.sql.ts'
import { ownDatabase } from '../helpers/database.ts'
import { type Enrolled, type User, recount, type Service, startService } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { db } = service

/** What is kept, and what is there. */
const kept = (tenant: string): Promise<unknown> => db.rows`
  SELECT cohort::text, is_enrolled, accounts, groups, sum(users)::int AS users FROM current_tallies WHERE tenant = ${tenant}
    GROUP BY 1, 2, 3, 4 HAVING sum(users) <> 0 ORDER BY 1, 2`
const there = (tenant: string): Promise<unknown> => db.rows`
  SELECT cohort::text, EXISTS (SELECT 1 FROM factors f WHERE f.tenant = u.tenant
    AND f.user_id = u.id) AS is_enrolled, accounts, groups, count(*)::int AS users
  FROM users u WHERE tenant = ${tenant} AND disabled_at IS NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2`

t.test('whatever is done with users over the calls, as many are counted as there are', async t => {
  const subjects = ['a', 'b', 'c']
  const action = fc.record({
    sub: fc.constantFrom(...subjects),
    action: fc.constantFrom('come', 'enroll', 'remove', 'sync', 'disable', 'enable', 'reset', 'erase', 'fold'),
    groups: fc.subarray(['x', 'y']),
    accounts: fc.subarray(['local', 'sso'])
  })
  await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 15 }), async actions => {
    const admin = service.user({ roles: ['mfa:admin'] })
    const { tenant } = admin
    const { secret } = await admin.enroll()
    const sync = async (user: object): Promise<unknown> =>
      await admin.call('PUT', '/admin/users', { users: [user] }, await admin.verify(secret))
    const enrolled = new Map<string, Enrolled>()
    for (const { sub, action, groups, accounts } of actions) {
      const user = service.user({ tenant, sub, groups, accounts })
      const mine = enrolled.get(sub)
      switch (action) {
        case 'come': await user.call('GET', '/mfa/status'); break
        case 'enroll': enrolled.set(sub, await user.enroll(mine?.token).catch(() => mine as Enrolled)); break
        case 'remove':
          if (mine !== undefined) await user.call('DELETE', `/mfa/factors/${mine.factorId}`, undefined, mine.token)
          enrolled.delete(sub)
          break
        case 'sync': await sync({ subject: sub, groups, accounts }); break
        case 'reset':
        case 'erase': {
          const [row] = await db.rows<{ id: string }>`SELECT id::text FROM users WHERE tenant = ${tenant} AND subject = ${sub}`
          if (row !== undefined) await admin.call('POST', `/admin/users/${row.id}/${action}`, { reason: 'x' }, await admin.verify(secret))
          enrolled.delete(sub)
          break
        }
        case 'fold': await db.settle('fold_tallies', sql`${tenant}, 3`); break
        default: await sync({ subject: sub, disabled: action === 'disable' })
      }
    }
    assert.deepEqual(await kept(tenant), await there(tenant))
    assert.deepEqual(
      await db
        .rows`SELECT id FROM users u WHERE tenant = ${tenant} AND (enrolled_at IS NULL) = EXISTS (SELECT 1 FROM factors f
          WHERE f.tenant = u.tenant AND f.user_id = u.id)`,
      []
    )
  }), { numRuns: 12 })
  t.pass('they are the same')
})

t.test('every statement that makes or erases users, disables them or gives them factors counts them', async t => {
  const functions = await db.rows<
    { name: string, body: string }
  >`SELECT proname::text AS name, prosrc AS body FROM pg_proc WHERE pronamespace = 'public'::regnamespace`
  const changes = /INSERT INTO (users|factors)\b|DELETE FROM (users|factors)\b|UPDATE users [^;]*\b(sources|disabled_at|enrolled_at) =/
  const counts = /tally_user|update_enrolled_at|INSERT INTO user_tally_changes/
  t.ok(functions.filter(({ body }) => changes.test(body)).length >= 4, 'they are found')
  t.same(functions.filter(({ body }) => changes.test(body) && !counts.test(body)).map(({ name }) => name), [])
})

async function tenantOf (count: number): Promise<string> {
  const admin = service.user({ roles: ['mfa:admin'] })
  await admin.enroll()
  await db
    .rows`SELECT sync_users(${admin.tenant}, (SELECT jsonb_agg(jsonb_build_object('id', gen_random_uuid(), 'namespace', 'n', 'subject',
      n::text, 'groups', jsonb_build_array('g' || n % 7))) FROM generate_series(1, ${count}::int) AS n), '{}')`
  return admin.tenant
}

const changesOf = async (tenant: string): Promise<number> =>
  (await db.rows`SELECT 1 FROM user_tally_changes WHERE tenant = ${tenant}`).length

t.test('each change is added once, however many do it at a time, and a cohort without users is deleted', async t => {
  const tenant = await tenantOf(20)
  for (let change = 0; change < 300; change++) {
    await db
      .rows`INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change) SELECT ${tenant}, cohort, false,
        accounts, groups, 1 - 2 * (${change} % 2) FROM users WHERE tenant = ${tenant} AND subject = '1'`
  }
  const before = await kept(tenant)
  const rounds = await Promise.all(Array.from({ length: 8 }, () => db.settle('fold_tallies', sql`${tenant}, 50`)))
  t.equal(rounds.reduce((sum, { changes }) => sum + changes, 0) + await changesOf(tenant), 300 + 7 + 3)
  t.same(await kept(tenant), before)
  await foldTallies(db)
  await db.settle('fold_tallies', sql`${tenant}, 1000`)
  t.equal(await changesOf(tenant), 0)
  t.same(await kept(tenant), before)
  await db
    .rows`SELECT sync_users(${tenant}, (SELECT jsonb_agg(jsonb_build_object('id', gen_random_uuid(), 'namespace', 'n', 'subject',
      subject, 'disabled', true)) FROM users WHERE tenant = ${tenant} AND namespace = 'n'), '{}')`
  await db.settle('fold_tallies', sql`${tenant}, 1000`)
  t.equal((await db.rows`SELECT 1 FROM user_tallies WHERE tenant = ${tenant}`).length, 1)
})

t.test('many changes are folded in by the sweep, few are left to the next report', async t => {
  const [many, few] = [await tenantOf(1), await tenantOf(1)]
  const add = (tenant: string, count: number): Promise<unknown> =>
    db.rows`INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change) SELECT ${tenant}, gen_random_uuid(),
      false, '{}', '{}', 1 FROM generate_series(1, ${count}::int)`
  await add(many, 1100)
  await add(few, 10)
  await foldTallies(db)
  t.same([await changesOf(many), await changesOf(few) > 10], [0, true])
  t.ok((await db.rows`SELECT 1 FROM user_tallies WHERE tenant = ${many}`).length > 1100)
})

t.test('a count beside changes mends what is wrong, and nothing that is right', async t => {
  const tenant = await tenantOf(30)
  t.match(await recount(db, tenant), { mended: 0 })
  const user: User = service.user({ tenant })
  await user.enroll()
  await db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${tenant} AND subject IN ('3', '4')`
  await db.rows`DELETE FROM factors WHERE tenant = ${tenant} AND user_id = ${(await user.row()).id}::uuid`
  const changing = Promise.all(Array.from({ length: 20 }, () => service.user({ tenant, groups: ['late'] }).call('GET', '/mfa/status')))
  await Promise.all([recount(db, tenant), recount(db, tenant), changing])
  await recount(db, tenant)
  t.same(await kept(tenant), await there(tenant))
  t.match(await recount(db, tenant), { mended: 0 })
})

t.test('maintain counts every tenant anew', async t => {
  const { url } = await ownDatabase(t)
  const own: Service = await startService(t, { DATABASE_URL: url })
  const user = own.user()
  await user.enroll()
  t.equal((await maintain(url, 400)).mended, 0)
  await own.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${user.tenant}`
  t.equal((await maintain(url, 400)).mended, 1)
  t.same(await own.db.rows`SELECT sum(users)::int AS users FROM current_tallies`, [{ users: 0 }])
})
