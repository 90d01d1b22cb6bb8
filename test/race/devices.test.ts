// A device's use beside what ends it: whichever comes first, no session stays that an ended device has lifted.
import t from 'tap'
import { allowDevices, lifted, login, REMEMBERING, trustDevice, truster, useDevice } from '../helpers/devices.ts'
import { startReplicas, tally } from '../helpers/replica.ts'
import { type Answer, startService, type User } from '../helpers/service.ts'

const service = await startService(t, REMEMBERING)
const { race, syncClocks, urls } = await startReplicas(t, service)
const { clock, db } = service

const liftedSessions = (user: User): Promise<unknown[]> =>
  db.rows`SELECT 1 FROM mfa_sessions WHERE tenant = ${user.tenant} AND acr = 'mfa-device'`

/** As calls are answered that a busy machine has time for. */
const areOnly = (answers: Answer[], ...statuses: number[]): boolean =>
  Object.keys(tally(answers)).every(status => statuses.includes(Number(status)))

/** What was answered with a token stands for nothing any more, and its session neither. */
async function isOver (user: User, sessions: string[]): Promise<void> {
  t.same(await liftedSessions(user), [])
  for (const session of sessions) {
    const { body } = await user.call('GET', '/mfa/status', undefined, session)
    t.equal(body.decision.reason, 'factor_enrolled')
  }
}

t.test('of 60 uses beside its removal none leaves a session that the device lifts', { timeout: 120_000 }, async t => {
  let before = 0
  for (let round = 0; round < 3; round++) {
    const { user, deviceId, deviceToken } = await truster(service)
    const sessions = Array.from({ length: 60 }, () => login(user))
    const answers = await race(user, 61, index => index === 20
      ? ['DELETE', `/mfa/devices/${deviceId}`, { token: login(user), body: {} }]
      : ['POST', '/mfa/devices/use', { token: sessions[index % 60] as string, body: { deviceToken } }])
    t.ok(areOnly(answers, 200, 204, 422), JSON.stringify(tally(answers)))
    if (answers[20]?.status === 503) continue
    t.equal(answers[20]?.status, 204)
    before += answers.filter(({ status }) => status === 200).length
    await isOver(user, sessions.slice(0, 5))
    for (const { body } of answers.filter(({ status }) => status === 200).slice(0, 5)) {
      t.equal((await user.call('GET', '/mfa/status', undefined, body.token)).status, 401, 'nor a token')
    }
  }
  t.ok(before > 0, 'some came before it')
})

t.test('beside a recovery code, too, and the session of the code stays', { timeout: 120_000 }, async t => {
  for (let round = 0; round < 3; round++) {
    const { user, deviceToken, recoveryCodes } = await truster(service)
    const sessions = Array.from({ length: 20 }, () => login(user))
    const own = sessions[0] as string
    await lifted(user, deviceToken, own)
    const answers = await race(user, 21, index => index === 7
      ? ['POST', '/mfa/recovery', { token: own, body: { code: recoveryCodes?.[0] } }]
      : ['POST', '/mfa/devices/use', { token: sessions[index % 20] as string, body: { deviceToken } }])
    const recovered = answers[7] as Answer
    if (recovered.status === 503) continue
    t.equal(recovered.status, 200, recovered.text)
    t.ok(areOnly(answers, 200, 422), JSON.stringify(tally(answers)))
    t.same(await liftedSessions(user), [])
    t.match((await user.call('POST', '/mfa/token', {}, own)).body, { acr: 'mfa-recovery' })
    t.equal((await user.call('GET', '/mfa/status', undefined, recovered.body.token)).status, 200)
    t.match(await useDevice(user, deviceToken), { status: 422 })
  }
})

t.test('a code beside uses in the same session: it is the code that counts afterwards', { timeout: 120_000 }, async t => {
  for (let round = 0; round < 5; round++) {
    const { user, secret, deviceToken } = await truster(service)
    const session = login(user)
    const code = clock.code(secret)
    const answers = await race(user, 10, index => index === 4
      ? ['POST', '/mfa/verify', { token: session, body: { code } }]
      : ['POST', '/mfa/devices/use', { token: session, body: { deviceToken } }])
    t.ok(areOnly(answers, 200), JSON.stringify(tally(answers)))
    if (answers[4]?.status === 503) continue
    t.match((await user.call('POST', '/mfa/token', {}, session)).body, { acr: 'mfa' })
    t.equal((await user.call('GET', '/mfa/status', undefined, answers[4]?.body.token)).status, 200, 'its token is alive')
    await user.call('DELETE', '/mfa/devices', {})
    t.match((await user.call('POST', '/mfa/token', {}, session)).body, { acr: 'mfa' }, 'with or without the device')
    clock.advance(30)
  }
})

