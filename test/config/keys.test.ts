import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseSealingKeys } from '../../src/config/keys.ts'
import { parseSigningKeys } from '../../src/config/signing-keys.ts'
import { signingKey } from '../helpers/service.ts'

const key = (bytes = 32): string => randomBytes(bytes).toString('base64')

t.test('a ring holds keys by id, the first one for what is new', async t => {
  const [a, b] = [randomBytes(32), randomBytes(32)]
  const ring = parseSealingKeys('NAME', `k2:${a.toString('base64')}, k1:${b.toString('base64url')}`)
  t.equal(ring.primary, 'k2')
  t.same([...ring.keys], [['k2', a], ['k1', b]])
})

t.test('a ring with a key that is none is refused, without the key', async t => {
  const same = key()
  const cases: Array<[string, RegExp]> = [
    [key(), /is not of the form/],
    [`:${key()}`, /is not of the form/],
    [`k1:${key()},`, /is not of the form/],
    [`k1;${key()}`, /is not of the form/],
    ['k1:', /is not of the form/],
    ['k1:****', /is not of the form/],
    [`k 1:${key()}`, /is not of the form/],
    [`${'k'.repeat(33)}:${key()}`, /is not of the form/],
    [`k1:${key(16)}`, /16 bytes where 32/], [`k1:${key(33)}`, /33 bytes where 32/], [`k1:${key(31)}`, /31 bytes/],
    [
      `k1:${Buffer.alloc(32).toString('base64')}`,
      /repeats a few characters and looks like a placeholder. Make one: npm run keys -- add sealing/
    ],
    [`k1:${Buffer.from('changemechangemechangemechangeme').toString('base64')}`, /contains the word/],
    [`k1:${key()},k1:${key()}`, /two keys of one id/], [`k1:${same},k2:${same}`, /the same key twice/]
  ]
  for (const [raw, why] of cases) {
    t.throws(() => parseSealingKeys('NAME', raw), { name: 'ConfigError', message: why })
    try { parseSealingKeys('NAME', raw) } catch (error) { t.notOk((error as Error).message.includes(raw.slice(3, 20) || raw)) }
  }
})

t.test('signing keys are P-256 or Ed25519, each with a kid of its own', async t => {
  const [ec, ed] = [signingKey('a'), signingKey('b', 'ed25519')]
  const read = (...keys: unknown[]): ReturnType<typeof parseSigningKeys> => parseSigningKeys('NAME', JSON.stringify({ keys }))
  t.match(read(ec, ed), [{ kid: 'a', algorithm: 'ES256' }, { kid: 'b', algorithm: 'EdDSA' }])
  for (const { publicJwk, publicPem } of read(ec, ed)) {
    t.notOk('d' in publicJwk)
    t.match(publicPem, /^-----BEGIN PUBLIC KEY-----/)
  }
  const { d, ...publicOnly } = ec
  const cases: Array<[string, RegExp]> = [
    ['x', /is not JSON/],
    ['null', /is not a JWK set/],
    ['[]', /is not a JWK set/],
    ['{}', /is not a JWK set/],
    ['{"keys":[]}', /is not a JWK set/],
    ['{"keys":{}}', /is not a JWK set/],
    [JSON.stringify(ec), /is not a JWK set/],
    ...([
      [[publicOnly], /without its private part/],
      [[{ ...ec, kid: undefined }], /without a kid/],
      [[{ ...ec, kid: '' }], /without a kid/],
      [[{ ...ec, kid: 'a b' }], /without a kid/],
      [[{ ...ec, kid: 1 }], /without a kid/],
      [[null], /without a kid/],
      [[{ kty: 'oct', k: 'AAAA', kid: 'a' }], /neither P-256 nor Ed25519/],
      [[{ kty: 'RSA', n: 'AQAB', e: 'AQAB', d: 'AQAB', kid: 'a' }], /neither P-256 nor Ed25519/],
      [[{ ...ec, crv: 'P-384' }], /neither P-256 nor Ed25519/],
      [[{ ...ec, d: 'AAAA' }], /do not fit/],
      [[{ ...ec, x: 'AAAA' }], /does not parse/],
      [[{ ...ed, d: 'AAAA' }], /does not parse/],
      [[{ ...ec, d: signingKey().d }], /do not fit/],
      [[ec, { ...ed, kid: 'a' }], /two keys of one kid/]
    ] as Array<[unknown[], RegExp]>).map(([keys, why]): [string, RegExp] => [JSON.stringify({ keys }), why])
  ]
  for (const [raw, why] of cases) {
    t.throws(() => parseSigningKeys('NAME', raw), { name: 'ConfigError', message: why }, why.source)
    try { parseSigningKeys('NAME', raw) } catch (error) { t.notOk((error as Error).message.includes(d as string)) }
  }
})
