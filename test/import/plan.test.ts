import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Found } from '../../src/import/found.ts'
import { readKeycloak } from '../../src/import/keycloak.ts'
import { planImport, type Target } from '../../src/import/plan.ts'

const target: Target = { source: 'keycloak', tenant: 'acme', namespace: 'https://id.test', subject: 'id' }
const secretOf = (fill: number, length = 20): Buffer => Buffer.alloc(length, fill)
const named = (id: string, fill = 1, more: Partial<Found> = {}): Found => ({ row: id, id, content: { secret: secretOf(fill) }, ...more })

t.test('who gets what: by the name that tokens have, under labels that may be given, with the same ids each time', async t => {
  const found = readKeycloak(readFileSync(new URL('../fixtures/import/keycloak.json', import.meta.url), 'utf8'))
  const { users, left } = planImport(found, target)
  t.same(
    users.map(({ account }) => account),
    ['alice', 'bob', 'heidi', users[3]?.subject],
    'a user without a name is shown as their subject'
  )
  t.same(users[2]?.factors.map(({ label }) => label), ['Phone', 'Authenticator 1', 'Authenticator 2'])
  t.same(left.map(({ reason }) => reason), [
    'recovery_codes',
    'not_sha1',
    'not_six_digits',
    'not_30_seconds',
    'not_totp',
    'malformed',
    'malformed'
  ])
  const ids = (change: Partial<Target> = {}): string[] =>
    planImport(found, { ...target, ...change }).users.flatMap(({ factors }) => factors.map(({ id }) => id))
  t.match(ids()[0], /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.same(ids(), ids())
  t.equal(
    new Set([...ids(), ...ids({ tenant: 'other' }), ...ids({ namespace: 'x' }), ...ids({ source: 'y' }), ...ids({ subject: 'username' })])
      .size,
    5 * 6 - 1,
    "no other user's; judy has no user name"
  )
  t.same(planImport(found, { ...target, subject: 'email' }).users.map(({ subject }) => subject), [
    'alice@example.com',
    'bob@example.com',
    'heidi@example.com'
  ])
})

t.test('a name that no token can have is no user\'s, and neither is one that another program could not read', async t => {
  const { users, left } = planImport(['', 'a\u0000b', 'x'.repeat(256), '\u2028', 'j\uFFFDrgen', '\ud800'].map(id => named(id)), target)
  t.same([users, left.map(({ reason }) => reason)], [[], Array(6).fill('no_subject')])
})

t.test('five authenticators at most; without a key it is the place among them that tells which', async t => {
  const seven = Array.from({ length: 7 }, (_, row) => named('one', row, { row: String(row), username: '\u0007', email: 'one@example.com' }))
  const { users, left } = planImport(seven, target)
  t.match([users, left], [[{ account: 'one@example.com', factors: { length: 5 } }], [{ row: '5', reason: 'too_many_factors' }, {
    row: '6',
    reason: 'too_many_factors'
  }]])
  t.equal(new Set(users[0]?.factors.map(({ id }) => id)).size, 5)
})

t.test('one secret twice is one authenticator, however it is padded', async t => {
  const long = Buffer.alloc(100, 7)
  const again = planImport([
    named('ann', 1, { row: '1' }),
    named('ann', 1, { row: '2' }),
    named('ann', 2, { row: '3' }),
    named('ann', 1, { row: '4', content: { secret: Buffer.concat([secretOf(1), Buffer.alloc(3)]) } }),
    named('ben', 0, { row: '5', content: { secret: long } }), named('ben', 0, { row: '6', content: { secret: Buffer.from(long) } })
  ], target)
  t.same(again.left, [])
  t.same(again.users.map(({ factors }) => factors.map(({ row, repeatedIn }) => [row, repeatedIn])), [[['1', ['2', '4']], ['3', []]], [[
    '5',
    ['6']
  ]]])
})

t.test('whose a secret is that two users have, or a name that two users have, the file does not say: both stay behind', async t => {
  const { users, left } = planImport([named('ann', 1), named('ben', 1), named('cat', 2)], target)
  t.same([users.map(({ subject }) => subject), left.map(({ row, reason }) => [row, reason])], [['cat'], [['ann', 'shared_secret'], [
    'ben',
    'shared_secret'
  ]]])
  const twins = planImport([
    named('1', 1, { email: 'team@example.com' }),
    named('2', 2, { email: 'team@example.com' }),
    named('3', 3, { email: 'cat@example.com' }),
    named('3', 4, { email: 'cat@example.com' })
  ], { ...target, subject: 'email' })
  t.match(twins, {
    users: [{ subject: 'cat@example.com', factors: { length: 2 } }],
    left: [{ row: '1', reason: 'ambiguous_subject' }, { row: '2', reason: 'ambiguous_subject' }]
  })
})

t.test('of an app that has accounts of several issuers, one is said to be ours, and the others stay behind', async t => {
  const found = [named('ann', 1, { issuer: 'Example' }), named('ann', 2, { issuer: 'GitHub' }), named('ben', 2)]
  t.throws(() => planImport(found, target), { name: 'ImportError', message: /several issuers: say by --issuer/ })
  const { users, left } = planImport(found, target, 'Example')
  t.match([users, left], [[{ subject: 'ann', factors: { length: 1 } }], [{ row: 'ann', reason: 'other_issuer' }, {
    row: 'ben',
    reason: 'other_issuer'
  }]])
  t.equal(planImport(found.slice(0, 1), target).users.length, 1, 'one issuer needs no saying')
})
