// What a gateway's question costs, and what is answered while the database is away.
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ownDatabase } from '../helpers/database.ts'
import { startProxy } from '../helpers/proxy.ts'
import { type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const { url } = await ownDatabase(t)

const ask = async (service: Service, token: string): Promise<number> => (await service.call('GET', '/mfa/authorize', { token })).status

/** Milliseconds until the answer is this one. */
async function untilAnswered (service: Service, token: string, status: number, withinMs = 15_000): Promise<number> {
  const start = performance.now()
  await until(async () => await ask(service, token) === status, { withinMs, everyMs: 50 })
  return performance.now() - start
}

async function start (t: Test, env: Record<string, string> = {}) {
  const proxy = await startProxy(t, url)
  return { proxy, service: await startService(t, { DATABASE_URL: proxy.url, ...env }) }
}

t.test('an MFA token costs no look into the database: it is answered while there is none', async t => {
  const { proxy, service } = await start(t)
  const user = service.user()
  const { token } = await user.enroll()
  await service.db.rows`INSERT INTO policies (tenant, enforcement, version) VALUES (${user.tenant}, 'required', 1)`
  await untilAnswered(service, token, 200)
  proxy.blackHole()
  const begun = performance.now()
  const answers = []
  while (performance.now() - begun < 1000) answers.push(await ask(service, token))
  t.ok(answers.length > 50, `${answers.length} answers`)
  t.same(new Set(answers), new Set([200]))
  t.equal(await ask(service, user.token()), 503, 'a first-factor token is asked about')
})

t.test('a first-factor token that has just passed by what its session remembers costs no look either, for half a minute and no ' +
  'other token', async t => {
  const { proxy, service } = await start(t, { JWT_SESSION_CLAIM: 'sid', AUTHORIZE_STALE_SECONDS: '60' })
  const user = service.user({ sid: 's1' })
  await user.enroll()
  const [token, other] = [user.token(), user.token({ groups: ['staff'] })]
  const answerOf = async (): Promise<unknown> => {
    const { status, headers } = await service.call('GET', '/mfa/authorize', { token })
    return [status, ...['user', 'subject', 'namespace', 'tenant', 'acr', 'reason'].map(name => headers.get(`x-mfa-${name}`))]
  }
  const first = await answerOf()
  t.match(first, [200, /./, /./, /./, user.tenant, 'mfa', 'mfa_verified'])
  proxy.blackHole()
  const begun = performance.now()
  let count = 0
  for (; performance.now() - begun < 1000; count++) t.same(await answerOf(), first)
  t.ok(count > 50, `${count} answers`)
  t.equal((await service.call('GET', '/mfa/authorize?acr=mfa', { token })).status, 200)
  t.equal(await ask(service, other), 503, 'it says something else')
  service.clock.advance(1)
  t.equal((await service.call('GET', '/mfa/authorize?maxAge=0', { token })).status, 503, 'more is demanded than it is good for')
  service.clock.advance(30)
  t.equal(await ask(service, token), 503, 'after half a minute the database is asked')
})

t.test('what users end themselves is ended at once on that replica, for first-factor tokens of before too', async t => {
  const service = await startService(t, { DATABASE_URL: url, JWT_SESSION_CLAIM: 'sid' })
  const user = service.user({ sid: 's1' })
  const { secret } = await user.enroll()
  const passes = async (): Promise<number> => (await service.call('POST', '/mfa/authorize', { token: user.token() })).status
  for (const path of ['/mfa/session', '/mfa/sessions']) {
    const token = await user.verify(secret)
    t.same([await passes(), await passes()], [200, 200])
    t.equal((await user.call('DELETE', path, {}, token)).status, 204)
    t.equal(await passes(), 401, path)
  }
})

for (const trouble of ['refuse', 'blackHole'] as const) {
  t.test(`${trouble}: what is known of ended tokens is believed for two seconds, then nothing passes, and it heals`, async t => {
    const { proxy, service } = await start(t)
    const { token } = await service.user().enroll()
    t.equal(await ask(service, token), 200)
    await proxy[trouble]()
    const milliseconds = await untilAnswered(service, token, 503)
    t.ok(milliseconds > 1000 && milliseconds < 2200, `closed after ${Math.round(milliseconds)} ms`)
    await sleep(1000)
    const closed = await service.call('GET', '/mfa/authorize', { token })
    t.match(closed, { status: 503, body: { code: 'unavailable' } })
    t.match(closed.headers.get('retry-after'), /^\d+$/)
    t.equal((await service.call('GET', '/health/live')).status, 200)
    const warnings = service.log.filter(line => line.includes('revocations cannot be read'))
    t.equal(warnings.length, 1, 'one line in the log, not one each time')
    await proxy.restore()
    t.ok(await untilAnswered(service, token, 200) < 5000, 'healed without a restart')
  })
}

t.test('what ended in an outage is known after it', async t => {
  const { proxy, service } = await start(t)
  const direct = await startService(t, { ...service.env, DATABASE_URL: url }, service.clock)
  const user = service.user()
  const { token } = await user.enroll()
  await proxy.refuse()
  t.equal((await direct.call('DELETE', '/mfa/sessions', { token, body: {} })).status, 204)
  t.ok(await untilAnswered(service, token, 503) < 2500)
  await sleep(3000)
  await proxy.restore()
  const answers = new Set<number>()
  while (!answers.has(401)) {
    answers.add(await ask(service, token))
    await sleep(10)
  }
  t.same([...answers].sort(), [401, 503], 'it never passed')
})

t.test('a service that starts without a database starts, closed', async t => {
  const proxy = await startProxy(t, url)
  await proxy.refuse()
  const service = await startService(t, { DATABASE_URL: proxy.url, AUTHORIZE_STALE_SECONDS: '1' })
  const direct = await startService(t, { ...service.env, DATABASE_URL: url }, service.clock)
  const { token } = await direct.user().enroll()
  t.equal(await ask(service, token), 503)
  t.equal((await service.call('GET', '/health/ready')).status, 503)
  await proxy.restore()
  t.ok(await untilAnswered(service, token, 200) < 5000)
})

t.test('more revocations than are remembered: the database is asked, and nothing dead passes', async t => {
  const service = await startService(t, { DATABASE_URL: url })
  const user = service.user()
  const { token } = await user.enroll()
  const { id } = await user.row()
  await service.db.reports`INSERT INTO revocations (tenant, user_id, issuer, session, epoch, generation)
    SELECT ${user.tenant}, gen_random_uuid(), '', '', 2, 0 FROM generate_series(1, 100001)`
  const late = await startService(t, service.env, service.clock)
  await untilAnswered(late, token, 200, 60_000)
  // While all those are read again and again, this process may be too busy to connect in time.
  await until(() => late.db.rows`SELECT bump_epoch(${user.tenant}, ${id}::uuid)`.then(() => true, () => false))
  // A machine that is not done with reading all those says 503: that lets no one pass, either.
  const answers = new Set<number>()
  for (const begun = performance.now(); !answers.has(401) && performance.now() - begun < 30_000; await sleep(50)) {
    answers.add(await ask(late, token))
  }
  t.ok(answers.has(401) && !answers.has(200), `at once: ${[...answers].join()}`)
})
