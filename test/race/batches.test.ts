// Logins of many users at the same moment, over two processes: what goes together in one call is decided for each alone.
import t from 'tap'
import { Secrets } from '../../src/config/secrets.ts'
import type { Caller } from '../../src/http/auth/caller.ts'
import { findUser, findUserById, findWholeUser } from '../../src/users/user.sql.ts'
import { settleAccepted } from '../../src/factors/attempts.sql.ts'
import { isOneOf, startReplicas, tally } from '../helpers/replica.ts'
import { type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t, { JWT_SESSION_CLAIM: 'sid' })
const { peppers } = new Secrets(service.config)
const { clock, db } = service
const { race } = await startReplicas(t, service)

interface Enrolled { user: User, secret: string, factorId: string, userId: string }

/** Enrolled users of one tenant, whose next codes are good. */
async function enrolled (size: number): Promise<Enrolled[]> {
  const { tenant } = service.user()
  const users = []
  for (let number = 0; number < size; number++) {
    const user = service.user({ tenant })
    const { secret, factorId } = await user.enroll()
    users.push({ user, secret, factorId, userId: (await user.row()).id })
  }
  return users
}

const by = { actor: 'test', address: null, requestId: null }

t.test('of five parallel uses of each of 12 users\' codes one succeeds, and its event and session are that user\'s', async t => {
  const users = await enrolled(12)
  const answers = await race(users[0]!.user, users.length * 5, index => {
    const { user, secret } = users[index % users.length]!
    return ['POST', '/mfa/verify', { token: user.token({ sid: `login-${index}` }), body: { code: clock.code(secret) } }]
  })
  for (const [number, { user, factorId, userId }] of users.entries()) {
    const own = answers.filter((_, index) => index % users.length === number)
    t.ok(isOneOf(own, 200, 422), JSON.stringify(tally(own)))
    t.equal(own.find(({ status }) => status === 200)?.body.factorId, factorId)
    const events = (await user.events()).filter(({ action, subject }) => action === 'totp.accepted' && subject === userId)
    t.match(events, [{ actor: userId, details: { factorId } }])
    t.equal(events.length, 1)
    t.match(await user.throttle('totp'), { failures: 0, tries: 0 })
    const sessions = await db
      .rows`SELECT factor_id::text FROM mfa_sessions WHERE tenant = ${user.tenant} AND user_id = ${userId}::uuid AND acr IS NOT NULL`
    t.same(new Set(sessions.map(row => (row as { factor_id: string }).factor_id)), new Set([factorId]))
  }
})

t.test('of four parallel wrong codes of each of 10 users those that are looked at count, each as that user\'s failure', async t => {
  const users = await enrolled(10)
  const answers = await race(users[0]!.user, users.length * 4, index => {
    const { user, secret } = users[index % users.length]!
    return ['POST', '/mfa/verify', { token: user.token(), body: { code: clock.wrongCode(secret) } }]
  })
  t.ok(answers.every(({ status }) => status === 422 || status === 429), JSON.stringify(tally(answers)))
  for (const [number, { user, userId }] of users.entries()) {
    const refused = answers.filter(({ status }, index) => index % users.length === number && status === 422).length
    t.ok(refused >= 1 && refused <= 5, `${refused}`)
    t.match(await user.throttle('totp'), { failures: refused, tries: refused })
    t.equal((await user.events()).filter(({ action, subject }) => action === 'totp.refused' && subject === userId).length, refused)
  }
})

t.test('in one call: a good code, the same again, a spent one, one of an epoch that is over and one of a locked factor', async t => {
  const [good, spent, over, locked] = await enrolled(4) as [any, any, any, any]
  const { tenant } = good.user
  await db.rows`UPDATE throttles SET locked_at = now() WHERE tenant = ${tenant} AND user_id = ${locked.userId}::uuid AND kind = 'totp'`
  const step = Math.floor(clock.seconds / 30)
  const accept = ({ userId, factorId }: { userId: string, factorId: string }, changed: object = {}) =>
    settleAccepted(db, { tenant, userId, kind: 'totp', epoch: 1, factorId, counter: step, authentication: null, by, ...changed })
  const { epoch } = await good.user.row()
  const results = await Promise.all([
    accept(good, { epoch }),
    accept(good, { epoch }),
    accept(spent, { epoch, counter: 1 }),
    accept(over, { epoch: epoch - 1 }),
    accept(locked, { epoch })
  ])
  t.same(results.map(({ outcome }) => outcome).sort(), ['accepted', 'locked', 'spent', 'spent', 'spent'])
  t.same(results.slice(2).map(({ outcome }) => outcome), ['spent', 'spent', 'locked'])
  const steps = await db.rows<
    { id: string, moved: boolean }
  >`SELECT id::text, counter = ${step}::bigint AS moved FROM factors WHERE tenant = ${tenant} AND counter >= ${step}::bigint`
  t.same(steps, [{ id: good.factorId, moved: true }])
})

