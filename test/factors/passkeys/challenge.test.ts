// A challenge is stored nowhere: its MAC says that it is ours, and for which user.
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { type Asked, findChallengeFault, issueChallenge, numberOf } from '../../../src/factors/passkeys/challenge.ts'

const NOW = new Date('2026-11-28T12:00:00.123Z')
const later = (ms: number): Date => new Date(NOW.getTime() + ms)
const ASKED: Asked = {
  tenant: 'acme',
  userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
  epoch: 3,
  session: '["https://id.test","s1"]',
  rpId: 'example.com'
}
const ring = (...ids: string[]) => ({ primary: ids[0] as string, keys: new Map(ids.map(id => [id, Buffer.alloc(32, id)])) })

t.test('it is good for who asked, for five minutes, and under the keys that are there', async t => {
  const challenge = issueChallenge(ring('k1'), ASKED, NOW)
  t.equal(challenge.length, 56)
  t.equal(findChallengeFault(ring('k1'), ASKED, challenge, NOW), null)
  t.equal(findChallengeFault(ring('k2', 'k1'), ASKED, challenge, later(300_000)), null, 'a newer key leaves it good')
  t.equal(findChallengeFault(ring('k1'), ASKED, challenge, later(300_001)), 'expired')
  t.equal(findChallengeFault(ring('k1'), ASKED, challenge, later(-2000)), null, 'the clocks of two servers may differ')
  t.equal(findChallengeFault(ring('k2'), ASKED, challenge, NOW), 'challenge', 'its key is gone')
})

t.test('another user, tenant, epoch, session or relying party makes it a stranger\'s', async t => {
  const challenge = issueChallenge(ring('k1'), ASKED, NOW)
  const others: Array<Partial<Asked>> = [
    { tenant: 'other' },
    { userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d4' },
    { epoch: 4 },
    { session: '["https://id.test","s2"]' },
    { session: null },
    { rpId: 'example.org' }
  ]
  for (const other of others) {
    t.equal(findChallengeFault(ring('k1'), { ...ASKED, ...other }, challenge, NOW), 'challenge', JSON.stringify(other))
  }
})

t.test('no bit of it may be another, and none may be missing', async t => {
  const challenge = issueChallenge(ring('k1'), ASKED, NOW)
  for (let at = 0; at < challenge.length; at++) {
    const changed = Buffer.from(challenge)
    changed[at]! ^= 0x10
    t.equal(findChallengeFault(ring('k1'), ASKED, changed, NOW), 'challenge', `byte ${at}`)
  }
  for (const length of [0, 24, 55]) t.equal(findChallengeFault(ring('k1'), ASKED, challenge.subarray(0, length), NOW), 'challenge')
  t.equal(findChallengeFault(ring('k1'), ASKED, Buffer.concat([challenge, randomBytes(1)]), NOW), 'challenge')
})

t.test('two of one moment have numbers of their own, and an earlier one a lower', async t => {
  const numbers = Array.from({ length: 100 }, () => numberOf(issueChallenge(ring('k1'), ASKED, NOW)))
  t.ok(new Set(numbers).size > 95)
  t.ok(numbers.every(number => number < numberOf(issueChallenge(ring('k1'), ASKED, later(1)))))
})
