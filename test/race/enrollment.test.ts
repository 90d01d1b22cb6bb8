// Two processes, one database: what is set up at the same moment is set up once, and whole.
import t from 'tap'
import { isOneOf, startReplicas, tally } from '../helpers/replica.ts'
import { type User } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const service = await useService(t)
const { race, bcryptRuns } = await startReplicas(t, service)
const { race: raceAlone } = await startReplicas(t, service, 0)

const count = async (user: User, table: 'factors' | 'enrollments' | 'recovery_codes'): Promise<number> => {
  const rows = table === 'factors'
    ? await service.db.rows`SELECT 1 AS one FROM factors WHERE tenant = ${user.tenant}`
    : table === 'enrollments'
      ? await service.db.rows`SELECT 1 AS one FROM enrollments WHERE tenant = ${user.tenant}`
      : await service.db.rows`SELECT 1 AS one FROM recovery_codes WHERE tenant = ${user.tenant} AND used_at IS NULL`
  return rows.length
}

t.test('of 50 parallel confirmations over two replicas one succeeds, with the one set of codes that counts', async t => {
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const code = service.clock.code(secret)
  const before = await bcryptRuns()
  const answers = await race(user, 50, () => ['POST', '/mfa/enroll/confirm', { token: user.token(), body: { factorId, code } }])
  const winners = answers.filter(({ status }) => status === 200)
  // A loser that came when all was over finds no pending factor any more.
  t.ok(isOneOf(answers, 200, 404, 422), JSON.stringify(tally(answers)))
  t.equal(await count(user, 'factors'), 1)
  t.equal(await count(user, 'enrollments'), 0)
  t.equal(await count(user, 'recovery_codes'), 10)
  t.equal((await user.throttle('totp')).failures, 0)
  t.ok((await bcryptRuns()).hashes - before.hashes <= 10, 'the claim lets one request hash')
  for (const shown of winners[0]?.body.recoveryCodes as string[]) {
    t.equal((await user.call('POST', '/mfa/recovery', { code: shown })).status, 200)
  }
})

t.test('of 20 parallel starts one stays, and only its secret becomes active', async t => {
  const user = service.user()
  await user.call('GET', '/mfa/status')
  const answers = await race(user, 20, () => ['POST', '/mfa/enroll', { token: user.token(), body: {} }])
  t.same(Object.keys(tally(answers)), ['201'])
  const rows = await service.db.rows<{ factor_id: string }>`SELECT factor_id::text FROM enrollments WHERE tenant = ${user.tenant}`
  t.equal(rows.length, 1)
  for (
    const { body: { factorId, secret } } of answers.filter(({ status, body }) => status === 201 && body.factorId !== rows[0]?.factor_id)
  ) {
    t.equal((await user.call('POST', '/mfa/enroll/confirm', { factorId, code: service.clock.code(secret) })).status, 404)
  }
  const survivor = answers.find(({ body }) => body.factorId === rows[0]?.factor_id)?.body
  // A busy machine may have answered 503 before it knew that the last one was stored: no one has its secret then.
  if (survivor === undefined) return t.ok(answers.some(({ status }) => status === 503))
  t.equal(
    (await user.call('POST', '/mfa/enroll/confirm', { factorId: survivor.factorId, code: service.clock.code(survivor.secret) })).status,
    200
  )
})

t.test('of 30 parallel starts twenty are let through, and the others wait', async t => {
  const user = service.user()
  await user.call('GET', '/mfa/status')
  const answers = await race(user, 30, () => ['POST', '/mfa/enroll', { token: user.token(), body: {} }])
  t.ok((tally(answers)[201] as number) <= 20, JSON.stringify(tally(answers)))
  t.same(Object.keys(tally(answers)), ['201', '429'])
  t.equal(await count(user, 'enrollments'), 1)
  t.equal((await user.throttle('enroll')).recent.length, 20)
})

t.test('of parallel renewals of the recovery codes over two replicas those that are made are made whole, and every set but the ' +
  'last is dead', async t => {
  const user = service.user()
  const { token, recoveryCodes } = await user.enroll()
  const answers = await race(user, 6, () => ['POST', '/mfa/recovery/codes', { token, body: {} }])
  const made = answers.filter(({ status }) => status === 201)
  t.ok(
    made.length >= 1 && Object.keys(tally(answers)).every(status => status === '201' || status === '429'),
    JSON.stringify(tally(answers))
  )
  t.equal(await count(user, 'recovery_codes'), 10)
  t.equal((await user.events()).filter(event => event.action === 'recovery.regenerated').length, made.length)
  const sets = [recoveryCodes as string[], ...made.map(({ body }) => body.recoveryCodes as string[])]
  const current = await currentSet(user, sets)
  t.ok(current >= 1, 'a new one')
  for (const code of (sets[current] as string[]).slice(1)) t.equal((await user.call('POST', '/mfa/recovery', { code })).status, 200)
})

/** Tries the first code of each set: exactly one set is alive. Its index. */
async function currentSet (user: User, sets: string[][]): Promise<number> {
  const statuses: number[] = []
  for (const [code] of sets) {
    statuses.push((await user.call('POST', '/mfa/recovery', { code })).status)
  }
  const alive = statuses.flatMap((status, index) => status === 200 ? [index] : [])
  if (alive.length !== 1) throw new Error(`sets that are alive: ${alive.join()}; ${statuses.join()}`)
  return alive[0] as number
}

t.test('of a label taken by two at once, one gets it', async t => {
  for (const run of [race, race, raceAlone]) {
    const user = service.user()
    const first = await user.enroll()
    const second = await user.enroll(first.token)
    const answers = await run(
      user,
      2,
      index => ['PATCH', `/mfa/factors/${[first, second][index]?.factorId as string}`, { token: second.token, body: { label: 'Phone' } }]
    )
    t.same(tally(answers), { 200: 1, 409: 1 })
    t.equal(answers.find(({ status }) => status === 409)?.body.code, 'label_taken')
    const { body: { items } } = await user.call('GET', '/mfa/factors')
    t.equal(items.filter(({ label }: { label: string }) => label === 'Phone').length, 1)
  }
})

t.test('a confirmation and a renaming that want one label at once: one gets it, and both calls are answered', async t => {
  for (let round = 0; round < 2; round++) {
    const user = service.user()
    const first = await user.enroll()
    const { body: pending } = await user.call('POST', '/mfa/enroll', { label: 'Phone' }, first.token)
    const answers = await race(user, 2, index => index === 0
      ? ['POST', '/mfa/enroll/confirm', {
          token: first.token,
          body: { factorId: pending.factorId, code: service.clock.code(pending.secret) }
        }]
      : ['PATCH', `/mfa/factors/${first.factorId}`, { token: first.token, body: { label: 'Phone' } }])
    t.same(tally(answers), { 200: 1, 409: 1 })
  }
})
