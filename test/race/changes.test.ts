// Two processes, one database: changes of one state at the same moment leave it whole.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { isOneOf, type RaceCall, startReplicas, tally } from '../helpers/replica.ts'
import { type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { race } = await startReplicas(t, service)

const state = async (user: User): Promise<{ factors: number, codes: number }> => {
  const [row] = await service.db.rows<{ factors: number, codes: number }>`SELECT
    (SELECT count(*)::int FROM factors WHERE tenant = ${user.tenant}) AS factors,
    (SELECT count(*)::int FROM recovery_codes WHERE tenant = ${user.tenant}) AS codes`
  return row as { factors: number, codes: number }
}

t.test('the last two factors removed at once by one token: one is, and the codes stay with the other', async t => {
  for (let round = 0; round < 3; round++) {
    const user = service.user()
    const first = await user.enroll()
    const second = await user.enroll(first.token)
    const token = await user.verify(first.secret)
    const answers = await race(user, 2, index => ['DELETE', `/mfa/factors/${[first, second][index]?.factorId as string}`, { token }])
    t.equal(answers.filter(({ status }) => status === 200 || status === 204).length, 1, 'the first removal ended the token of the second')
    t.equal(answers.filter(({ status }) => status === 401).length, 1)
    t.same(await state(user), { factors: 1, codes: 10 })
  }
})

t.test('the last factor removed by several at once: it goes once, and the codes with it', async t => {
  const user = service.user()
  const { factorId, token } = await user.enroll()
  const answers = await race(user, 10, () => ['DELETE', `/mfa/factors/${factorId}`, { token }])
  t.ok(isOneOf(answers, 204, 401), JSON.stringify(tally(answers)))
  t.same(await state(user), { factors: 0, codes: 0 })
  t.equal((await user.events()).filter(event => event.action === 'factor.removed').length, 1)
})

t.test('a confirmation beside the removal of the only factor: never a factor without codes, nor codes without a factor', async t => {
  for (let round = 0; round < 3; round++) {
    const user = service.user()
    const first = await user.enroll()
    const { body: pending } = await user.call('POST', '/mfa/enroll', {}, first.token)
    const answers = await race(user, 2, index => index === round % 2
      ? ['POST', '/mfa/enroll/confirm', {
          token: first.token,
          body: { factorId: pending.factorId, code: service.clock.code(pending.secret) }
        }]
      : ['DELETE', `/mfa/factors/${first.factorId}`, { token: first.token }])
    const { factors, codes } = await state(user)
    t.ok(factors === 0 ? codes === 0 : codes === 10, `${factors} factors, ${codes} codes; ${answers.map(({ status }) => status).join()}`)
    t.ok(Object.keys(tally(answers)).every(status => [200, 204, 401, 404, 422].includes(Number(status))), JSON.stringify(tally(answers)))
    t.equal((await user.call('GET', '/mfa/status')).body.enrolled, factors > 0)
  }
})

t.test('new codes beside the removal of the only factor: never codes without a factor', async t => {
  for (let round = 0; round < 3; round++) {
    const user = service.user()
    const { factorId, token } = await user.enroll()
    const answers = await race(
      user,
      4,
      index => index === 3 ? ['DELETE', `/mfa/factors/${factorId}`, { token }] : ['POST', '/mfa/recovery/codes', { token, body: {} }]
    )
    t.same(await state(user), { factors: 0, codes: 0 }, answers.map(({ status }) => status).join())
    t.ok(Object.keys(tally(answers)).every(status => [201, 204, 401, 409, 429].includes(Number(status))), JSON.stringify(tally(answers)))
  }
})

t.test('new codes that wait behind the removal of the only factor are not kept', async t => {
  const user = service.user()
  const { token } = await user.enroll()
  const other = new pg.Client({ connectionString: service.config.DATABASE_URL })
  await other.connect()
  t.teardown(() => other.end())
  // The removal has begun, and is not committed, when the new codes come to be stored.
  const { settle } = service.db
  service.db.settle = async (name, call) => {
    if (name !== 'replace_codes') return await settle(name, call)
    await other.query('BEGIN')
    await other.query('UPDATE users SET epoch = epoch + 1, revision = revision + 1 WHERE tenant = $1', [user.tenant])
    for (const table of ['factors', 'recovery_sets']) await other.query(`DELETE FROM ${table} WHERE tenant = $1`, [user.tenant])
    const settled = settle(name, call)
    await sleep(200)
    await other.query('COMMIT')
    return await settled
  }
  t.teardown(() => { service.db.settle = settle })
  t.match(await user.call('POST', '/mfa/recovery/codes', {}, token), { status: 409, body: { code: 'not_enrolled' } })
  t.same(await state(user), { factors: 0, codes: 0 })
})

t.test('codes and removals beside each other block no one: no call fails by a deadlock', async t => {
  const user = service.user()
  const first = await user.enroll()
  const second = await user.enroll(first.token)
  const token = await user.verify(first.secret)
  const wrong = service.clock.wrongCode(second.secret)
  const mixed = (index: number): RaceCall[] => [
    ['POST', '/mfa/verify', { token: user.token(), body: { code: service.clock.code(second.secret) } }],
    ['POST', '/mfa/recovery', { token: user.token(), body: { code: first.recoveryCodes?.[index % 10] } }],
    ['POST', '/mfa/enroll', { token, body: {} }],
    ['POST', '/mfa/verify', { token: user.token(), body: { code: wrong } }],
    ['DELETE', `/mfa/factors/${first.factorId}`, { token }]
  ]
  const answers = await race(user, 40, index => mixed(index)[index % 5] as RaceCall)
  t.ok(Object.keys(tally(answers)).every(status => Number(status) < 500), JSON.stringify(tally(answers)))
  t.notMatch(service.log.join(''), /40P01|40001/, 'no deadlock, no failed serialization')
  t.same(await state(user), { factors: 1, codes: 10 })
})

t.test('of two changes of one version of the policy one counts, and the other is 412', async t => {
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  for (let round = 0; round < 4; round++) {
    const [from, to] = round % 2 === 0 ? ['optional', 'required'] : ['required', 'optional']
    const answers = await race(
      admin,
      2,
      () => ['PUT', '/admin/policy', { token, body: { enforcement: to }, headers: { 'if-match': `"${round}"` } }]
    )
    t.same(tally(answers), { 200: 1, 412: 1 })
    t.match((await admin.call('GET', '/admin/policy', undefined, token)).body, { enforcement: to, version: round + 1 })
    t.equal((await admin.events()).filter(event => event.action === 'policy.changed').length, round + 1, `from ${from as string} once`)
  }
})
