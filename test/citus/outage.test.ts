// A real cluster: a worker is lost under load and comes back, and a tenant moves to another worker while its users log in.
import pg from 'pg'
import t from 'tap'
import { ownDatabase } from '../helpers/database.ts'
import { crash, makeDurable, usersOnEach, placeOf, revive } from '../helpers/cluster.ts'
import { type User, type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const { url } = await ownDatabase(t)
await makeDurable(url)
const service = await startService(t, { DATABASE_URL: url })
const users = await usersOnEach(service, 3)
const ports = [...users.keys()] as [number, number]

interface Someone { user: User, secret: string }
const on = (port: number): Someone[] => users.get(port) as Someone[]

/** How often each code of a user was accepted, by its time step. */
const accepted = new Map<User, Map<number, number>>()

/** Each sends the code of this moment twice at once. Answers the statuses of each. */
async function login (some: Someone[]): Promise<number[][]> {
  const step = Math.floor(service.clock.seconds / 30)
  return await Promise.all(some.map(async ({ user, secret }) => {
    const code = service.clock.code(secret)
    const answers = await Promise.all([user, user].map(each => each.call('POST', '/mfa/verify', { code })))
    const steps = accepted.get(user) ?? new Map<number, number>()
    accepted.set(user, steps.set(step, (steps.get(step) ?? 0) + answers.filter(({ status }) => status === 200).length))
    return answers.map(({ status }) => status).sort()
  }))
}

const ONCE = [200, 422]
const acceptedInAudit = async ({ db }: Service, { tenant }: User): Promise<number> =>
  (await db.rows<{ count: number }>`SELECT count(*)::int AS count FROM audit_events WHERE tenant = ${tenant} AND action = 'totp.accepted'`)[
    0
  ]?.count as number

t.test('a worker is lost under load and comes back: no code is accepted twice, none is lost, and other tenants go on', async t => {
  const [lost, other] = ports
  t.same([...new Set((await login([...on(lost), ...on(other)])).flat())], ONCE, 'all is well')
  service.clock.advance(30)
  const during = login(on(lost))
  await crash(lost)
  await during
  service.clock.advance(30)
  for (let round = 0; round < 3; round++) {
    const [theirs, ours] = await Promise.all([login(on(lost)), login(on(other))])
    t.same([...new Set(theirs.flat())], [503], 'nothing is accepted where it cannot be written')
    t.ok(ours.every(statuses => statuses.join() === ONCE.join()), `the others log in: ${ours.join(' ')}`)
    t.equal((await service.call('GET', '/health/ready')).status, 200, 'so the replicas stay')
    service.clock.advance(30)
  }
  const late = on(lost).map(({ user, secret }) => ({ user, code: service.clock.code(secret) }))
  await login(on(lost))
  await revive(lost)
  await until(async () => (await on(lost)[0]?.user.call('GET', '/mfa/status'))?.status === 200)
  const answers = await Promise.all(late.map(({ user, code }) => user.call('POST', '/mfa/verify', { code })))
  t.same([...new Set(answers.map(({ status }) => status))], [200], 'what could not be written is as good as ever')
  service.clock.advance(30)
  t.ok((await login([...on(lost), ...on(other)])).every(statuses => statuses.join() === ONCE.join()), 'all log in again')
  for (const [user, steps] of accepted) {
    t.ok([...steps.values()].every(times => times <= 1), 'no code twice')
    const answered = [...steps.values()].reduce((sum, times) => sum + times, 0) + (late.some(each => each.user === user) ? 1 : 0)
    const written = await acceptedInAudit(service, user)
    // The answer of the moment of the crash may have been lost after its commit; one that was given is there.
    t.ok(
      written === answered || (late.some(each => each.user === user) && written === answered + 1),
      `${written} written, ${answered} answered`
    )
  }
})

t.test('a tenant moves to the other worker while its users log in: each code counts once, and none is refused', async t => {
  const [from, to] = ports
  const mover = on(from)[0] as Someone
  service.clock.advance(30)
  const { shard } = await placeOf(service, mover.user.tenant)
  const progress = { isDone: false }
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  const move = client.query("SELECT citus_move_shard_placement($1, '127.0.0.1', $2, '127.0.0.1', $3, 'force_logical')", [shard, from, to])
    .finally(() => {
      progress.isDone = true
    })
  let rounds = 0
  while (!progress.isDone) {
    // Those whose answer is 503 ask again, as a front end does: at the very moment of the move, writes wait.
    let statuses: number[] = []
    for (let tries = 0; tries < 100 && !statuses.includes(200); tries++) statuses = (await login([mover]))[0] as number[]
    t.ok(statuses.includes(200), `round ${rounds}: ${statuses.join()}`)
    service.clock.advance(30)
    rounds++
  }
  await move
  t.ok(rounds > 1, `${rounds} logins meanwhile`)
  t.equal((await placeOf(service, mover.user.tenant)).port, to)
  t.same((await login([mover]))[0], ONCE)
  t.ok([...(accepted.get(mover.user) as Map<number, number>).values()].every(times => times <= 1))
})
