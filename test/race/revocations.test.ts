// Two processes, one database: what ends a token on one replica ends it on all within a second, without a question.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { administrator } from '../helpers/administrator.ts'
import { startReplicas } from '../helpers/replica.ts'
import { callTo, type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t, { JWT_SESSION_CLAIM: 'sid' })
const { urls, syncClocks } = await startReplicas(t, service)
const replicas = urls.map(callTo)

const statuses = (token: string): Promise<number[]> =>
  Promise.all(replicas.map(async call => (await call('GET', '/mfa/authorize', { token })).status))

/** Milliseconds until no replica lets the token pass. */
async function untilDead (token: string): Promise<number> {
  const start = performance.now()
  while ((await statuses(token)).some(status => status !== 401)) {
    if (performance.now() - start > 5000) return Infinity
    await sleep(20)
  }
  return performance.now() - start
}

async function dies (t: Test, token: string, end: () => Promise<unknown>, name: string): Promise<void> {
  await syncClocks()
  t.same(await statuses(token), [200, 200], `${name}: before`)
  await end()
  const milliseconds = await untilDead(token)
  t.ok(milliseconds < 1000, `${name}: dead after ${Math.round(milliseconds)} ms`)
  t.same(await statuses(token), [401, 401], `${name}: and it stays dead`)
}

/** Takes everything from a user, as support does. */
async function reset (user: User): Promise<void> {
  const { actOn } = await administrator(service, ['mfa:support'], user.tenant)
  const { id } = await user.row()
  await syncClocks()
  const answer = await actOn(id, 'reset')
  if (answer.status !== 204) throw new Error(answer.text)
}

const enrolled = async (): Promise<{ user: User, token: string, secret: string, factorId: string }> => {
  const user = service.user({ sid: 's1' })
  return { user, ...await user.enroll() }
}

t.test('a sign-out, a factor removed, a log-out, a reset: the tokens of before are dead on every replica within a second', async t => {
  const first = await enrolled()
  await dies(t, first.token, () => first.user.call('DELETE', '/mfa/sessions', {}, first.token), 'sign-out')
  const anew = await first.user.verify(first.secret)
  await syncClocks()
  t.same(await statuses(anew), [200, 200], 'a token of after the sign-out counts')

  const second = await enrolled()
  const { factorId } = await second.user.enroll(second.token, 'Tablet')
  let carried = ''
  const acting = await second.user.verify(second.secret)
  await dies(t, acting, async () => {
    carried = (await second.user.call('DELETE', `/mfa/factors/${factorId}`, {}, acting)).body.token
  }, 'a factor removed')
  t.same(await statuses(carried), [200, 200], 'the acting session goes on')

  const third = await enrolled()
  const other = (await third.user.call('POST', '/mfa/verify', { code: service.clock.code(third.secret) }, third.user.token({ sid: 's2' })))
    .body.token as string
  service.clock.advance(30)
  await dies(t, third.token, () => third.user.call('DELETE', '/mfa/session'), 'log-out')
  t.same(await statuses(other), [200, 200], 'another session goes on')
  const again = await third.user.verify(third.secret)
  await syncClocks()
  t.same(await statuses(again), [200, 200], 'a later code counts again')

  const fourth = await enrolled()
  await dies(t, fourth.token, () => reset(fourth.user), 'a reset')
})

t.test('what is remembered for a session ends with them: every replica asks its first-factor token again', async t => {
  const passes = async (user: User, claims = {}): Promise<number[]> => {
    await syncClocks()
    return await Promise.all(
      replicas.map(async call => (await call('GET', '/mfa/authorize?acr=mfa', { token: user.token(claims) })).status)
    )
  }
  const ends: Array<[name: string, end: (one: Awaited<ReturnType<typeof enrolled>>) => Promise<unknown>, status?: number]> = [
    ['a log-out', ({ user }) => user.call('DELETE', '/mfa/session')],
    ['a reset', ({ user }) => reset(user), 403],
    ['a sign-out', ({ user, token }) => user.call('DELETE', '/mfa/sessions', {}, token)],
    ['another session removes a factor', async ({ user, secret, token }) => {
      const { factorId } = await user.enroll(token, 'Tablet')
      const acting = (await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, user.token({ sid: 's2' }))).body
        .token as string
      await user.call('DELETE', `/mfa/factors/${factorId}`, {}, acting)
    }]
  ]
  for (const [name, end, status = 401] of ends) {
    const one = await enrolled()
    t.same(await passes(one.user), [200, 200], `${name}: before`)
    await end(one)
    const begun = performance.now()
    while ((await passes(one.user)).some(each => each !== status) && performance.now() - begun < 2000);
    t.ok(performance.now() - begun < 1000, name)
    t.same(await passes(one.user), [status, status], `${name}: and it stays so`)
  }
})

t.test('what further settlements end is known by the same function, and outlives the user', async t => {
  const { user, token } = await enrolled()
  const { id } = await user.row()
  await dies(t, token, async () => {
    await service.db.rows`SELECT bump_epoch(${user.tenant}, ${id}::uuid)`
    await service.db.rows`DELETE FROM users WHERE tenant = ${user.tenant}`
  }, 'an erasure')
  await sleep(700)
  t.same(await statuses(token), [401, 401])
  t.same(
    await service.db.rows`SELECT bump_epoch(${user.tenant}, gen_random_uuid()) AS epoch`,
    [{ epoch: null }],
    'without such a user there is nothing to end'
  )
})

t.test('a revocation that is committed late, after later ones were read, is not missed', async t => {
  const { user, token } = await enrolled()
  const { id } = await user.row()
  const client = new pg.Client({ connectionString: service.config.DATABASE_URL })
  await client.connect()
  t.teardown(() => client.end())
  await dies(t, token, async () => {
    await client.query('BEGIN')
    await client.query('SELECT bump_epoch($1, $2)', [user.tenant, id])
    const later = await enrolled()
    await later.user.call('DELETE', '/mfa/sessions', {}, later.token)
    await sleep(2500)
    await syncClocks()
    t.same(await statuses(token), [200, 200], 'nothing is committed yet')
    await client.query('COMMIT')
  }, 'a late commit')
})
