// A device that is not asked again: who may trust one, what it gives, and what ends it.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import sql from 'sql-template-tag'
import t, { type Test } from 'tap'
import { sweep } from '../../src/maintenance/sweep.sql.ts'
import { administrator } from '../helpers/administrator.ts'
import { age, allowDevices, lifted, login, REMEMBERING, trustDevice, truster, useDevice } from '../helpers/devices.ts'
import { enrollPasskey, PASSKEYS, provePasskey } from '../helpers/passkeys.ts'
import { startReplicas } from '../helpers/replica.ts'
import { type Answer, callTo, claimsOf, startService, type User } from '../helpers/service.ts'
import { aroundSettling } from '../helpers/settling.ts'
import { until } from '../helpers/until.ts'

const APPLICATION = { MFA_APPLICATION_AUDIENCES: 'billing' }
const service = await startService(t, { ...REMEMBERING, ...PASSKEYS, ...APPLICATION })
const { clock, db } = service

const decision = async (user: User, token: string): Promise<string> =>
  (await user.call('GET', '/mfa/status', undefined, token)).body.decision.reason
const ask = (token: string, query = '', url = service): Promise<Answer> => url.call('GET', `/mfa/authorize${query}`, { token })
const seen = ({ status, headers }: Answer): unknown[] =>
  [status, headers.get('x-mfa-acr') ?? headers.get('x-mfa-action'), headers.get('x-mfa-reason')]
const LIFTED = [200, 'mfa-device', 'trusted_device']
const REFUSED = { status: 422, body: { code: 'code_refused', detail: /not trusted/ } }

t.test('a trusted device lifts a new login session, and says that nothing was proved in it', async t => {
  const { user, token: earned, factorId, deviceId, deviceToken, expiresAt } = await truster(service)
  t.match(deviceToken, /^mfad_[A-Za-z0-9_-]{64}$/)
  t.equal(Date.parse(expiresAt) / 1000, claimsOf(earned).auth_time + 30 * 86_400, 'it counts from the proof')
  const first = login(user)
  t.equal(await decision(user, first), 'factor_enrolled')
  const used = await useDevice(user, deviceToken, first)
  t.match(used, { status: 200, body: { tokenType: 'Bearer', acr: 'mfa-device', amr: ['pwd'] } })
  const claims = claimsOf(used.body.token)
  t.match(claims, { acr: 'mfa-device', amr: ['pwd'], fid: factorId, auth_time: claimsOf(earned).auth_time, sid_gen: 0 })
  t.equal(await decision(user, first), 'trusted_device', 'the session is lifted')
  t.equal(await decision(user, used.body.token), 'trusted_device')
  t.equal(await decision(user, login(user)), 'factor_enrolled', 'and no other')
  t.same(seen(await ask(first)), LIFTED)
  t.same(seen(await ask(used.body.token)), LIFTED)

  const renewed = await user.call('POST', '/mfa/token', { audience: 'billing' }, first)
  t.match(renewed, { status: 200, body: { acr: 'mfa-device', amr: ['pwd'] } }, 'an application is told')
  t.match((await useDevice(user, deviceToken, login(user), { audience: 'billing' })).body, { acr: 'mfa-device' })
  t.match((await user.call('GET', '/mfa/devices')).body, {
    items: [{
      id: deviceId,
      name: 'Work laptop',
      factorId,
      createdAt: /Z$/,
      lastUsedAt: /Z$/,
      expiresAt
    }]
  })
  t.same(
    (await user.events()).filter(({ action }) => action.startsWith('device.')).map(({ action, factor_kind: kind, details }) =>
      [action, kind, details.deviceId]
    ),
    [['device.trusted', 'device', deviceId], ['device.used', 'device', deviceId], ['device.used', 'device', deviceId]]
  )
})

