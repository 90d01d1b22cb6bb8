import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { Sparing } from '../../src/platform/sparing.ts'
import { until } from '../helpers/until.ts'

type Told = [what: string, count: number]

const sparing = (ms: number, maxKinds = 10): { told: Told[], add: (kind: string, what?: string) => void, end: () => void } => {
  const told: Told[] = []
  const kinds = new Sparing<string>((what, count) => { told.push([what, count]) }, { ms, maxKinds })
  t.teardown(() => { kinds.end() })
  return { told, add: (kind, what = kind) => { kinds.add(kind, what) }, end: () => { kinds.end() } }
}

t.test('the first of a kind is told at once, and then how many have come, once in a while', async t => {
  const { told, add } = sparing(30)
  const began = performance.now()
  for (let i = 1; i <= 50; i++) add('a', `a${i}`)
  add('b')
  t.same(told, [['a1', 1], ['b', 1]])
  await until(() => told.length >= 3)
  t.same(told[2], ['a50', 49], 'the last of them')
  t.ok(performance.now() - began > 29)
  add('a', 'a51')
  t.equal(told.length, 3, 'and it is still once in a while')
  await until(() => told.length >= 4)
  t.same(told[3], ['a51', 1])
})

t.test('what has not come again is told anew', async t => {
  const { told, add } = sparing(10)
  add('a')
  let tries = 0
  for (; told.length < 2; tries++) {
    await sleep(20)
    add('a')
  }
  t.same(told, [['a', 1], ['a', 1]])
})

t.test('kinds beyond the most that are kept are one', async t => {
  const { told, add, end } = sparing(60_000, 3)
  for (let i = 0; i < 1000; i++) add(`made up ${i}`)
  t.equal(told.length, 4)
  add('made up 1')
  end()
  t.same(told.slice(4), [['made up 1', 1], ['made up 999', 996]], 'at the end all that was not told')
  add('made up 1')
  t.equal(told.length, 7, 'and it begins anew')
})
