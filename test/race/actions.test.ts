// Two processes, one database: what administrators do to one user at the same moment, and what the user does meanwhile, leaves them
// whole, and each action that was done has one row in the audit.
import t from 'tap'
import { administrator } from '../helpers/administrator.ts'
import { isOneOf, type RaceCall, startReplicas, tally } from '../helpers/replica.ts'
import { type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t, { JWT_SESSION_CLAIM: 'sid', THROTTLE_WAITS: '0' })
const { race, syncClocks } = await startReplicas(t, service)
const { clock, db } = service

const REASON = { reason: 'Ticket 4711' }
const rowsOf = async ({ tenant }: User, action: string): Promise<number> =>
  (await db.rows`SELECT 1 FROM audit_events WHERE tenant = ${tenant} AND action = ${action} AND outcome = 'success'`).length
const done = (answers: Array<{ status: number }>): number => answers.filter(({ status }) => status < 300).length

/** All rows by which a user could prove a second factor. */
const belongings = async ({ tenant }: User, id: string): Promise<number> =>
  (await db.rows`SELECT 1 FROM factors WHERE tenant = ${tenant} AND user_id = ${id}::uuid
    UNION ALL SELECT 1 FROM enrollments WHERE tenant = ${tenant} AND user_id = ${id}::uuid
    UNION ALL SELECT 1 FROM recovery_codes WHERE tenant = ${tenant} AND user_id = ${id}::uuid
    UNION ALL SELECT 1 FROM recovery_sets WHERE tenant = ${tenant} AND user_id = ${id}::uuid
    UNION ALL SELECT 1 FROM bypasses WHERE tenant = ${tenant} AND user_id = ${id}::uuid
    UNION ALL SELECT 1 FROM mfa_sessions WHERE tenant = ${tenant} AND user_id = ${id}::uuid`).length

