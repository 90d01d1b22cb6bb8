import t from 'tap'
import { Semaphore, type Turn } from '../../src/platform/semaphore.ts'
import { UnavailableError } from '../../src/platform/unavailable.ts'

const REFUSAL = new UnavailableError('too many')
const open = ({ atOnce = 1, maxWaiting = 2, maxWaitMs = 60_000 } = {}): Semaphore =>
  new Semaphore({ atOnce, maxWaiting, maxWaitMs }, 'too many')

/** Whose turn it is, in the order in which it came. */
function watch (turns: Turn[]): number[] {
  const came: number[] = []
  turns.forEach(({ come }, index) => { void come.then(isCome => { if (isCome) came.push(index) }) })
  return came
}
const settled = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

t.test('so many have a turn at once; the others follow in their order, as turns end', async t => {
  const semaphore = open({ atOnce: 2 })
  t.ok(semaphore.isIdle)
  const turns = [1, 2, 3, 4].map(() => semaphore.enter())
  const came = watch(turns)
  await settled()
  t.same(came, [0, 1])
  turns[1]?.end()
  await settled()
  t.same(came, [0, 1, 2])
  for (const turn of turns.reverse()) turn.end()
  await settled()
  t.same(came, [0, 1, 2], 'the fourth had left before the turn was its own')
  t.ok(semaphore.isIdle)
})

t.test('a turn that is ended twice is given back once', async t => {
  const semaphore = open()
  const first = semaphore.enter()
  first.end()
  first.end()
  const turns = [semaphore.enter(), semaphore.enter()]
  const came = watch(turns)
  await settled()
  t.same(came, [0])
  turns[0]?.end()
  turns[0]?.end()
  await settled()
  t.same(came, [0, 1])
  turns[1]?.end()
  t.ok(semaphore.isIdle)
})

t.test('who leaves the queue is told so, makes room in it, and takes no turn', async t => {
  const semaphore = open()
  const [holder, leaver, next] = [semaphore.enter(), semaphore.enter(), semaphore.enter()]
  t.throws(() => semaphore.enter(), REFUSAL, 'it is full')
  leaver?.end()
  t.equal(await leaver?.come, false)
  const last = semaphore.enter()
  holder?.end()
  t.equal(await next?.come, true)
  next?.end()
  t.equal(await last.come, true)
  leaver?.end()
  last.end()
  t.ok(semaphore.isIdle)
})

t.test('no caller waits for longer than is bearable, and one that gave up takes no turn', async t => {
  const semaphore = open({ maxWaitMs: 20 })
  const holder = semaphore.enter()
  const late = semaphore.enter()
  await t.rejects(late.come, REFUSAL)
  late.end()
  const next = semaphore.enter()
  holder.end()
  t.equal(await next.come, true)
  await t.rejects(semaphore.enter(-1).come, REFUSAL, 'nor for longer than is of use to them')
  next.end()
  t.ok(semaphore.isIdle)
})
