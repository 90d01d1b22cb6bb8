// Waits: guesses get slower, from whichever client and on whichever replica; what is no guess costs nothing.
import t from 'tap'
import { generateCode } from '../../../src/factors/recovery-codes/recovery-code.ts'
import { type User, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const service = await useService(t)
const { clock } = service
const NONE = { failures: 0, tries: 0, recent: [], wait_until: null, locked_at: null }

const verify = (user: User, code: string, more: object = {}) => user.call('POST', '/mfa/verify', { code, ...more })
const recover = (user: User, code: string | undefined) => user.call('POST', '/mfa/recovery', { code })

async function failFive (user: User, secret: string): Promise<void> {
  for (let failure = 1; failure <= 5; failure++) await verify(user, clock.wrongCode(secret))
}

t.test('four failures cost no wait, the fifth 30 seconds, each further one twice as long, up to an hour', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  const wrong = clock.wrongCode(secret)
  for (let failure = 1; failure <= 5; failure++) t.equal((await verify(user, wrong)).status, 422, `failure ${failure} is answered`)
  for (const seconds of [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]) {
    const { status, headers } = await verify(user, wrong)
    t.equal(status, 429)
    const wait = Number(headers.get('retry-after'))
    t.ok(wait <= seconds && wait > seconds - 20, `${wait} of ${seconds} seconds`)
    await user.endWait()
    t.equal((await verify(user, wrong)).status, 422)
  }
  t.equal((await user.throttle('totp')).failures, 14)
})

t.test('THROTTLE_WAITS sets the wait of each failure, then doubling', async t => {
  const other = await startService(t, { ...service.env, THROTTLE_WAITS: '0,7' }, clock)
  const user = other.user()
  const { secret } = await user.enroll()
  for (const seconds of [0, 7, 14, 28]) {
    await verify(user, clock.wrongCode(secret))
    const [{ left }] = await other.db
      .rows`SELECT coalesce(round(extract(epoch FROM wait_until - clock_timestamp())), 0)::int AS left FROM throttles
        WHERE tenant = ${user.tenant} AND kind = 'totp'` as [
      { left: number }
    ]
    t.ok(left <= seconds && left > seconds - 5, `${left} of ${seconds} seconds`)
    await user.endWait()
  }
})

t.test('during a wait the answer is a 429 that says until when; the code is not looked at and works afterwards', async t => {
  const user = service.user()
  const { secret } = await user.enroll()
  await failFive(user, secret)
  const before = await user.throttle('totp')
  const code = clock.code(secret)
  const answer = await verify(user, code)
  t.match(answer.body, {
    type: 'urn:headless-mfa:problem:too_many_attempts',
    title: /./,
    status: 429,
    detail: /Retry-After/,
    instance: /^urn:request:/,
    code: 'too_many_attempts'
  })
  t.match(answer.headers.get('content-type'), /^application\/problem\+json/)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  t.match(answer.headers.get('retry-after'), /^[1-9][0-9]*$/)
  await verify(user, clock.wrongCode(secret))
  t.same(await user.throttle('totp'), before, 'neither a right nor a wrong one counts')
  await user.endWait()
  t.equal((await verify(user, code)).status, 200)
  t.match(await user.throttle('totp'), { failures: 0, tries: 0 })
})

t.test('the count is one, over logins, sessions, replicas, restarts and the calls that take a code', async t => {
  const user = service.user()
  const { secret, token } = await user.enroll()
  const wrong = clock.wrongCode(secret)
  const { body: { factorId, secret: pendingSecret } } = await user.call('POST', '/mfa/enroll', {}, token)
  t.equal((await verify(user, wrong)).status, 422)
  t.equal((await user.call('POST', '/mfa/verify', { code: wrong }, user.token({ sid: 'another' }))).status, 422)
  t.equal((await user.call('POST', '/mfa/verify', { code: wrong }, token)).status, 422)
  t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.wrongCode(pendingSecret) }, token)).status, 422)
  const replica = await startService(t, service.env, clock)
  t.equal(
    (await replica.call('POST', '/mfa/verify', {
      token: user.token(),
      body: { code: wrong },
      headers: { 'x-forwarded-for': '203.0.113.9', 'user-agent': 'another' }
    })).status,
    422
  )
  t.equal((await replica.call('POST', '/mfa/verify', { token: user.token(), body: { code: clock.code(secret) } })).status, 429)
  t.equal((await verify(user, clock.code(secret))).status, 429)
  t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(pendingSecret) }, token)).status, 429)
})

