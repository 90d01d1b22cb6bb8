import t from 'tap'
import { CheckedTokens } from '../../../src/http/auth/checked-tokens.ts'
import { until } from '../../helpers/until.ts'

const LIMITS = { max: 100, maxLength: 10_000, ttlMs: 60_000 }
const open = (limits = {}): CheckedTokens<string, { sub: string, roles?: string[] }> => new CheckedTokens({ ...LIMITS, ...limits })

t.test('a token is known again by all of it, by whose it is and by the key that it was checked with', async t => {
  const tokens = open()
  t.equal(tokens.find('a', 'token', 'key'), undefined)
  tokens.keep('a', 'token', 'key', { sub: 's' })
  t.same(tokens.find('a', 'token', 'key'), { sub: 's' })
  t.equal(tokens.find('a', 'token', 'other key'), undefined, 'a key that was changed')
  t.equal(tokens.find('b', 'token', 'key'), undefined, 'another issuer')
  t.equal(tokens.find('a', 'Token', 'key'), undefined, 'another token')
})

t.test('no request changes its claims for others', async t => {
  const claims = open().keep('a', 'token', 'key', { sub: 's', roles: ['r'] })
  t.throws(() => { claims.sub = 'x' })
  t.throws(() => { claims.roles?.push('mfa:admin') })
})

t.test('tokens are bounded in number and in length, and nothing of them is left when their time is over', async t => {
  const many = open({ ttlMs: 500 })
  for (let index = 0; index < 1000; index++) many.keep('a', `token ${index}`, 'key', { sub: 's' })
  t.equal(many.size, 100)
  t.ok(many.find('a', 'token 999', 'key'), 'the newest are there')
  const long = open({ ttlMs: 500 })
  for (let index = 0; index < 50; index++) long.keep('a', `${'x'.repeat(1000)}${index}`, 'key', { sub: 's' })
  t.ok(long.size < 10, `${long.size} of a thousand characters`)
  t.same(long.keep('a', 'x'.repeat(20_000), 'key', { sub: 'long' }), { sub: 'long' }, 'one that is too long for it is checked each time')
  await until(() => many.size + long.size === 0)
  t.equal(many.find('a', 'token 999', 'key'), undefined)
})