t.test('a session in which something was proved is left as it is, and the answer is that of POST /mfa/token', async t => {
  const { user, secret, deviceToken } = await truster(service)
  const first = login(user)
  const real = await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, first)
  t.match((await useDevice(user, deviceToken, first)).body, { acr: 'mfa', amr: ['pwd', 'otp', 'mfa'] })
  t.match((await useDevice(user, 'of no use', real.body.token)).body, { acr: 'mfa' })
  t.equal(await decision(user, first), 'mfa_verified')
  const other = login(user)
  const token = await lifted(user, deviceToken, other)
  clock.advance(30)
  t.match((await useDevice(user, (await trustDevice(user, real.body.token)).deviceToken, other)).body, { acr: 'mfa-device' })
  t.match(
    await db.rows`SELECT count(DISTINCT device_id)::int AS devices FROM mfa_sessions WHERE tenant = ${user.tenant}`,
    [{ devices: 1 }],
    'a lifted one, too'
  )
  t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, other)).status, 200)
  t.equal(await decision(user, other), 'mfa_verified', 'a code takes the place of a device')
  t.match(await user.call('GET', '/mfa/status', undefined, token), { status: 401 }, 'whose token ends with it')
  t.equal((await user.call('DELETE', '/mfa/devices', {})).status, 204)
  t.equal(await decision(user, other), 'mfa_verified', 'and it does not end with the device')
})

t.test('only a factor of the user, proved within 15 minutes, earns a device', async t => {
  const { user, secret, recoveryCodes, deviceToken } = await truster(service)
  const trust = (token: string): Promise<Answer> => user.call('POST', '/mfa/devices', {}, token)
  const STEP_UP = { status: 401, body: { code: 'step_up_required', action: 'verify' } }
  t.match(await trust(login(user)), STEP_UP, 'not a password')
  t.match(await trust(await lifted(user, deviceToken)), STEP_UP, 'not another device')
  const fresh = (await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, login(user))).body.token
  t.equal((await trust(fresh)).status, 201)
  const recovered = await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] }, login(user))
  t.match(await trust(recovered.body.token), STEP_UP, 'not a recovery code')
  const { tenant } = user
  const { actOn } = await administrator(service, ['mfa:admin'], tenant)
  const { body: { code } } = await actOn((await user.row()).id, 'bypass')
  t.match(await trust((await user.call('POST', '/mfa/recovery', { code }, login(user))).body.token), STEP_UP, 'not a code that was given')
  clock.advance(30)
  const session = login(user, { exp: clock.seconds + 7200 })
  await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, session)
  clock.advance(901)
  const old = await user.call('POST', '/mfa/token', {}, session)
  t.match(old, { status: 200 })
  t.match(await trust(old.body.token), STEP_UP, 'not an old proof')
  const passkey = service.user()
  await allowDevices(passkey)
  const { authenticator } = await enrollPasskey(passkey, { token: login(passkey) })
  const proved = await provePasskey(passkey, authenticator, {}, login(passkey))
  t.match(await passkey.call('POST', '/mfa/devices', {}, proved.body.token), { status: 201 }, 'a passkey does')
  const newcomer = service.user()
  await allowDevices(newcomer)
  t.match(await newcomer.call('POST', '/mfa/devices', {}, login(newcomer)), { status: 409, body: { code: 'not_enrolled' } })
})

t.test('it is offered by the policy, to users without a role, in sessions that can be ended', async t => {
  const { user, token, deviceToken } = await truster(service)
  const status = async (who: User): Promise<number> => (await who.call('GET', '/mfa/status')).body.trustedDeviceDays
  t.equal(await status(user), 30)
  const NOT_OFFERED = { status: 409, body: { code: 'not_offered', detail: /cannot trust devices/ } }
  const trust = (who: User, bearer: string): Promise<Answer> => who.call('POST', '/mfa/devices', {}, bearer)

  const nameless = service.user({ tenant: user.tenant })
  t.match(await trust(nameless, (await nameless.enroll()).token), NOT_OFFERED, 'no session is named')
  t.match(await useDevice(user, deviceToken, user.token()), REFUSED, 'nor lifted')

  const { admin, token: adminToken } = await administrator(service, ['mfa:support'], user.tenant)
  t.match(await trust(admin, adminToken), NOT_OFFERED)
  t.equal(await status(admin), 0)

  const session = login(user)
  await lifted(user, deviceToken, session)
  t.same(seen(await ask(session)), LIFTED)
  await allowDevices(user, 0)
  t.match(await trust(user, token), NOT_OFFERED)
  t.equal(await status(user), 0)
  t.match(await useDevice(user, deviceToken), REFUSED)
  t.equal(await decision(user, session), 'factor_enrolled', 'what it lifted ends')
  t.same(seen(await ask(session)), [401, 'verify', null], 'at the gateway, too, at once')
  t.match(await user.call('POST', '/mfa/token', {}, session), { status: 401, body: { code: 'step_up_required' } })
  t.same((await user.call('GET', '/mfa/devices')).body, { items: [] })

  const plain = service.user()
  const enrolled = await plain.enroll(login(plain))
  t.match(await trust(plain, enrolled.token), NOT_OFFERED, 'by default')
})

