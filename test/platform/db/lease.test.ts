// What one replica alone does goes on in its hands for as long as it lives, and in another's soon after.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect, type Database } from '../../../src/platform/db/client.ts'
import { Lease, takeLease } from '../../../src/platform/db/lease.ts'
import { startRounds } from '../../../src/platform/rounds.ts'
import { databaseUrl } from '../../helpers/database.ts'
import { until } from '../../helpers/until.ts'

const db = connect(databaseUrl(), 4)
t.teardown(() => db.close())
t.jobs = 5

const ignore = (): void => {}
/** Longer than a lease lasts that is not asked for again. */
const LONGER_MS = 6500

t.test('a round that takes longer than the lease lasts does not lose it, and holds up no other work', { buffered: true }, async t => {
  const name = randomUUID()
  const lease = new Lease(db, name, ignore, 20)
  let [others, release] = [0, ignore]
  lease.every(20, ignore, () => new Promise(resolve => { release = resolve }))
  lease.every(20, ignore, async () => { others++ })
  await until(() => release !== ignore)
  const other = new Lease(db, name, ignore, 20)
  let isTaken = false
  other.every(20, ignore, async () => { isTaken = true })
  const before = others
  await sleep(LONGER_MS)
  t.notOk(isTaken)
  t.ok(others > before + 10)
  release()
  await lease.stop()
  await until(() => isTaken)
  await other.stop()
})

t.test('who stops gives it back, so that another has it at once', { buffered: true }, async t => {
  const name = randomUUID()
  const lease = new Lease(db, name, ignore, 20)
  let isHeld = false
  lease.every(20, ignore, async () => { isHeld = true })
  await until(() => isHeld)
  t.notOk(await takeLease(db, name, randomUUID(), 5))
  await lease.stop()
  t.ok(await takeLease(db, name, randomUUID(), 5))
})

t.test('who cannot ask for it any more stops to work before another may begin', { buffered: true }, async t => {
  const name = randomUUID()
  let isGone = false
  const going: Database = { ...db, settle: async (...call) => isGone ? await Promise.reject(new Error('gone')) : await db.settle(...call) }
  const lease = new Lease(going, name, ignore, 20)
  let rounds = 0
  lease.every(20, ignore, async () => { rounds++ })
  await until(() => rounds > 0)
  isGone = true
  const other = randomUUID()
  while (!await takeLease(db, name, other, 60)) await sleep(20)
  const before = rounds
  await sleep(500)
  t.equal(rounds, before)
  await lease.stop()
})

t.test('after a round that failed the next one comes soon, however long the interval is', { buffered: true }, async t => {
  const errors: unknown[] = []
  const onError = (error: unknown): void => { errors.push(error) }
  const calls = { rounds: 0, leased: 0 }
  const begin = async (which: keyof typeof calls): Promise<void> => { if (++calls[which] === 1) throw new Error(which) }
  const stop = startRounds(3_600_000, onError, () => begin('rounds'))
  const lease = new Lease(db, randomUUID(), ignore)
  lease.every(3_600_000, onError, () => begin('leased'))
  await until(() => calls.rounds > 1 && calls.leased > 1)
  t.same(errors.map(error => (error as Error).message).sort(), ['leased', 'rounds'])
  await sleep(2000)
  t.same(calls, { rounds: 2, leased: 2 }, 'and then after the interval')
  await stop()
  await lease.stop()
})