t.test('a code that cannot be settled fails alone: the others of its call are accepted', async t => {
  const users = await enrolled(3)
  const { tenant } = users[0]!.user
  const step = Math.floor(clock.seconds / 30)
  const results = await Promise.allSettled(users.map(async ({ user, userId, factorId }, index) => {
    const { epoch } = await user.row()
    return await settleAccepted(db, {
      tenant,
      userId,
      kind: 'totp',
      epoch,
      factorId,
      counter: step,
      authentication: null,
      by: { ...by, actor: index === 1 ? '\0' : 'test' }
    })
  }))
  t.match(results, [{ value: { outcome: 'accepted' } }, { status: 'rejected', reason: { name: 'UnavailableError' } }, {
    value: { outcome: 'accepted' }
  }])
})

t.test('users who are read together are each read as if alone', async t => {
  const users = await enrolled(4)
  const { tenant, sub } = users[0]!.user
  await users[1]!.user.call('POST', '/mfa/enroll', {}, await users[1]!.user.verify(users[1]!.secret))
  await users[2]!.user.call('POST', '/mfa/verify', { code: clock.wrongCode(users[2]!.secret) })
  await db.rows`UPDATE recovery_codes SET used_at = now() WHERE tenant = ${tenant} AND user_id = ${users[3]!.userId}::uuid AND slot < 3`
  await db.rows`INSERT INTO policies (tenant, enforcement, groups, version) VALUES (${tenant}, 'required', '{staff}', 7)`
  const ids = [...users.map(({ userId }) => userId), '00000000-0000-4000-8000-000000000000']
  const withoutTime = (user: object | null): object | null => user === null ? null : { ...user, readAt: null }
  const alone = []
  for (const id of ids) alone.push(withoutTime(await findUserById(db, tenant, id)))
  const found = await Promise.all(ids.map(id => findUserById(db, tenant, id)))
  t.same(found.map(withoutTime), alone)
  t.equal(new Set(found.slice(0, 4).map(user => user?.readAt.getTime())).size, 1, 'in one call')
  t.match(found, [
    { userId: ids[0], pending: [], recovery: { total: 10, remaining: 10 }, policy: { version: 7 } },
    { userId: ids[1], pending: [{ factorId: /./ }] },
    { userId: ids[2], throttles: { totp: { failures: 1 } } },
    { userId: ids[3], recovery: { total: 10, remaining: 7 } },
    null
  ])
  const named = await Promise.all(
    [sub, 'unknown', users[2]!.user.sub].map(subject =>
      findWholeUser(db, { tenant, namespace: found[0]!.namespace, subject } as Caller, peppers)
    )
  )
  t.same(named.map(user => user?.userId ?? null), [ids[0], null, ids[2]])
})

t.test('of users who are read together each has the login session that they ask for, and no other user\'s of its name', async t => {
  const [one, other, none] = await enrolled(3) as [Enrolled, Enrolled, Enrolled]
  const { tenant } = one.user
  for (const { user, secret } of [one, other]) {
    t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, user.token({ sid: 'same' }))).status, 200)
  }
  const [{ issuer }] = await db
    .rows`SELECT issuer FROM mfa_sessions WHERE tenant = ${tenant} AND user_id = ${one.userId}::uuid AND session = 'same'` as [
    { issuer: string }
  ]
  const { namespace } = await findUserById(db, tenant, one.userId) as { namespace: string }
  const asked: Array<[Enrolled, string, string]> = [[one, issuer, 'same'], [other, issuer, 'same'], [none, issuer, 'same'], [
    one,
    issuer,
    'another'
  ], [one, 'another', 'same']]
  const found = await Promise.all(
    asked.map(([{ user: { sub } }, issuer, id]) =>
      findUser(db, { tenant, namespace, subject: sub, session: { issuer, id, isRemembered: true } } as Caller, peppers)
    )
  )
  t.same(found.map(user => user?.session.authentication?.factorId ?? null), [one.factorId, other.factorId, null, null, null])
})
