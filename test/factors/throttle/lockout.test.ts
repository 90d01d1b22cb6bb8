// The hard limits: failures in a row that lock, and the rolling budget that success does not reset.
import t from 'tap'
import { type User, type Service, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const verify = (user: User, code: string, factorId?: string) =>
  user.call('POST', '/mfa/verify', { code, ...(factorId !== undefined && { factorId }) })

/** Moves what was counted into the past, as time would. */
const age = ({ db }: Service, { tenant }: User, hours: number) => db.rows`UPDATE throttles
  SET recent = ARRAY(SELECT r - make_interval(hours => ${hours}::int) FROM unnest(recent) AS r ORDER BY r), wait_until = NULL
  WHERE tenant = ${tenant} AND kind = 'totp'`

const WITHOUT_BUDGET = { THROTTLE_WAITS: '0', THROTTLE_DAY: '100', THROTTLE_MONTH: '300' }

t.test('thirty failures in a row lock: the right code is refused, and a recovery code opens again', async t => {
  const service = await startService(t, WITHOUT_BUDGET)
  const { clock } = service
  const user = service.user()
  const { secret, recoveryCodes, token, factorId } = await user.enroll()
  const { body: pending } = await user.call('POST', '/mfa/enroll', {}, token)
  const wrong = clock.wrongCode(secret)
  for (let failure = 1; failure <= 30; failure++) t.equal((await verify(user, wrong)).status, 422, `failure ${failure}`)
  const locked = await verify(user, clock.code(secret))
  t.match(locked, { status: 403, body: { type: 'urn:headless-mfa:problem:factor_locked', status: 403, code: 'factor_locked' } })
  t.equal(locked.headers.get('cache-control'), 'no-store')
  t.match((await verify(user, wrong)).body, { code: 'factor_locked' })
  t.match((await user.call('POST', '/mfa/enroll/confirm', { factorId: pending.factorId, code: clock.code(pending.secret) }, token)).body, {
    code: 'factor_locked'
  }, 'nor is it confirmed around the lock')
  t.match((await user.call('GET', '/mfa/factors')).body.items, [{ id: factorId, status: 'locked' }, { status: 'pending' }])
  t.match(
    (await user.call('GET', '/mfa/status')).body,
    { enrolled: true, decision: { action: 'verify', reason: 'factor_enrolled' } },
    'it counts as a factor'
  )
  t.equal((await user.events()).filter(event => event.action === 'totp.locked').length, 1)
  t.equal((await user.throttle('totp')).failures, 30)

  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 200)
  t.match(await user.throttle('totp'), { failures: 0, tries: 0, recent: [], wait_until: null, locked_at: null })
  t.match((await user.call('GET', '/mfa/factors')).body.items[0], { status: 'active' })
  t.equal((await verify(user, clock.code(secret))).status, 200)
})

t.test('twenty failures in 24 hours close verify, though each run of them ended in a success', async t => {
  const service = await useService(t, { THROTTLE_WAITS: '0' })
  const { clock } = service
  const user = service.user()
  const { secret } = await user.enroll()
  const failFourThenSucceed = async (): Promise<void> => {
    for (let failure = 1; failure <= 4; failure++) t.equal((await verify(user, clock.wrongCode(secret))).status, 422)
    await user.verify(secret)
  }
  for (let run = 1; run <= 4; run++) await failFourThenSucceed()
  t.match(await user.throttle('totp'), { failures: 0, tries: 0 }, 'success clears the run')
  for (let failure = 17; failure <= 20; failure++) t.equal((await verify(user, clock.wrongCode(secret))).status, 422)
  const closed = await verify(user, clock.code(secret))
  t.match(closed, { status: 429, body: { code: 'too_many_attempts' } })
  const wait = Number(closed.headers.get('retry-after'))
  t.ok(wait <= 86_400 && wait > 86_300, `${wait} seconds`)
  t.equal((await user.throttle('totp')).recent.length, 20)

  await age(service, user, 25)
  await user.verify(secret)
  for (let run = 1; run <= 2; run++) await failFourThenSucceed()
  for (let failure = 29; failure <= 30; failure++) t.equal((await verify(user, clock.wrongCode(secret))).status, 422)
  const month = Number((await verify(user, clock.code(secret))).headers.get('retry-after'))
  t.ok(month <= 29 * 86_400 && month > 28 * 86_400, `thirty in 30 days: ${month} seconds`)
  t.equal((await user.throttle('totp')).locked_at, null, 'a wait, not a lock')

  await age(service, user, 30 * 24)
  await user.verify(secret)
  t.equal((await verify(user, clock.wrongCode(secret))).status, 422)
  t.equal((await user.throttle('totp')).recent.length, 1, 'what is older than 30 days is forgotten')
})

t.test('the budget opens when so many failures are older than a day that fewer than twenty are left', async t => {
  const service = await useService(t, { THROTTLE_WAITS: '0', THROTTLE_MONTH: '300' })
  const user = service.user()
  const { secret } = await user.enroll()
  for (let failure = 1; failure <= 19; failure++) await verify(user, service.clock.wrongCode(secret))
  await age(service, user, 23)
  await verify(user, service.clock.wrongCode(secret))
  const wait = Number((await verify(user, service.clock.code(secret))).headers.get('retry-after'))
  t.ok(wait <= 3600 && wait > 3500, `${wait} seconds: the oldest of the twenty is 23 hours old`)
})

t.test('a failure counts once towards the wait, and for each factor that it was tried against towards lock and budget', async t => {
  const service = await useService(t)
  const { clock } = service
  const user = service.user()
  const first = await user.enroll()
  const second = await user.enroll(first.token)
  const third = await user.enroll(first.token)
  const secrets = [first.secret, second.secret, third.secret]
  let wrong = 0
  const wrongOfAll = (): string => {
    const near = new Set(secrets.flatMap(secret => [-2, -1, 0, 1, 2].map(offset => clock.code(secret, offset))))
    while (near.has(String(wrong).padStart(6, '0'))) wrong++
    return String(wrong).padStart(6, '0')
  }
  const counted = async () => {
    const { failures, tries, recent } = await user.throttle('totp')
    return { failures, tries, recent: recent.length }
  }
  await verify(user, wrongOfAll())
  t.same(await counted(), { failures: 1, tries: 3, recent: 3 })
  await verify(user, wrongOfAll(), second.factorId)
  t.same(await counted(), { failures: 2, tries: 4, recent: 4 }, 'the named one alone')
  t.equal((await verify(user, clock.code(first.secret), second.factorId)).status, 422, 'a code of another factor is wrong')
  t.same(await counted(), { failures: 3, tries: 5, recent: 5 })
  t.equal((await verify(user, clock.code(second.secret), second.factorId)).status, 200)
  t.same(await counted(), { failures: 0, tries: 0, recent: 5 })
  for (let failure = 1; failure <= 5; failure++) {
    t.equal((await verify(user, wrongOfAll())).status, 422)
    await user.endWait()
  }
  t.same(await counted(), { failures: 5, tries: 15, recent: 20 })
  await verify(user, wrongOfAll())
  t.ok(Number((await verify(user, wrongOfAll())).headers.get('retry-after')) > 86_000, '23 of 20: closed for a day')
})
