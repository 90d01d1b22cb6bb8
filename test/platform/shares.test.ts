import t from 'tap'
import { Shares } from '../../src/platform/shares.ts'

const open = (): Shares => new Shares({ atOnce: 1, maxWaiting: 1, maxWaitMs: 1000 }, 'too many wait')

t.test('each name has turns of its own; filled with ten thousand names, it is empty when they have ended', async t => {
  const shares = open()
  const turns = Array.from({ length: 10_000 }, (_, n) => shares.enter(`192.0.2.${n}`))
  t.same(new Set(await Promise.all(turns.map(({ come }) => come))), new Set([true]))
  t.equal(shares.size, 10_000)
  for (const { end } of turns) end()
  t.equal(shares.size, 0)
})

t.test('a queue is there as long as one of its name has a turn or waits', async t => {
  const shares = open()
  const [first, second] = [shares.enter('a'), shares.enter('a')]
  t.throws(() => shares.enter('a'), { message: 'too many wait' })
  first.end()
  t.equal(await second.come, true)
  t.equal(shares.size, 1)
  second.end()
  t.equal(shares.size, 0)
})

t.test('a turn that is ended twice makes no second queue beside the one that there is', async t => {
  const shares = open()
  const first = shares.enter('a')
  first.end()
  shares.enter('a')
  first.end()
  const waits = shares.enter('a')
  t.throws(() => shares.enter('a'), { message: 'too many wait' }, 'one has the turn, one waits')
  waits.end()
})