t.test('five wrong codes at confirm close verify too', async t => {
  const user = service.user()
  const { token } = await user.enroll()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll', {}, token)
  for (let failure = 1; failure <= 5; failure++) {
    t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.wrongCode(secret) }, token)).status, 422)
  }
  t.equal((await verify(user, '123456')).status, 429)
})

t.test('TOTP alone waits, and a recovery code ends that', async t => {
  const user = service.user()
  const { secret, recoveryCodes } = await user.enroll()
  for (let failure = 1; failure <= 6; failure++) t.equal((await recover(user, generateCode(failure))).status, 422)
  t.match(await user.throttle('totp'), NONE)
  await failFive(user, secret)
  t.equal((await verify(user, clock.code(secret))).status, 429)
  t.equal((await recover(user, recoveryCodes?.[0])).status, 200)
  t.equal((await verify(user, clock.code(secret))).status, 200)
})

t.test('what is malformed, mistyped, spent or used costs nothing, however often', async t => {
  const user = service.user()
  const { secret, recoveryCodes, token } = await user.enroll()
  const { body: { factorId } } = await user.call('POST', '/mfa/enroll', {}, token)
  const [used, live] = recoveryCodes as [string, string]
  const spent = clock.code(secret)
  await verify(user, spent)
  await recover(user, used)
  const mistyped = `${live.slice(0, -1)}${live.endsWith('Z') ? 'Y' : 'Z'}`
  for (let round = 0; round < 10; round++) {
    t.equal((await verify(user, ['12345', 'abcdef', '1234567', '', '12345x'][round % 5] as string)).status, 400)
    t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: 'x' }, token)).status, 400)
    t.equal((await recover(user, 'no such thing at all')).status, 400)
    t.equal((await recover(user, mistyped)).status, 422)
    t.equal((await recover(user, used)).status, 422)
    t.equal((await verify(user, spent)).status, 422, 'a replay locks no one out')
  }
  t.match(await user.throttle('totp'), NONE)
  t.equal((await recover(user, live)).status, 200)
  clock.advance(30)
  t.equal((await verify(user, clock.code(secret))).status, 200)
})

t.test('twenty enrollments an hour are started, and the window rolls', async t => {
  const user = service.user()
  for (let start = 1; start <= 20; start++) t.equal((await user.call('POST', '/mfa/enroll')).status, 201)
  const { status, headers, body } = await user.call('POST', '/mfa/enroll')
  t.match({ status, code: body.code }, { status: 429, code: 'too_many_attempts' })
  const wait = Number(headers.get('retry-after'))
  t.ok(wait <= 3600 && wait > 3500, `${wait} seconds`)
  t.equal((await service.db.rows`SELECT 1 AS one FROM enrollments WHERE tenant = ${user.tenant}`).length, 1)
  await service.db
    .rows`UPDATE throttles SET recent[1] = (recent[1] AT TIME ZONE 'UTC' - interval '1 hour') AT TIME ZONE 'UTC',
      recent[2] = (recent[2] AT TIME ZONE 'UTC' - interval '30 minutes') AT TIME ZONE 'UTC' WHERE tenant = ${user.tenant}
      AND kind = 'enroll'`
  t.equal((await user.call('POST', '/mfa/enroll')).status, 201, 'the oldest start is over an hour ago')
  const again = Number((await user.call('POST', '/mfa/enroll')).headers.get('retry-after'))
  t.ok(again <= 1800 && again > 1700, `${again} seconds, until the next oldest is`)
})
