// A code that an administrator gives a user for one login, where the phone is lost and no recovery code is left.
import t from 'tap'
import { BYPASS_SLOT, generateCode } from '../../../src/factors/recovery-codes/recovery-code.ts'
import { administrator } from '../../helpers/administrator.ts'
import { type Answer, claimsOf, type User, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const service = await useService(t, { JWT_SESSION_CLAIM: 'sid' })
const { clock, db } = service
const recover = (user: User, code: string, token?: string): Promise<Answer> => user.call('POST', '/mfa/recovery', { code }, token)
/** All that an answer says, but for the id of its request and the time. */
const bytesOf = ({ status, text, headers }: Answer): object => ({
  status,
  text: text.replace(/urn:request:[\w-]+/, ''),
  headers: Object.fromEntries([...headers].filter(([name]) => name !== 'x-request-id' && name !== 'date'))
})

t.test('a bypass is shown once, kept hashed, counts for 15 minutes or as long as asked, and is audited without the code', async t => {
  const { admin, actOn, seen } = await administrator(service)
  const { user, id } = await seen()
  const { status, body } = await actOn(id, 'bypass')
  t.equal(status, 201)
  t.same(Object.keys(body).sort(), ['code', 'expiresAt'])
  t.match(body.code, /^B[0-9A-HJKMNP-TV-Z]{3}(-[0-9A-HJKMNP-TV-Z]{4}){3}$/)
  const rows = await db.rows<
    { hash: string, seconds: number, at: Date }
  >`SELECT hash, extract(epoch FROM expires_at - created_at)::float8 AS seconds, expires_at AS at FROM bypasses
    WHERE tenant = ${user.tenant}`
  t.match(rows, [{ hash: /^\$2b\$\d\d\$/, seconds: 900 }])
  t.equal(body.expiresAt, rows[0]?.at.toISOString())
  const event = (await admin.events()).at(-1)
  t.match(event, {
    action: 'bypass.issued',
    actor: (await admin.row()).id,
    subject: id,
    details: { reason: 'Ticket 4711', expiresAt: /^\d{4}-/ }
  })
  t.notMatch(JSON.stringify(await admin.events()), body.code)
  const short = await actOn(id, 'bypass', { expiresInSeconds: 60 })
  t.match(
    await db.rows`SELECT extract(epoch FROM expires_at - created_at)::float8 AS seconds FROM bypasses WHERE tenant = ${user.tenant}`,
    [{ seconds: 60 }]
  )
  t.equal((await recover(user, body.code)).status, 422, 'the newer one has replaced it')
  t.equal((await recover(user, short.body.code)).status, 200)
})

t.test('it opens one login, in any spelling, as a recovery does, and clears what TOTP had counted', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id, secret } = await enrolled()
  for (let failure = 0; failure < 5; failure++) await user.call('POST', '/mfa/verify', { code: clock.wrongCode(secret) })
  const { code } = (await actOn(id, 'bypass')).body
  const { status, body } = await recover(user, code.toLowerCase().replaceAll('-', ' '))
  t.equal(status, 200)
  t.match(body, { acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'], remaining: 10 })
  t.same(Object.keys(body).sort(), ['acr', 'amr', 'expiresIn', 'remaining', 'token', 'tokenType'])
  t.match(claimsOf(body.token), { acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'], bypass: true })
  t.match(await user.throttle('totp'), { failures: 0, tries: 0, wait_until: null, recent: [] })
  t.match((await user.events()).at(-1), { action: 'bypass.used', actor: id, subject: id, outcome: 'success', factor_kind: 'bypass' })
  t.equal((await recover(user, code)).status, 422)
  t.match((await user.events()).at(-1), { action: 'recovery.refused', factor_kind: 'bypass', details: { count: 1, cause: 'spent' } })
  t.match((await user.call('GET', '/mfa/status')).body, { decision: { action: 'verify' } }, 'another login is asked')
})

t.test('its token may set up an authenticator, and neither remove nor rename nor renew codes nor administer, however it is ' +
  'carried on', async t => {
  const { admin, actOn } = await administrator(service)
  const other = await administrator(service, ['mfa:admin'], admin.tenant)
  const { id } = await admin.row()
  const sid = admin.token({ sid: 's1' })
  const [factor] = (await admin.call('GET', '/mfa/factors')).body.items
  const { code } = (await other.actOn(id, 'bypass')).body
  const { body: { token } } = await recover(admin, code, sid)
  const renewed = (await admin.call('POST', '/mfa/token', {}, token)).body.token
  const remembered = (await admin.call('POST', '/mfa/token', {}, sid)).body
  t.match(remembered, { acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'] })
  const started = await admin.call('POST', '/mfa/enroll', {}, token)
  t.equal(started.status, 201)
  const confirmed = await admin.call('POST', '/mfa/enroll/confirm', {
    factorId: started.body.factorId,
    code: clock.code(started.body.secret)
  }, remembered.token)
  t.match(confirmed, { status: 200, body: { acr: 'mfa-recovery', amr: ['pwd', 'otp', 'recovery', 'mfa'], recoveryCodes: null } })
  for (const [name, bearer] of Object.entries({ token, renewed, remembered: remembered.token, confirmed: confirmed.body.token })) {
    t.equal(claimsOf(bearer).bypass, true, name)
    const stepUp = { status: 401, body: { code: 'step_up_required', action: 'verify' } }
    t.match(await admin.call('DELETE', `/mfa/factors/${factor.id as string}`, {}, bearer), stepUp, name)
    t.match(await admin.call('PATCH', `/mfa/factors/${factor.id as string}`, { label: 'Mine' }, bearer), stepUp, name)
    t.match(await admin.call('POST', '/mfa/recovery/codes', {}, bearer), stepUp, name)
    t.match(await admin.call('GET', '/admin/policy', undefined, bearer), stepUp, name)
    t.match(await actOn((await other.admin.row()).id, 'reset', {}, bearer), stepUp, name)
  }
  clock.advance(30)
  const young = await admin.verify(started.body.secret)
  t.match(
    await admin.call('GET', '/admin/policy', undefined, young),
    { status: 401, body: { action: 'verify' } },
    'an older factor is asked for, for a day'
  )
  t.equal((await admin.call('DELETE', `/mfa/factors/${factor.id as string}`, {}, young)).status, 200)
  t.match(await admin.call('GET', '/admin/policy', undefined, await admin.verify(started.body.secret)), {
    status: 403,
    body: { code: 'forbidden' }
  })
})

t.test('without any factor it opens a login too, and sets up the first', async t => {
  const { admin, token, actOn, seen } = await administrator(service)
  await admin.call('PUT', '/admin/policy', { enforcement: 'required' }, token)
  const { user, id } = await seen({ accounts: ['local'] })
  const { body } = await recover(user, (await actOn(id, 'bypass')).body.code, user.token({ auth_time: clock.seconds - 5000 }))
  t.match(body, { acr: 'mfa-recovery', remaining: 0 })
  t.match((await user.call('GET', '/mfa/status', undefined, body.token)).body, {
    enrolled: false,
    decision: { action: 'allow', reason: 'mfa_verified' }
  })
  t.match(await user.call('GET', '/admin/policy', undefined, body.token), { status: 403 })
  t.match(await user.call('POST', '/mfa/recovery/codes', {}, body.token), { status: 409, body: { code: 'not_enrolled' } })
  t.equal((await user.enroll(body.token)).recoveryCodes?.length, 10)
})

t.test('a code that is wrong, used, over, replaced, another user\'s or no user\'s is refused in the same bytes', async t => {
  const { actOn, seen, enrolled } = await administrator(service)
  const quiet = await startService(t, { ...service.env, THROTTLE_WAITS: '0' }, clock)
  const on = async (user: User, code: string): Promise<Answer> =>
    await quiet.call('POST', '/mfa/recovery', { token: user.token(), body: { code } })
  const { user, id, recoveryCodes } = await enrolled()
  const neighbour = await seen()
  const theirs = (await actOn(neighbour.id, 'bypass')).body.code
  const replaced = (await actOn(id, 'bypass')).body.code
  const code = (await actOn(id, 'bypass')).body.code
  await on(user, recoveryCodes?.[0] as string)
  const reference = bytesOf(await on(user, generateCode(BYPASS_SLOT)))
  t.match(reference, { status: 422, text: /"detail":"Ask an administrator for a new code\..*"code":"code_refused"/ })
  t.same(bytesOf(await on(user, replaced)), reference, 'replaced')
  t.same(bytesOf(await on(user, theirs)), reference, 'another\'s')
  t.same(bytesOf(await on(user, `${code.slice(0, -1) as string}${code.endsWith('Z') ? 'Y' : 'Z'}`)), reference, 'mistyped')
  const without = quiet.user()
  t.same(bytesOf(await on(without, code)), reference, 'without a bypass')
  await db.rows`UPDATE bypasses SET expires_at = now() WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid`
  t.same(bytesOf(await on(user, code)), reference, 'over')
  await db.rows`UPDATE bypasses SET expires_at = now() + interval '1 minute' WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid`
  t.equal((await on(user, code)).status, 200)
  t.same(bytesOf(await on(user, code)), reference, 'used')
})

t.test('wrong ones cost nothing, whether or not there is one, and stand in the way of none', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id, secret, recoveryCodes } = await enrolled()
  for (let guess = 0; guess < 8; guess++) t.equal((await recover(user, generateCode(BYPASS_SLOT))).status, 422)
  t.match((await user.events()).at(-1), { action: 'recovery.refused', factor_kind: 'bypass', details: { count: 1 } })
  t.match(await user.throttle('totp'), { failures: 0, recent: [] })
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) })).status, 200)
  t.equal((await recover(user, recoveryCodes?.[0] as string)).status, 200)
  const { code } = (await actOn(id, 'bypass')).body
  for (let guess = 0; guess < 8; guess++) t.equal((await recover(user, generateCode(BYPASS_SLOT))).status, 422)
  t.equal((await recover(user, code)).status, 200)
})