t.test('of parallel resets one takes what there is, and the others find nothing', async t => {
  const { token, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const { epoch } = await user.row()
  const answers = await race(user, 8, () => ['POST', `/admin/users/${id}/reset`, { token, body: REASON }])
  t.ok(isOneOf(answers, 204, 409), JSON.stringify(tally(answers)))
  t.equal((await user.row()).epoch, epoch + 1)
  t.equal(await rowsOf(user, 'user.reset'), 1)
})

t.test('of parallel erasures one erases the user, and the others find none', async t => {
  const { token, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const answers = await race(user, 8, () => ['POST', `/admin/users/${id}/erase`, { token, body: REASON }])
  t.ok(isOneOf(answers, 204, 404), JSON.stringify(tally(answers)))
  t.equal(await belongings(user, id), 0)
  t.equal(await rowsOf(user, 'user.erased'), 1)
  t.equal((await db.rows`SELECT 1 FROM tombstones WHERE tenant = ${user.tenant}`).length, 1)
})

t.test('parallel unlocks and sign-outs are each done, and each in the audit', async t => {
  const { token, enrolled } = await administrator(service)
  const { user, id, secret } = await enrolled()
  await user.call('POST', '/mfa/verify', { code: clock.wrongCode(secret) })
  const { epoch } = await user.row()
  const answers = await race(
    user,
    8,
    index => ['POST', `/admin/users/${id}/${index % 4 < 2 ? 'unlock' : 'sign-out'}`, { token, body: REASON }]
  )
  t.same(tally(answers), { 204: done(answers) })
  const [unlocked, out] = [await rowsOf(user, 'user.unlocked'), await rowsOf(user, 'user.signed_out')]
  t.equal(unlocked + out, done(answers))
  t.equal((await user.row()).epoch, epoch + out)
  t.match(await user.throttle('totp'), { failures: 0, recent: [] })
})

t.test('of bypasses that are made at once one opens a login', async t => {
  const { token, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const answers = await race(user, 6, () => ['POST', `/admin/users/${id}/bypass`, { token, body: REASON }])
  t.same(tally(answers), { 201: done(answers) })
  t.equal(await rowsOf(user, 'bypass.issued'), done(answers))
  const statuses = []
  for (const { body } of answers.filter(({ status }) => status === 201)) {
    statuses.push((await user.call('POST', '/mfa/recovery', { code: body.code })).status)
  }
  t.same(
    [statuses.filter(status => status === 200).length, statuses.filter(status => status === 422).length],
    [1, statuses.length - 1],
    statuses.join()
  )
})

t.test('of 20 parallel uses of one bypass one succeeds', async t => {
  const { actOn, enrolled } = await administrator(service)
  const { user, id } = await enrolled()
  const { code } = (await actOn(id, 'bypass')).body
  const answers = await race(user, 20, index => ['POST', '/mfa/recovery', { token: user.token({ sid: `login-${index}` }), body: { code } }])
  t.ok(isOneOf(answers, 200, 422), JSON.stringify(tally(answers)))
  t.equal(await rowsOf(user, 'bypass.used'), 1)
})

t.test('a reset beside logins: a user who was let in before it is out after it, and nothing is remembered', async t => {
  for (let round = 0; round < 3; round++) {
    const { token, enrolled, actOn } = await administrator(service)
    const { user, id, secret, recoveryCodes } = await enrolled()
    const { code } = (await actOn(id, 'bypass')).body
    const calls: RaceCall[] = [
      ['POST', '/mfa/verify', { token: user.token({ sid: 'a' }), body: { code: clock.code(secret) } }],
      ['POST', '/mfa/recovery', { token: user.token({ sid: 'b' }), body: { code: recoveryCodes?.[0] } }],
      ['POST', '/mfa/recovery', { token: user.token({ sid: 'c' }), body: { code } }],
      ['POST', `/admin/users/${id}/reset`, { token, body: REASON }]
    ]
    const answers = await race(user, 4, index => calls[(index + round) % 4] as RaceCall)
    t.ok(Object.keys(tally(answers)).every(status => [200, 204, 409, 422].includes(Number(status))), JSON.stringify(tally(answers)))
    t.equal(await rowsOf(user, 'user.reset'), 1)
    t.equal(await belongings(user, id), 0)
    for (const { body } of answers) {
      if (body?.token !== undefined) t.equal((await user.call('GET', '/mfa/status', undefined, body.token)).status, 401)
    }
    t.match((await user.call('GET', '/mfa/status', undefined, user.token({ sid: 'a' }))).body, { enrolled: false, recoveryCodes: null })
  }
})

t.test('an erasure, or a reset, beside the confirmation of a factor: the one that comes after finds nothing to confirm, or ' +
  'takes it', async t => {
  for (const what of ['erase', 'reset', 'erase', 'reset'] as const) {
    const { token, seen } = await administrator(service)
    const { user, id } = await seen({ sid: 's' })
    const { body: pending } = await user.call('POST', '/mfa/enroll')
    const answers = await race(user, 2, index => index === 0
      ? ['POST', '/mfa/enroll/confirm', { token: user.token(), body: { factorId: pending.factorId, code: clock.code(pending.secret) } }]
      : ['POST', `/admin/users/${id}/${what}`, { token, body: REASON }])
    const [confirmed, ended] = answers as [typeof answers[0], typeof answers[0]]
    t.equal(ended?.status, 204, what)
    // If the user is erased between, rows are missed that must be there.
    t.ok(
      [200, 401, 404, 422, ...(what === 'erase' ? [503] : [])].includes(confirmed?.status as number),
      `${what}: ${confirmed?.text as string}`
    )
    t.equal(await belongings(user, id), 0, `${what} beside ${confirmed?.status as number}`)
    if (confirmed?.status === 200) t.equal((await user.call('GET', '/mfa/status', undefined, confirmed.body.token)).status, 401)
    t.equal(await rowsOf(user, what === 'erase' ? 'user.erased' : 'user.reset'), 1)
    clock.advance(30)
    await syncClocks()
  }
})

t.test('everything at once: no call fails by a deadlock, and the audit has what was done', async t => {
  const { token, enrolled, actOn } = await administrator(service)
  const { user, id, secret, recoveryCodes } = await enrolled()
  const { code } = (await actOn(id, 'bypass')).body
  const on = (what: string): RaceCall => ['POST', `/admin/users/${id}/${what}`, { token, body: REASON }]
  const calls: RaceCall[] = [
    on('unlock'), on('sign-out'), on('bypass'), on('reset'), on('unlock'), on('sign-out'),
    ['POST', '/mfa/verify', { token: user.token(), body: { code: clock.code(secret) } }],
    ['POST', '/mfa/verify', { token: user.token(), body: { code: clock.wrongCode(secret) } }],
    ['POST', '/mfa/recovery', { token: user.token(), body: { code: recoveryCodes?.[0] } }],
    ['POST', '/mfa/recovery', { token: user.token(), body: { code } }],
    on('erase'), on('reset')
  ]
  const answers = await race(user, calls.length, index => calls[index] as RaceCall)
  // But for those that waited for too long on a busy machine: a deadlock would be in the log of one of the two.
  t.ok(
    Object.keys(tally(answers)).every(status => [200, 201, 204, 401, 404, 409, 422].includes(Number(status))),
    answers.map(({ status }) => status).join()
  )
  t.notOk(service.log.some(line => line.includes('40P01')))
  const actions = { unlock: 'user.unlocked', 'sign-out': 'user.signed_out', reset: 'user.reset', erase: 'user.erased' }
  for (const [what, action] of Object.entries(actions)) {
    t.equal(
      await rowsOf(user, action),
      done(answers.filter((_, index) => calls[index]?.[1].endsWith(`/${what}`))),
      what
    )
  }
  t.equal(await belongings(user, id), 0)
})
