import t from 'tap'
import { AuditMemory } from '../../src/audit/memory.ts'
import type { Checkpoint } from '../../src/audit/checkpoint.ts'

const checkpoint = (tenant: string, count: number, at = '2026-11-28T12:00:00.000000Z'): Checkpoint =>
  ({ tenant, count, digest: 'd', until: at, at, keptSince: at, previous: { count: 0, digest: 'd' } })

t.test('of each tenant the newest checkpoint is kept, in whatever order they come', t => {
  const memory = new AuditMemory()
  t.equal(memory.newest('a'), undefined)
  for (const count of [1, 3, 2]) memory.keep(checkpoint('a', count))
  t.equal(memory.newest('a')?.count, 3)
  for (const at of ['2026-11-29T12:00:00.000000Z', '2026-11-28T13:00:00.000000Z']) memory.keep(checkpoint('a', 3, at))
  t.equal(memory.newest('a')?.at, '2026-11-29T12:00:00.000000Z', 'signed again')
  memory.keep(checkpoint('b', 1))
  t.same(memory.all().map(({ tenant, count }) => [tenant, count]), [['a', 3], ['b', 1]])
  t.end()
})

t.test('however many tenants there are, none is forgotten for another', t => {
  const memory = new AuditMemory(2)
  for (const tenant of ['a', 'b', 'c']) memory.keep(checkpoint(tenant, 1))
  memory.keep(checkpoint('a', 2))
  t.same(memory.all().map(({ tenant, count }) => [tenant, count]), [['a', 2], ['b', 1]])
  t.same(['a', 'b', 'c'].map(tenant => memory.hasRoomFor(tenant)), [true, true, false])
  t.end()
})

t.test('that a tenant\'s audit is broken is news once, until it was whole', t => {
  const memory = new AuditMemory(1)
  t.same([memory.foundBroken('a'), memory.foundBroken('a')], [true, false])
  memory.foundWhole('a')
  t.equal(memory.foundBroken('a'), true)
  t.same([memory.foundBroken('b'), memory.foundBroken('b')], [true, true], 'and each time where there is no room to remember it')
  t.end()
})