const DAY = 86_400
const isoAt = (seconds: number): string => new Date(seconds * 1000).toISOString()

t.test('a policy with fewer days counts for devices that are there, and use makes none younger', async t => {
  const made = await truster(service)
  const { user, token, deviceId, deviceToken } = made
  await age(made, 9 * DAY)
  const earnedAt = claimsOf(token).auth_time - 9 * DAY
  const session = login(user)
  t.equal(claimsOf(await lifted(user, deviceToken, session)).auth_time, earnedAt)
  const expiresAt = async (): Promise<string | undefined> => (await user.call('GET', '/mfa/devices')).body.items[0]?.expiresAt
  t.equal(await expiresAt(), isoAt(earnedAt + 30 * DAY))
  const [{ ends }] = await db.rows<{ ends: number }>`
    SELECT extract(epoch FROM ends_at)::int AS ends FROM mfa_sessions WHERE tenant = ${user.tenant} AND device_id = ${deviceId}::uuid` as [
    { ends: number }
  ]
  t.ok(Math.abs(ends - Date.now() / 1000 - 43_200) < 120, 'a session is lifted for as long as after a code')
  await allowDevices(user, 10)
  t.equal(await decision(user, session), 'trusted_device')
  t.equal(await expiresAt(), isoAt(earnedAt + 10 * DAY))
  await allowDevices(user, 8)
  t.match(await useDevice(user, deviceToken), REFUSED)
  t.equal(await decision(user, session), 'factor_enrolled')
  t.equal(await expiresAt(), undefined)
  t.match((await user.events()).filter(({ action }) => action === 'device.refused'), [{ details: { cause: 'expired' } }])
})

t.test('a session is not lifted for longer than the device is trusted', async t => {
  const made = await truster(service, { days: 1 })
  const { user, token, deviceToken } = made
  await age(made, DAY - 600)
  const session = login(user)
  const end = claimsOf(token).auth_time + 600
  t.equal(claimsOf(await lifted(user, deviceToken, session)).exp, end)
  t.match(await db.rows`SELECT ends_at FROM mfa_sessions WHERE tenant = ${user.tenant} AND device_id IS NOT NULL`, [{
    ends_at: new Date(end * 1000)
  }])
  await age(made, DAY + 3600)
  t.match(await useDevice(user, deviceToken), REFUSED)
})

t.test('a sweep takes devices that no policy lets anyone trust any more, and no other', async t => {
  const [old, young] = [await truster(service), await truster(service)]
  await age(old, 31 * DAY)
  await age(young, 29 * DAY)
  t.ok(await sweep(db) >= 1)
  const left = await db.rows`SELECT tenant FROM devices WHERE tenant IN (${old.user.tenant}, ${young.user.tenant})`
  t.same(left, [{ tenant: young.user.tenant }])
})

t.test('a token that does not fit is refused, whatever is wrong with it, and the audit has one event a minute', async t => {
  const { user, deviceToken } = await truster(service)
  const other = await truster(service)
  const beside = await truster(service, { tenant: user.tenant })
  const [head, tail] = [deviceToken.slice(0, 37), deviceToken.slice(37)]
  const flipped = `${head}${tail.startsWith('A') ? 'B' : 'A'}${tail.slice(1)}`
  const wrong: Array<[string, string]> = [
    ['another secret', flipped],
    ['cut off', deviceToken.slice(0, -1)],
    ['longer', `${deviceToken}A`],
    ['without its prefix', deviceToken.slice(5)],
    ['padded', `${deviceToken}=`],
    ['with a space', ` ${deviceToken}`],
    ['of another tenant', other.deviceToken],
    ['of another user', beside.deviceToken],
    ['of none', `mfad_${Buffer.alloc(48, 7).toString('base64url')}`],
    ['nothing', ''],
    ['no base64', `mfad_${'!'.repeat(64)}`],
    ['long', 'x'.repeat(10_000)]
  ]
  const answers = await Promise.all(wrong.map(async ([name, given]) => ({ name, answer: await useDevice(user, given) })))
  for (const { name, answer } of answers) t.match(answer, REFUSED, name)
  const shapes = answers.map(({ answer: { body: { instance, ...body } } }) => JSON.stringify(body))
  t.equal(new Set(shapes).size, 1, 'all are answered the same')
  for (const given of [7, null, {}, ['x']]) {
    t.match(await user.call('POST', '/mfa/devices/use', { deviceToken: given }, login(user)), { status: 400 })
  }
  const events = (await user.events()).filter(({ action }) => action === 'device.refused')
  t.match(events, [{ outcome: 'failure', details: { count: 1, cause: 'unknown' } }])
  t.equal((await user.throttle('totp'))?.failures ?? 0, 0, 'it costs nothing')
  t.match(await useDevice(user, deviceToken), { status: 200 })
})

