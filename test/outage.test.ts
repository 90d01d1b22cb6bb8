// The database goes away while the service serves: it says so at once, accepts nothing, and comes back by itself.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { ownDatabase } from './helpers/database.ts'
import { startProxy } from './helpers/proxy.ts'
import { type Answer, type Service, startService } from './helpers/service.ts'
import { aroundSettling } from './helpers/settling.ts'
import { until } from './helpers/until.ts'

const { url } = await ownDatabase(t)

/** A service behind a proxy, and the same database without one. */
async function start (t: Test) {
  const proxy = await startProxy(t, url)
  const service = await startService(t, { DATABASE_URL: proxy.url })
  const direct = await startService(t, { ...service.env, DATABASE_URL: url }, service.clock)
  return { proxy, service, direct }
}

async function timed (call: Promise<Answer>): Promise<Answer & { seconds: number }> {
  const start = performance.now()
  return { ...await call, seconds: (performance.now() - start) / 1000 }
}

/** Milliseconds until the service answers a user again. */
async function untilHealed (service: Service, token: string): Promise<number> {
  const start = performance.now()
  await until(async () => (await service.call('GET', '/mfa/status', { token })).status === 200, { withinMs: 15_000, everyMs: 100 })
  return performance.now() - start
}

for (const trouble of ['refuse', 'blackHole'] as const) {
  t.test(`${trouble === 'refuse' ? 'refused connections' : 'a black hole'}: 503 within seconds, alive and not ready, and ` +
    'healed without a restart', async t => {
    const { proxy, service } = await start(t)
    const user = service.user({ roles: ['mfa:admin'] })
    const { secret, recoveryCodes, token } = await user.enroll()
    await Promise.all(Array.from({ length: 20 }, () => user.call('GET', '/mfa/status')))
    const code = service.clock.code(secret)
    await proxy[trouble]()
    const calls: Array<[string, string, object?]> = [
      ['GET', '/mfa/status'], ['POST', '/mfa/verify', { code }], ['POST', '/mfa/verify', { code: service.clock.wrongCode(secret) }],
      ['POST', '/mfa/recovery', { code: recoveryCodes?.[0] }],
      ['POST', '/mfa/enroll', {}],
      ['GET', '/admin/policy'],
      ['GET', '/health/ready']
    ]
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => calls).flat().map(async ([method, path, body]) => await timed(user.call(method, path, body, token)))
    )
    for (const { status, body, text, headers, seconds } of answers) {
      t.match({ status, body }, { status: 503, body: { type: 'urn:headless-mfa:problem:unavailable', code: 'unavailable' } })
      t.match(headers.get('content-type'), /^application\/problem\+json/)
      t.match(headers.get('retry-after'), /^[1-9][0-9]*$/)
      t.equal(headers.get('cache-control'), 'no-store')
      t.notMatch(text, /ECONN|postgres|prisma|pool|timeout|eyJ/i)
      t.ok(seconds <= 3.5, `${seconds} seconds`)
    }
    t.equal((await timed(service.call('GET', '/health/live'))).status, 200)
    t.equal((await service.call('GET', '/health/ready')).status, 503)

    await proxy.restore()
    const healed = await untilHealed(service, token)
    t.ok(healed < 10_000, `healed after ${healed} ms`)
    t.equal((await service.call('GET', '/health/ready')).status, 200)
    t.match(await user.throttle('totp'), { failures: 0 }, 'nothing was counted, since nothing was looked at')
    t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200, 'and the code is good')
    // No connection that was lost is left in the pool.
    const after = await Promise.all(Array.from({ length: 30 }, () => user.call('GET', '/mfa/status')))
    t.ok(after.every(({ status }) => status === 200), after.map(({ status }) => status).join())
  })
}

t.test('a connection that breaks between a write and its answer: what was done stays done, and nothing is accepted twice', async t => {
  const { proxy, service, direct } = await start(t)
  const user = service.user()
  const { secret, recoveryCodes, token } = await user.enroll()
  const { body: pending } = await user.call('POST', '/mfa/enroll', {}, token)
  // From the moment at which a settlement is sent, no answer comes back; then the connection breaks.
  const losing = async (method: string, path: string, body: object, bearer?: string): Promise<Answer> => {
    const restore = aroundSettling(service.db, async send => {
      const lost = proxy.loseAnswers(/"outcome"/)
      const answer = send()
      await lost
      proxy.cut()
      return await answer
    })
    const answer = await user.call(method, path, body, bearer)
    restore()
    await proxy.restore()
    t.match(answer, { status: 503, body: { code: 'outcome_unknown' } }, path)
    return answer
  }
  const again = (path: string, body: object, bearer = user.token()): Promise<Answer> => direct.call('POST', path, { token: bearer, body })

  const code = service.clock.code(secret)
  await losing('POST', '/mfa/verify', { code })
  t.equal((await user.events()).filter(event => event.action === 'totp.accepted').length, 1, 'it was accepted')
  t.equal((await again('/mfa/verify', { code })).status, 422, 'and is not again')
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 422)

  await losing('POST', '/mfa/verify', { code: service.clock.wrongCode(secret) })
  t.equal((await user.throttle('totp')).failures, 1, 'the failure stays counted')

  await losing('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  t.equal((await again('/mfa/recovery', { code: recoveryCodes?.[0] })).status, 422)
  t.match((await user.call('GET', '/mfa/recovery')).body, { remaining: 9 })

  await losing('PATCH', `/mfa/factors/${pending.factorId as string}`, { label: 'Tablet' }, token)
  t.match((await user.call('GET', '/mfa/factors')).body.items, [{ status: 'active' }, { label: 'Tablet', status: 'pending' }])
  const started = (await user.events()).filter(event => event.action === 'factor.renamed')
  t.equal(started.length, 1)
})

t.test('a lock on the table of factors: 503 within seconds, other calls go on, and nothing takes effect afterwards', async t => {
  const { service } = await start(t)
  const user = service.user()
  const { secret, recoveryCodes, token } = await user.enroll()
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  t.teardown(() => other.end())
  const code = service.clock.code(secret)
  const before = await Promise.all([user.events(), user.throttle('totp'), user.row()])

  // SHARE lets others read and not write, ACCESS EXCLUSIVE not even read.
  for (const mode of ['SHARE', 'ACCESS EXCLUSIVE']) {
    await other.query('BEGIN')
    await other.query(`LOCK TABLE factors, throttles IN ${mode} MODE`)
    const bodies = [{ code }, { code: service.clock.wrongCode(secret) }]
    const calls = Array.from({ length: 20 }, (_, index) => timed(user.call('POST', '/mfa/verify', bodies[index % 2])))
    await sleep(100)
    const live = await timed(service.call('GET', '/health/live'))
    t.equal(live.status, 200)
    t.ok(live.seconds < 1, `alive in ${live.seconds} seconds`)
    for (
      const { status, seconds } of await Promise.all([
        ...calls,
        timed(user.call('DELETE', '/mfa/factors/00000000-0000-4000-8000-000000000000', {}, token))
      ])
    ) {
      t.ok(status === 503 || status === 404, `${mode}: ${status}`)
      // 1.5 seconds for a connection and as many for the statement; both once more, alone, where it was sent together with others.
      t.ok(seconds <= 6.5, `${mode}: ${seconds} seconds`)
    }
    await other.query('ROLLBACK')
    await sleep(300)
    t.same(await Promise.all([user.events(), user.throttle('totp'), user.row()]), before)
  }
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200)
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 200)
})
