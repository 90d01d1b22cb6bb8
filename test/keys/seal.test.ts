import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import type { KeyRing } from '../../src/keys/keys.ts'
import { open as use, seal, SealError, type SealContext } from '../../src/keys/seal.ts'
import { DEFAULT_PARAMETERS } from '../../src/factors/totp/totp.ts'

const ring = (...ids: string[]): { primary: string, keys: Map<string, Buffer> } =>
  ({ primary: ids[0] as string, keys: new Map(ids.map(id => [id, randomBytes(32)])) })
const context: SealContext = { ...DEFAULT_PARAMETERS, kind: 'totp', tenant: 'acme', userId: randomUUID(), factorId: randomUUID() }
const secret = randomBytes(20)
/** A copy of what was sealed. */
const open = (...args: [KeyRing, SealContext, Parameters<typeof use>[2]]): Buffer => use(...args, opened => Buffer.from(opened))

t.test('what is sealed opens for the same tenant, user, factor and key, and holds the secret nowhere', async t => {
  const keys = ring('k1')
  const sealed = seal(keys, context, secret)
  t.equal(sealed.keyId, 'k1')
  t.equal(sealed.sealed.length, 1 + 12 + 20 + 16)
  t.same(open(keys, context, sealed), secret)
  for (let length = 4; length <= 20; length++) t.notOk(sealed.sealed.includes(secret.subarray(0, length)))
})

t.test('what was opened is overwritten when it was used, whatever came of it', async t => {
  const keys = ring('k1')
  const sealed = seal(keys, context, secret)
  let opened: Buffer | undefined
  t.equal(use(keys, context, sealed, found => { opened = found; return found.equals(secret) }), true)
  t.same(opened, Buffer.alloc(20))
  t.throws(
    () =>
      use(keys, context, sealed, found => {
        opened = found
        throw new Error('of the user')
      }),
    { message: 'of the user' },
    'and an error of the user stays one'
  )
  t.same(opened, Buffer.alloc(20))
})

t.test('it opens for no other tenant, user, factor, parameters or key id', async t => {
  const key = randomBytes(32)
  const keys = { primary: 'k1', keys: new Map([['k1', key], ['k2', key]]) }
  const sealed = seal(keys, context, secret)
  const others: Array<[string, SealContext, string]> = [
    ['tenant', { ...context, tenant: 'acme2' }, 'k1'],
    ['user', { ...context, userId: randomUUID() }, 'k1'],
    ['factor', { ...context, factorId: randomUUID() }, 'k1'],
    ['user and factor swapped', { ...context, userId: context.factorId, factorId: context.userId }, 'k1'],
    ['algorithm', { ...context, algorithm: 'SHA256' }, 'k1'],
    ['digits', { ...context, digits: 8 }, 'k1'],
    ['period', { ...context, period: 2_000_000_000 }, 'k1'],
    ['key id, of the very same key', context, 'k2'],
    ['key id that is unknown', context, 'k3'],
    ['key id that is no id', context, '__proto__']
  ]
  for (const [name, other, keyId] of others) t.throws(() => open(keys, other, { keyId, sealed: sealed.sealed }), new SealError(), name)
})

t.test('names that run into each other are told apart', async t => {
  const keys = ring('k1')
  const sealed = seal(keys, { ...context, tenant: 'a', userId: 'b","c', factorId: 'd' }, secret)
  t.throws(() => open(keys, { ...context, tenant: 'a', userId: 'b', factorId: 'c","d' }, sealed), new SealError())
  t.throws(() => open(keys, { ...context, tenant: 'a","b', userId: 'c', factorId: 'd' }, sealed), new SealError())
})

t.test('every flipped bit of version, nonce, ciphertext and tag is found, and the error is one', async t => {
  const keys = ring('k1')
  const { keyId, sealed } = seal(keys, context, secret)
  const messages = new Set<string>()
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed)
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
    try {
      open(keys, context, { keyId, sealed: changed })
      t.fail(`bit ${bit} opened`)
    } catch (error) {
      messages.add(`${(error as Error).name}: ${(error as Error).message}: ${String((error as Error).cause)}`)
    }
  }
  t.same([...messages], ['SealError: a sealed secret does not open: undefined'])
})

t.test('what is cut short or empty does not open, a truncated tag included', async t => {
  const keys = ring('k1')
  const { keyId, sealed } = seal(keys, context, secret)
  for (let length = 0; length < sealed.length; length++) {
    t.throws(() => open(keys, context, { keyId, sealed: sealed.subarray(0, length) }), new SealError(), `${length} bytes`)
  }
  t.throws(() => open(keys, context, { keyId, sealed: Buffer.concat([sealed, Buffer.of(0)]) }), new SealError())
})

t.test('one secret sealed a thousand times has a thousand nonces and ciphertexts', async t => {
  const keys = ring('k1')
  const all = Array.from({ length: 1000 }, () => seal(keys, context, secret).sealed)
  t.equal(new Set(all.map(sealed => sealed.toString('hex', 1, 13))).size, 1000)
  t.equal(new Set(all.map(sealed => sealed.toString('hex', 13, 33))).size, 1000)
})

t.test('the first key of the ring seals, every one opens, and one that was taken out opens nothing', async t => {
  const old = ring('k1')
  const sealed = seal(old, context, secret)
  const both = { primary: 'k2', keys: new Map([['k2', randomBytes(32)], ...old.keys]) }
  t.same(open(both, context, sealed), secret)
  const renewed = seal(both, context, secret)
  t.equal(renewed.keyId, 'k2')
  t.throws(() => open(old, context, renewed), new SealError())
  both.keys.delete('k1')
  t.throws(() => open(both, context, sealed), new SealError())
  t.same(open(both, context, renewed), secret)
})