t.test('what is proved in the session while the device is looked at counts, and the device does not take its place', async t => {
  const { user, secret, deviceToken } = await truster(service)
  const session = login(user)
  clock.advance(30)
  const restore = aroundSettling(db, async send => {
    restore()
    t.equal((await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, session)).status, 200)
    return await send()
  })
  t.match(await useDevice(user, deviceToken, session), { status: 200, body: { acr: 'mfa', amr: ['pwd', 'otp', 'mfa'] } })
})

t.test("the database alone makes no device, and makes none younger or another user's", async t => {
  const { user, factorId, deviceId, deviceToken } = await truster(service)
  const other = await truster(service, { tenant: user.tenant })
  const of = async (id: string): Promise<any> => (await db.rows`SELECT * FROM devices WHERE tenant = ${user.tenant} AND id = ${id}::uuid`)[0]
  const write = async ({ mac, earned_at: earnedAt, factor_id: factor }: any): Promise<unknown> =>
    await db.rows`UPDATE devices SET mac = ${mac}, earned_at = ${earnedAt}, factor_id = ${factor}::uuid
      WHERE tenant = ${user.tenant} AND id = ${deviceId}::uuid`
  const row = await of(deviceId)
  for (const change of [
    { earned_at: new Date(row.earned_at.getTime() - 1000) },
    { factor_id: randomUUID() },
    { mac: Buffer.alloc(32) },
    { mac: Buffer.alloc(0) },
    { mac: (await of(other.deviceId)).mac }
  ]) {
    await write({ ...row, ...change })
    t.match(await useDevice(user, deviceToken), REFUSED, Object.keys(change).join())
  }
  await write(row)
  t.match(await useDevice(user, deviceToken), { status: 200 })

  const session = login(user)
  await lifted(user, deviceToken, session)
  const { sid } = claimsOf(session)
  await db.rows`UPDATE mfa_sessions SET acr = 'mfa' WHERE tenant = ${user.tenant} AND session = ${sid}`
  t.equal(await decision(user, session), 'factor_enrolled', 'nor more of what it lifted')
  t.match(await useDevice(user, deviceToken, session), REFUSED, 'which a device does not replace')
  t.equal((await of(deviceId)).factor_id, factorId)
})

/** Each leaves a user whose device lifts nothing any more; and is done by them or to them. */
const ENDS: Record<string, (t: Test, made: Awaited<ReturnType<typeof truster>>) => Promise<unknown>> = {
  'the removal of a factor': async (_t, { user, token, factorId }) => {
    const { authenticator } = await enrollPasskey(user, { token })
    const proved = await provePasskey(user, authenticator, {}, login(user))
    return await user.call('DELETE', `/mfa/factors/${factorId}`, {}, proved.body.token)
  },
  'a recovery code': async (_t, { user, recoveryCodes }) =>
    await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] }, login(user)),
  'a bypass code': async (_t, { user }) => {
    const { actOn } = await administrator(service, ['mfa:support'], user.tenant)
    const { body: { code } } = await actOn((await user.row()).id, 'bypass')
    return await user.call('POST', '/mfa/recovery', { code }, login(user))
  },
  'a reset': async (_t, { user }) => {
    const { actOn } = await administrator(service, ['mfa:support'], user.tenant)
    return await actOn((await user.row()).id, 'reset')
  },
  'a sign-out by an administrator': async (_t, { user }) => {
    const { actOn } = await administrator(service, ['mfa:support'], user.tenant)
    return await actOn((await user.row()).id, 'sign-out')
  },
  'a sign-out everywhere': async (_t, { user, token }) => await user.call('DELETE', '/mfa/sessions', {}, token),
  'its own removal': async (_t, { user, deviceId }) => await user.call('DELETE', `/mfa/devices/${deviceId}`, {}, login(user)),
  'the removal of all': async (_t, { user }) => await user.call('DELETE', '/mfa/devices', {}, login(user)),
  "an administrator's removal": async (_t, { user, deviceId }) => {
    const { admin, token } = await administrator(service, ['mfa:support'], user.tenant)
    return await admin.call('DELETE', `/admin/users/${(await user.row()).id}/devices/${deviceId}`, { reason: 'Stolen' }, token)
  },
  "an administrator's removal of all": async (_t, { user }) => {
    const { admin, token } = await administrator(service, ['mfa:support'], user.tenant)
    return await admin.call('DELETE', `/admin/users/${(await user.row()).id}/devices`, { reason: 'Stolen' }, token)
  },
  'an application that says they have left and come back': async (_t, { user }) => {
    const { admin, token } = await administrator(service, ['mfa:admin', 'mfa:sync'], user.tenant)
    const sync = async (disabled: boolean): Promise<Answer> =>
      await admin.call('PUT', '/admin/users', { users: [{ subject: user.sub, namespace: 'https://id.test', disabled }] }, token)
    await sync(true)
    return await sync(false)
  },
  'a role that they are seen with': async (_t, { user }) =>
    await user.call('GET', '/mfa/status', undefined, login(user, { roles: ['mfa:auditor'] }))
}