t.test('a reset, a sign-out or disabling ends what a bypass earned; a disabled user earns nothing by one', async t => {
  const { actOn, enrolled } = await administrator(service)
  for (const what of ['reset', 'sign-out']) {
    const { user, id } = await enrolled()
    const { body: { token } } = await recover(user, (await actOn(id, 'bypass')).body.code)
    t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 200)
    await actOn(id, what)
    t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 401, what)
  }
  const { user, id } = await enrolled()
  const { code } = (await actOn(id, 'bypass')).body
  await actOn(id, 'reset')
  t.equal((await recover(user, code)).status, 422, 'a reset takes the code too')
  const given = (await actOn(id, 'bypass')).body.code
  await db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${user.tenant} AND id = ${id}::uuid`
  t.equal((await recover(user, given)).status, 403)
})

t.test('of a bypass and its audit row both are written or neither; a pepper that is missing is a 503 and no refusal', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const { code } = (await actOn(id, 'bypass')).body
  const [, pepper] = (service.env.MFA_PEPPERS as string).split(':')
  const other = await startService(t, {
    ...service.env,
    MFA_PEPPERS: `p2:${Buffer.from(pepper as string, 'base64').reverse().toString('base64')}`
  }, clock)
  t.match(await other.call('POST', '/mfa/recovery', { token: user.token(), body: { code } }), { status: 503 })
  t.match((await user.events()).at(-1), { action: 'secret.unreadable', details: { pepperId: 'p1' } })
  t.equal((await recover(user, code)).status, 200)
})

t.test('what has ended is swept away', async t => {
  const { sweep } = await import('../../../src/maintenance/sweep.sql.ts')
  const { actOn, seen } = await administrator(service)
  const { user, id } = await seen()
  await actOn(id, 'bypass')
  const count = async (): Promise<number> => (await db.rows`SELECT 1 FROM bypasses WHERE tenant = ${user.tenant}`).length
  await sweep(db)
  t.equal(await count(), 1)
  await db.rows`UPDATE bypasses SET expires_at = now() WHERE tenant = ${user.tenant}`
  t.ok(await sweep(db) >= 1)
  t.equal(await count(), 0)
})
