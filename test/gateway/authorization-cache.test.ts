import t from 'tap'
import type { Caller } from '../../src/http/auth/caller.ts'
import { CACHE_SECONDS, AuthorizationCache } from '../../src/gateway/authorization-cache.ts'
import type { User } from '../../src/users/user.ts'
import { until } from '../helpers/until.ts'

const NOW = new Date('2026-11-26T12:00:00Z')
const seconds = NOW.getTime() / 1000
const after = (some: number): Date => new Date(NOW.getTime() + some * 1000)

const caller = (change: Partial<Caller> = {}): Caller => ({
  kind: 'first',
  tenant: 't',
  namespace: 'n',
  subject: 's',
  roles: [],
  groups: ['g'],
  session: { id: 's1', issuer: 'i', isRemembered: true },
  authTime: seconds - 500,
  expiresAt: seconds + 60,
  mfa: undefined,
  ...change
}) as Caller

const user = (authentication: Partial<User['session']['authentication']> | null = {}): User => ({
  userId: 'u',
  epoch: 3,
  session: {
    generation: 2,
    authentication: authentication === null
      ? null
      : { acr: 'mfa', methods: ['otp'], factorId: 'f', authTime: seconds - 100, endsAt: seconds + 1000, ...authentication }
  }
}) as unknown as User

t.test('a user who passed by what their session remembers counts as its MFA token would, for half a minute', async t => {
  const cache = new AuthorizationCache()
  t.equal(cache.find(caller(), NOW), undefined)
  cache.keep(caller(), user(), NOW)
  t.match(cache.find(caller(), after(CACHE_SECONDS - 1)), {
    tenant: 't',
    session: { id: 's1' },
    authTime: seconds - 100,
    mfa: { userId: 'u', epoch: 3, generation: 2, acr: 'mfa', factorId: 'f', isBypass: false }
  })
  t.equal(cache.find(caller(), after(CACHE_SECONDS)), undefined)
})

t.test('it never outlives what is remembered', async t => {
  const cache = new AuthorizationCache()
  cache.keep(caller(), user({ endsAt: seconds + 5 }), NOW)
  t.ok(cache.find(caller(), after(4)))
  t.equal(cache.find(caller(), after(5)), undefined)
})

t.test('where nothing is remembered nothing is kept', async t => {
  const cache = new AuthorizationCache()
  cache.keep(caller(), user(null), NOW)
  t.equal(cache.find(caller(), NOW), undefined)
})

t.test('a token that says anything else is another one', async t => {
  const cache = new AuthorizationCache()
  cache.keep(caller(), user(), NOW)
  for (
    const change of [
      { tenant: 'x' },
      { namespace: 'x' },
      { subject: 'x' },
      { groups: ['h'] },
      { groups: undefined },
      { session: { id: 's2', issuer: 'i', isRemembered: true } },
      { session: undefined },
      { issuerClaims: { account: 'x' } },
      { expiresAt: seconds + 61 }
    ]
  ) {
    t.equal(cache.find(caller(change as Partial<Caller>), NOW), undefined, JSON.stringify(change))
  }
})

t.test('of more tokens than there is room for, of all or of one user, those that were asked for last stay', async t => {
  const cache = new AuthorizationCache({ max: 3, perUser: 2 })
  const isKept = (...callers: Array<Partial<Caller>>): boolean[] => callers.map(each => cache.find(caller(each), NOW) !== undefined)
  for (const groups of [['1'], ['2'], ['1'], ['3']]) cache.keep(caller({ groups }), user(), NOW)
  t.same(isKept({ groups: ['1'] }, { groups: ['2'] }, { groups: ['3'] }), [true, false, true], 'one user has no more than a share')
  cache.keep(caller({ subject: 'a' }), user(), NOW)
  t.same(isKept({ groups: ['1'] }), [true])
  cache.keep(caller({ subject: 'b' }), user(), NOW)
  t.same(isKept({ groups: ['1'] }, { groups: ['3'] }, { subject: 'a' }, { subject: 'b' }), [true, false, true, true])
  t.equal(cache.size, 3)
  cache.forget(caller())
  t.equal(cache.size, 2, 'what was pushed out is no trouble to forget')
})

t.test('what has ended takes no memory: filled with more users and tokens than fit, it is bounded, and then empty', async t => {
  const cache = new AuthorizationCache({ max: 1000, perUser: 10 }, 500)
  const groups = Array.from({ length: 20 }, (_, index) => `group-${index}`)
  for (let index = 0; index < 20_000; index++) {
    cache.keep(caller({ subject: `s${index % 2000}`, groups, expiresAt: seconds + index }), user(), NOW)
  }
  t.ok(cache.size <= 1000)
  await until(() => cache.size === 0)
  t.equal(cache.find(caller({ subject: 's1999', groups, expiresAt: seconds + 19_999 }), NOW), undefined)
})

t.test('all tokens of one user can be forgotten, and no others', async t => {
  const cache = new AuthorizationCache()
  const [mine, other] = [[caller(), caller({ groups: [] })], [
    caller({ subject: 'x' }),
    caller({ tenant: 'x' }),
    caller({ namespace: 'x' })
  ]]
  for (const each of [...mine, ...other]) cache.keep(each, user(), NOW)
  cache.forget({ ...caller(), kind: 'mfa' })
  t.same(mine.map(each => cache.find(each, NOW)), [undefined, undefined])
  t.ok(other.every(each => cache.find(each, NOW) !== undefined))
})