t.test('what ends a device ends what it lifted, on every replica within a second', { timeout: 120_000 }, async t => {
  const { urls: [, url], syncClocks } = await startReplicas(t, service)
  const replica = callTo(url as string)
  const elsewhere = (token: string): Promise<Answer> => replica('GET', '/mfa/authorize', { token })
  for (const [name, end] of Object.entries(ENDS)) {
    const made = await truster(service)
    const { user, deviceToken } = made
    const session = login(user)
    const token = await lifted(user, deviceToken, session)
    await syncClocks()
    t.same(seen(await elsewhere(session)), LIFTED, name)
    t.same(seen(await elsewhere(token)), LIFTED)
    const { status, text } = await end(t, made) as Answer
    t.ok(status < 300, `${name}: ${text}`)
    const at = performance.now()
    await until(async () => (await elsewhere(token)).status === 401 && seen(await elsewhere(session))[2] !== 'trusted_device')
    t.ok(performance.now() - at < 5000, `${name}: ${Math.round(performance.now() - at)} ms`)
    t.match(await useDevice(user, deviceToken, login(user)), { status: 422 }, name)
    t.match(await replica('POST', '/mfa/devices/use', { token: session, body: { deviceToken } }), { status: 422 }, name)
    t.same((await user.call('GET', '/mfa/devices')).body.items, [], name)
  }
})

t.test('a policy that wants passkeys ends what a device lifted, and lets no one trust another', async t => {
  const { user, token, deviceToken } = await truster(service)
  const session = login(user)
  await lifted(user, deviceToken, session)
  await db.settle(
    'put_policy',
    sql`${user.tenant}, NULL::int, ${{ enforcement: 'required', phishingResistant: 'required' }}::jsonb, 'test',
      '{"actor": "operator"}'::jsonb`
  )
  t.equal(await decision(user, session), 'phishing_resistant_required')
  t.same(seen(await ask(session)), [403, 'enroll', null])
  t.match(await user.call('POST', '/mfa/token', {}, session), { status: 401 })
  t.match(await useDevice(user, deviceToken), REFUSED)
  t.match(await user.call('POST', '/mfa/devices', {}, token), { status: 409, body: { code: 'not_offered' } })
})

t.test('adding a factor ends nothing, and a user who was erased leaves no device', async t => {
  const { user, token, deviceToken } = await truster(service)
  await enrollPasskey(user, { token })
  t.match(await useDevice(user, deviceToken), { status: 200 })
  const { actOn } = await administrator(service, ['mfa:admin'], user.tenant)
  t.equal((await actOn((await user.row()).id, 'erase')).status, 204)
  t.same(await db.rows`SELECT 1 FROM devices WHERE tenant = ${user.tenant}`, [])
})