t.test('codes in lifted sessions beside the removal of the device: nothing deadlocks, and it is the codes that count', async t => {
  for (let round = 0; round < 5; round++) {
    const { user, secret, deviceId, deviceToken } = await truster(service)
    const session = login(user)
    await lifted(user, deviceToken, session)
    const code = clock.code(secret)
    const answers = await race(user, 3, index => index === 1
      ? ['DELETE', `/mfa/devices/${deviceId}`, { token: session, body: {} }]
      : ['POST', '/mfa/verify', { token: session, body: { code } }])
    t.same(answers.map(({ status }) => status).sort(), [200, 204, 422], JSON.stringify(tally(answers)))
    t.match((await user.call('POST', '/mfa/token', {}, session)).body, { acr: 'mfa' })
    const { body: { token } } = answers.find(({ status }) => status === 200) as Answer
    t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 200)
    clock.advance(30)
  }
})

t.test('of 25 devices at once ten stay, and those are listed', { timeout: 120_000 }, async t => {
  const user = service.user()
  await allowDevices(user)
  const { token } = await user.enroll(login(user))
  const answers = await race(user, 25, index => ['POST', '/mfa/devices', { token, body: { name: `Device ${index}` } }])
  t.same(tally(answers), { 201: 25 })
  const { body: { items } } = await user.call('GET', '/mfa/devices')
  t.equal(items.length, 10)
  const good = await Promise.all(answers.map(async ({ body }) => (await useDevice(user, body.deviceToken)).status === 200))
  t.same(
    answers.filter((_answer, index) => good[index]).map(({ body }) => body.deviceId).sort(),
    items.map(({ id }: { id: string }) => id).sort()
  )
  t.equal((await user.events()).filter(({ action }) => action === 'device.removed').length, 15)
})

t.test('a device beside a sign-out is trusted after it or not at all', { timeout: 120_000 }, async t => {
  for (let round = 0; round < 5; round++) {
    const { user, token } = await truster(service)
    const answers = await race(user, 9, index => index === 3
      ? ['DELETE', '/mfa/sessions', { token, body: {} }]
      : ['POST', '/mfa/devices', { token, body: {} }])
    t.equal(answers[3]?.status, 204)
    t.ok(areOnly(answers, 201, 204, 401), JSON.stringify(tally(answers)))
    for (const { body } of answers.filter(({ status }) => status === 201)) {
      t.match(await useDevice(user, body.deviceToken), { status: 422 })
    }
    t.same((await user.call('GET', '/mfa/devices')).body.items, [])
  }
})

t.test('beside erasures and removals nothing deadlocks, and nothing is left of who is gone', { timeout: 120_000 }, async t => {
  for (let round = 0; round < 15; round++) {
    const { user, token, deviceId, deviceToken } = await truster(service)
    const more = await trustDevice(user, token)
    const { id } = await user.row()
    await syncClocks()
    const sessions = Array.from({ length: 4 }, () => login(user))
    await lifted(user, deviceToken, sessions[0])
    const tombstone = { hash: `h${round}${user.tenant}`, pepperId: 'p1', hashes: [], at: new Date() }
    const send = (index: number, method: string, path: string, bearer: string, body: object): Promise<Response> =>
      fetch(`${urls[index % 2] as string}${path}`, {
        method,
        headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
        body: JSON.stringify(body)
      })
    const [erased, ...answers] = await Promise.all([
      db.rows`SELECT erase_user(${user.tenant}, ${id}::uuid, 'x', ${tombstone}::jsonb, '{"actor": "operator"}') AS result`,
      ...sessions.flatMap((session, index) => [
        send(index, 'POST', '/mfa/devices/use', session, { deviceToken }),
        send(index + 1, 'POST', '/mfa/devices/use', session, { deviceToken: more.deviceToken })
      ]),
      send(1, 'DELETE', `/mfa/devices/${deviceId}`, login(user), {}),
      send(0, 'DELETE', '/mfa/devices', login(user), {})
    ])
    t.match(erased, [{ result: { outcome: 'erased' } }])
    t.ok(answers.every(({ status }) => status < 500), answers.map(({ status }) => status).join())
    t.same(
      await db.rows`SELECT 1 FROM devices WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid UNION ALL SELECT 1 FROM mfa_sessions
        WHERE tenant = ${user.tenant} AND user_id = ${id}::uuid`,
      []
    )
  }
})
