// What is asked for at the same moment goes together, and each is answered as if it were alone.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { UnavailableError } from '../../../src/platform/unavailable.ts'
import { Batcher, singleOrBatch } from '../../../src/platform/db/batcher.ts'

/** A database that says when it has done what it was sent. */
function held (answer: (items: number[]) => number[] = items => items.map(item => item * 10)) {
  const sent: number[][] = []
  const ends: Array<() => void> = []
  const send = async (items: number[]): Promise<number[]> => {
    sent.push(items)
    await new Promise<void>(resolve => { ends.push(resolve) })
    return answer(items)
  }
  return { sent, send, end: () => { ends.shift()?.() } }
}

const tick = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

t.test('calls of the same moment go together, those that come meanwhile with the next, and each gets its own answer', async t => {
  const batcher = new Batcher({ maxWaitMs: 60_000 })
  const { sent, send, end } = held()
  const first = [1, 2].map(item => batcher.load('k', item, send))
  await tick()
  const next: Array<Promise<number>> = []
  for (const item of [3, 4, 5]) {
    next.push(batcher.load('k', item, send))
    await tick()
  }
  t.same(sent, [[1, 2]])
  end()
  t.same(await Promise.all(first), [10, 20])
  t.same(sent, [[1, 2], [3, 4, 5]])
  end()
  t.same(await Promise.all(next), [30, 40, 50])
  const later = batcher.load('k', 6, send)
  await tick()
  end()
  t.equal(await later, 60, 'and so it goes on')
})

t.test('a call with another key goes alone, and waits for no other', async t => {
  const batcher = new Batcher({ maxWaitMs: 60_000 })
  const [one, other] = [held(), held()]
  const asked = [batcher.load('one', 1, one.send), batcher.load('other', 2, other.send)]
  await tick()
  t.same([one.sent, other.sent], [[[1]], [[2]]])
  other.end()
  t.equal(await asked[1], 20)
  one.end()
  t.equal(await asked[0], 10)
})

t.test('no call waits for longer than the patience for one that hangs', async t => {
  const batcher = new Batcher({ maxWaitMs: 20 })
  const { sent, send, end } = held()
  const hanging = batcher.load('k', 1, send)
  await tick()
  const others = [batcher.load('k', 2, send), batcher.load('k', 3, send)]
  await tick()
  t.same(sent, [[1]])
  await sleep(200)
  t.same(sent, [[1], [2, 3]])
  end()
  end()
  t.same(await Promise.all([hanging, ...others]), [10, 20, 30])
})

t.test('no more go together than may, and none is left behind', async t => {
  const batcher = new Batcher({ maxBatchSize: 2, maxWaitMs: 60_000 })
  const { sent, send, end } = held()
  const asked = [1, 2, 3, 4, 5].map(item => batcher.load('k', item, send))
  await tick()
  t.same(sent, [[1, 2], [3, 4]], 'a full call waits for none')
  for (let call = 0; call < 2; call++) end()
  await tick()
  end()
  t.same(await Promise.all(asked), [10, 20, 30, 40, 50])
  t.same(sent.at(-1), [5])
})

t.test('what the server took back because of one is asked for each alone: only that one fails', async t => {
  const batcher = new Batcher()
  const sent: number[][] = []
  const send = async (items: number[]): Promise<number[]> => {
    sent.push(items)
    if (items.includes(2)) throw new UnavailableError('no', { code: '22021', undone: 'taken back' })
    return items.map(item => item * 10)
  }
  const answers = await Promise.allSettled([1, 2, 3].map(item => batcher.load('k', item, send)))
  t.match(answers, [{ value: 10 }, { reason: { code: '22021' } }, { value: 30 }])
  t.same(sent, [[1, 2, 3], [1], [2], [3]])
})

t.test('what has an unknown outcome is not asked for again: all of them are told so', async t => {
  for (
    const error of [
      new UnavailableError('lost', { code: 'ECONNRESET' }),
      new UnavailableError('no connection', { undone: 'unsent' }),
      new Error('else')
    ]
  ) {
    let calls = 0
    const batcher = new Batcher()
    const answers = await Promise.allSettled([1, 2].map(item =>
      batcher.load('k', item, async (): Promise<number[]> => {
        calls++
        throw error
      })
    ))
    t.ok(answers.every(answer => answer.status === 'rejected' && answer.reason === error))
    t.equal(calls, 1)
  }
})

t.test('if some of the answers are missing, none counts', async t => {
  const batcher = new Batcher()
  const answers = await Promise.allSettled([1, 2].map(item => batcher.load('k', item, async () => [10])))
  t.ok(answers.every(answer => answer.status === 'rejected' && answer.reason instanceof UnavailableError))
})

t.test('rows of several users are locked in the order of their ids, and each gets their own answer', async t => {
  const users = ['c', 'a', 'd', 'b', 'a'].map((userId, number) => ({ userId, number }))
  const sent: string[] = []
  const ways = {
    single: async ({ userId }: { userId: string }) => `${userId} alone`,
    batch: async (sorted: Array<{ userId: string, number: number }>) => {
      sent.push(sorted.map(({ userId }) => userId).join(''))
      return sorted.map(({ userId, number }) => `${userId}${number}`)
    }
  }
  t.same(await singleOrBatch(users, ways), ['c0', 'a1', 'd2', 'b3', 'a4'])
  t.same(sent, ['aabcd'], 'one user\'s in the order in which they came')
  t.same(await singleOrBatch(users.slice(0, 1), ways), ['c alone'])
})