t.test('the newest ten stay, each has a name of its own or none, and what a device that made room had lifted ends', async t => {
  const { user, token, deviceId, deviceToken } = await truster(service)
  const session = login(user)
  await lifted(user, deviceToken, session)
  const trusted = []
  for (let n = 1; n <= 10; n++) trusted.push(await trustDevice(user, token))
  t.match(await useDevice(user, deviceToken), REFUSED)
  t.equal(await decision(user, session), 'factor_enrolled')
  const { body: { items } } = await user.call('GET', '/mfa/devices')
  t.same(items.map(({ id }: { id: string }) => id), trusted.map(({ deviceId }) => deviceId).reverse())
  t.match(items[0], { name: null, lastUsedAt: null })
  t.match((await user.events()).filter(({ action }) => action === 'device.removed'), [{ details: { deviceId, cause: 'newer' } }])
  t.match(await user.call('POST', '/mfa/devices', { name: ' x' }, token), { status: 400 })
  t.match(await user.call('POST', '/mfa/devices', { name: 'x'.repeat(65) }, token), { status: 400 })
  t.match(await user.call('DELETE', `/mfa/devices/${deviceId}`, {}), { status: 404, body: { code: 'not_found' } })
  t.match((await service.user({ tenant: user.tenant }).call('DELETE', `/mfa/devices/${items[0].id as string}`, {})), { status: 404 }, "another's")
  t.equal((await user.call('DELETE', '/mfa/devices', {})).status, 204)
  t.equal((await user.call('DELETE', '/mfa/devices', {})).status, 204, 'and once more')
  t.equal((await user.events()).filter(({ action }) => action === 'device.removed').length, 11)
})

t.test('administrators see the devices of a user and end them, with a reason', async t => {
  const made = await truster(service)
  const { user, token: earned, deviceId } = made
  const other = await trustDevice(user, earned)
  const { admin, token } = await administrator(service, ['mfa:support'], user.tenant)
  const path = `/admin/users/${(await user.row()).id}`
  t.match((await admin.call('GET', path, undefined, token)).body.devices, [
    { id: other.deviceId, name: null },
    { id: deviceId, name: 'Work laptop' }
  ])
  t.match(await admin.call('DELETE', `${path}/devices/${deviceId}`, {}, token), { status: 400, body: { errors: [{ field: 'reason' }] } })
  t.match(await admin.call('DELETE', `${path}/devices/${randomUUID()}`, { reason: 'x' }, token), { status: 404 })
  t.equal((await admin.call('DELETE', `${path}/devices/${deviceId.toUpperCase()}`, { reason: 'Stolen' }, token)).status, 204)
  t.match((await user.events()).at(-1), {
    action: 'device.removed',
    actor: (await admin.row()).id,
    subject: (await user.row()).id,
    details: { deviceId, name: 'Work laptop', reason: 'Stolen' }
  })
  t.equal((await admin.call('DELETE', `${path}/devices`, { reason: 'Stolen' }, token)).status, 204)
  t.equal((await admin.call('DELETE', `${path}/devices`, { reason: 'Stolen' }, token)).status, 204, 'also of none')
  t.same((await admin.call('GET', path, undefined, token)).body.devices, [])
})

t.test('the lines of the docs keep a device in a cookie, and pass by it', async t => {
  const page = readFileSync('docs/trusted-devices.md', 'utf8')
  const snippet = /<!-- keep -->\n```js\n([\s\S]*?)```/.exec(page)?.[1] as string
  process.env.MFA_URL = service.url
  const { trustDevice: trust, passByDevice: pass } = await import(
    pathToFileURL(join(t.testdir({ 'keep.mjs': snippet }), 'keep.mjs')).href
  ) as { trustDevice: (asked: object) => Promise<string | undefined>, passByDevice: (asked: object) => Promise<string | null> }
  const { user, token: mfaToken } = await truster(service)
  const userId = (await user.row()).id
  const cookie = await trust({ userId, mfaToken, name: 'Work laptop' }) as string
  t.match(cookie, /^__Host-mfa-device-[0-9a-f-]{36}=mfad_[\w-]{64}; Path=\/; Expires=.* GMT; HttpOnly; Secure; SameSite=Strict$/)
  const [name, value] = (cookie.split(';')[0] as string).split('=') as [string, string]
  t.equal(claimsOf(await pass({ userId, accessToken: login(user), cookies: { [name]: value } }) as string).acr, 'mfa-device')
  t.equal(await pass({ userId, accessToken: login(user), cookies: {} }), null)
  t.equal(await pass({ userId, accessToken: login(user), cookies: { [name]: `${value}x` } }), null)
  t.equal(await trust({ userId, mfaToken: login(user), name: 'Work laptop' }), undefined)
})
