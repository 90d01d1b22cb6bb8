import { randomBytes } from 'node:crypto'
import t from 'tap'
import { digest } from '../../src/core/recovery-code.ts'
import { traceOf } from '../../src/core/trace.ts'

const keys = new Map([['p2', randomBytes(32)], ['p1', randomBytes(32)]])
const ring = { primary: 'p2', keys }
const who = { tenant: 't', namespace: 'n', subject: 's' }

t.test('a trace is of one user and one pepper, and says nothing without it', async t => {
  const trace = traceOf(ring, who)
  t.match(trace, { hash: /^[0-9a-f]{64}$/, pepperId: 'p2' })
  t.equal(trace.hashes.length, 2)
  t.equal(trace.hashes[0], trace.hash)
  t.same(traceOf(ring, { ...who, account: 'x' } as typeof who), trace, 'who it was, and nothing else of him')
  t.equal(traceOf({ primary: 'p1', keys }, who).hash, trace.hashes[1])
  for (const other of [{ ...who, tenant: 'u' }, { ...who, namespace: 'o' }, { ...who, subject: 't' }, { tenant: 't', namespace: 'n,s', subject: '' }]) {
    t.notOk(traceOf(ring, other).hashes.some(hash => trace.hashes.includes(hash)))
  }
  t.equal(new Set([...trace.hashes, Buffer.from(digest(keys.get('p2') as Buffer, { tenant: 't', userId: 'u' }, 's'), 'base64').toString('hex')]).size, 3)
})
