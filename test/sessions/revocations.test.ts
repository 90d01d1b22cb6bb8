import fc from 'fast-check'
import t from 'tap'
import type { Caller } from '../../src/http/auth/caller.ts'
import { type Revocation, RevocationCache, REVOCATION_SECONDS } from '../../src/sessions/revocations.ts'

const NOW = new Date('2026-11-25T12:00:00Z')
const seconds = NOW.getTime() / 1000
/** Where the clock of the memory stands. */
const AT = 10_000_000

const revocation = (change: Partial<Revocation> = {}): Revocation => ({
  tenant: 't',
  userId: 'u',
  issuer: '',
  session: '',
  epoch: 2,
  generation: 0,
  ageSeconds: 0,
  ...change
})

/** An MFA token that was issued some seconds ago, of a remembered session. */
const token = (
  { epoch = 1, generation = 0, issuedAgo = 10, userId = 'u', tenant = 't', id = 's', isRemembered = true } = {}
): Caller & { mfa: NonNullable<Caller['mfa']> } =>
  ({
    tenant,
    session: { issuer: 'i', id, isRemembered },
    expiresAt: seconds - issuedAgo + 900,
    mfa: { userId, epoch, generation, acr: 'mfa', factorId: 'f' }
  }) as Caller & { mfa: NonNullable<Caller['mfa']> }

const judge = (revocations: Revocation[], caller: ReturnType<typeof token>): string => {
  const memory = new RevocationCache()
  memory.add(revocations, AT)
  return memory.judge(caller, NOW, AT)
}

t.test('a revocation of a user kills their tokens of older epochs, and no other user\'s', async t => {
  t.equal(judge([], token()), 'alive')
  t.equal(judge([revocation()], token()), 'dead')
  t.equal(judge([revocation()], token({ epoch: 2 })), 'alive')
  t.equal(judge([revocation()], token({ epoch: 3 })), 'alive')
  t.equal(judge([revocation()], token({ userId: 'other' })), 'alive')
  t.equal(judge([revocation()], token({ tenant: 'other' })), 'alive')
})

t.test('a log-out kills the tokens of one session, of that epoch, of older generations', async t => {
  const loggedOut = [revocation({ issuer: 'i', session: 's', epoch: 2, generation: 1 })]
  t.equal(judge(loggedOut, token({ epoch: 2 })), 'dead')
  t.equal(judge(loggedOut, token({ epoch: 1 })), 'dead')
  t.equal(judge(loggedOut, token({ epoch: 2, generation: 1 })), 'alive')
  t.equal(judge(loggedOut, token({ epoch: 2, id: 'other' })), 'alive')
  t.equal(judge(loggedOut, token({ epoch: 2, isRemembered: false })), 'alive', 'there is no log-out of a session that is not remembered')
  t.equal(judge(loggedOut, token({ epoch: 3 })), 'alive', 'generations begin anew in a new epoch')
})

t.test('what is over is forgotten, and no sooner', async t => {
  const memory = new RevocationCache()
  memory.add([revocation()], AT)
  memory.add([], AT + REVOCATION_SECONDS * 1000)
  t.equal(memory.size, 1)
  memory.add([], AT + REVOCATION_SECONDS * 1000 + 1)
  t.equal(memory.size, 0)
})

t.test('memory is bounded; what is too old for it is asked of the database, and never passed', async t => {
  const memory = new RevocationCache(3)
  const many = (count: number): Revocation[] =>
    Array.from({ length: count }, (_, index) => revocation({ userId: `u${index}`, ageSeconds: 10 * index }))
  memory.add(many(2), AT)
  t.equal(memory.judge(token({ userId: 'x', issuedAgo: 899 }), NOW, AT), 'alive', 'all of it fits')
  memory.add(many(3), AT)
  t.equal(memory.size, 3)
  t.equal(memory.judge(token({ userId: 'x', issuedAgo: 10 }), NOW, AT), 'unknown', 'there may have been more')
  t.equal(memory.judge(token({ userId: 'u1', issuedAgo: 10 }), NOW, AT), 'dead', 'what is known counts')
  t.equal(memory.judge(token({ userId: 'x', issuedAgo: 0 }), NOW, AT + 200_000), 'alive', 'a token of later')
  t.equal(memory.judge(token({ userId: 'x', issuedAgo: 199 }), NOW, AT + 200_000), 'unknown', 'one of before')
  memory.add([revocation({ userId: 'v' }), revocation({ userId: 'w' })], AT + 300_000)
  t.equal(memory.size, 3, 'the oldest went')
  t.equal(memory.judge(token({ userId: 'v' }), NOW, AT + 300_000), 'dead')
})

t.test('whatever comes in whatever order, a token that has ended is never alive', async () => {
  const names = fc.constantFrom('a', 'b', 'c', 'd')
  const events = fc.array(fc.record({ user: names, wait: fc.integer({ min: 0, max: 400 }) }), { maxLength: 40 })
  fc.assert(
    fc.property(events, fc.integer({ min: 1, max: 4 }), names, fc.integer({ min: 0, max: 899 }), (events, capacity, userId, issuedAgo) => {
      const memory = new RevocationCache(capacity)
      let at = AT
      const endedAt = new Map<string, number>()
      for (const { user, wait } of events) {
        at += wait * 1000
        endedAt.set(user, at)
        // A poll reads some of before again, and no more than fits.
        const rows = [...endedAt].map(([user, ended]) => revocation({ userId: user, ageSeconds: (at - ended) / 1000 })).filter((
          { ageSeconds }
        ) => ageSeconds < 500)
        memory.add(rows.sort((a, b) => a.ageSeconds - b.ageSeconds).slice(0, capacity), at)
      }
      const isEnded = (endedAt.get(userId) ?? -Infinity) >= at - issuedAgo * 1000
      return !isEnded || memory.judge(token({ userId, issuedAgo }), NOW, at) !== 'alive'
    }))
})
