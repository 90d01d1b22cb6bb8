import { randomBytes } from 'node:crypto'
import t from 'tap'
import { digest } from '../../src/factors/recovery-codes/recovery-code.ts'
import { tombstoneOf } from '../../src/users/tombstone.ts'

const keys = new Map([['p2', randomBytes(32)], ['p1', randomBytes(32)]])
const ring = { primary: 'p2', keys }
const who = { tenant: 't', namespace: 'n', subject: 's' }

t.test('a tombstone is of one user and one pepper, and says nothing without it', async t => {
  const tombstone = tombstoneOf(ring, who)
  t.match(tombstone, { hash: /^[0-9a-f]{64}$/, pepperId: 'p2' })
  t.equal(tombstone.hashes.length, 2)
  t.equal(tombstone.hashes[0], tombstone.hash)
  t.same(tombstoneOf(ring, { ...who, account: 'x' } as typeof who), tombstone, 'who it was, and nothing else')
  t.equal(tombstoneOf({ primary: 'p1', keys }, who).hash, tombstone.hashes[1])
  for (
    const other of [{ ...who, tenant: 'u' }, { ...who, namespace: 'o' }, { ...who, subject: 't' }, {
      tenant: 't',
      namespace: 'n,s',
      subject: ''
    }]
  ) {
    t.notOk(tombstoneOf(ring, other).hashes.some(hash => tombstone.hashes.includes(hash)))
  }
  t.equal(
    new Set([
      ...tombstone.hashes,
      Buffer.from(digest(keys.get('p2') as Buffer, { tenant: 't', userId: 'u' }, 's'), 'base64').toString('hex')
    ]).size,
    3
  )
})
