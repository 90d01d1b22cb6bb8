import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  base32,
  codeAt,
  DEFAULT_PARAMETERS,
  generateSecret,
  matchStep,
  stepAt,
  stepEnd,
  stepsAway
} from '../../../src/factors/totp/totp.ts'

const ascii = (length: number): Buffer => Buffer.from('1234567890'.repeat(7).slice(0, length))
const at = (step: number, second = 5): Date => new Date((step * 30 + second) * 1000)

/** RFC 4226 §5.3 once more, written down here and not taken from where the service has it. */
function reference (secret: Buffer, counter: number, digits = 6): string {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(counter))
  const mac = createHmac('sha1', secret).update(bytes).digest()
  const offset = (mac[19] as number) & 15
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 10 ** digits).padStart(digits, '0')
}

t.test('the codes of RFC 4226, appendix D', async t => {
  const codes = ['755224', '287082', '359152', '969429', '338314', '254676', '287922', '162583', '399871', '520489']
  for (const [counter, code] of codes.entries()) t.equal(codeAt(ascii(20), counter), code, `counter ${counter}`)
})

t.test('the codes of RFC 6238, appendix B, with each hash', async t => {
  const table: Array<[seconds: number, sha1: string, sha256: string, sha512: string]> = [
    [59, '94287082', '46119246', '90693936'],
    [1111111109, '07081804', '68084774', '25091201'],
    [1111111111, '14050471', '67062674', '99943326'],
    [1234567890, '89005924', '91819424', '93441116'],
    [2000000000, '69279037', '90698825', '38618901'],
    [20000000000, '65353130', '77737706', '47863826']
  ]
  for (const [seconds, ...codes] of table) {
    const step = stepAt(new Date(seconds * 1000))
    for (const [index, [algorithm, bytes]] of ([['SHA1', 20], ['SHA256', 32], ['SHA512', 64]] as const).entries()) {
      t.equal(codeAt(ascii(bytes), step, { algorithm, digits: 8, period: 30 }), codes[index], `${algorithm} at ${seconds}`)
    }
    t.equal(codeAt(ascii(20), step), codes[0]?.slice(2), 'six digits are the last six')
  }
})

t.test('the codes are right for any secret and any step, beyond 32 bit too', async t => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 64 }),
      fc.nat(2 ** 31 - 1),
      fc.integer({ min: 0, max: 255 }),
      (secret, low, high) => {
        const counter = high * 2 ** 32 + low
        return codeAt(secret, counter) === reference(Buffer.from(secret), counter)
      }))
  t.equal(codeAt(ascii(20), 2 ** 32), reference(ascii(20), 2 ** 32))
  t.not(codeAt(ascii(20), 2 ** 32), codeAt(ascii(20), 0))
})

t.test('a step is 30 seconds, and ends with its last millisecond', async t => {
  t.equal(stepAt(new Date(59_999)), 1)
  t.equal(stepAt(new Date(60_000)), 2)
  t.equal(stepEnd(1).getTime(), 60_000)
})

t.test('exactly {T−1, T, T+1} match, or {T−1, T}, in every second of a step', async t => {
  const secret = generateSecret()
  const step = 60_000_000
  for (const second of [0, 1, 15, 29]) {
    for (const [window, steps] of [['1', [-1, 0, 1]], ['past', [-1, 0]]] as const) {
      const taken = new Set(steps.map(offset => codeAt(secret, step + offset)))
      for (let offset = -10; offset <= 10; offset++) {
        const code = codeAt(secret, step + offset)
        const isTaken = (steps as readonly number[]).includes(offset) || taken.has(code)
        t.equal(matchStep(secret, code, at(step, second), window) !== null, isTaken, `${window}: T${offset}, second ${second}`)
      }
    }
  }
})

t.test('where neighbouring steps have one code, the newest one counts', async t => {
  const step = 55_555_555
  const twin = (seed: number): Buffer => createHash('sha1').update(`seed ${seed}`).digest()
  const older = twin(342_058)
  t.equal(codeAt(older, step - 1), codeAt(older, step), 'these two have')
  t.equal(matchStep(older, codeAt(older, step), at(step), '1'), step)
  t.equal(matchStep(older, codeAt(older, step), at(step), 'past'), step)
  const newer = twin(1_502_006)
  t.equal(codeAt(newer, step), codeAt(newer, step + 1), 'and these two')
  t.equal(matchStep(newer, codeAt(newer, step), at(step), '1'), step + 1)
  t.equal(matchStep(newer, codeAt(newer, step), at(step), 'past'), step)
})

t.test('how far a clock is off is told up to ten minutes, the nearest first, with the factor\'s own parameters', async t => {
  const secret = generateSecret()
  const step = 60_000_000
  for (const away of [-20, -7, -2, 1, 4, 20]) t.equal(stepsAway(secret, codeAt(secret, step + away), at(step)), away, `${away}`)
  for (const away of [-21, 21, 400]) t.equal(stepsAway(secret, codeAt(secret, step + away), at(step)), null, `${away}`)
  t.equal(stepsAway(secret, '', at(step)), null)
  const slow = { algorithm: 'SHA256', digits: 8, period: 60 }
  t.equal(stepsAway(secret, codeAt(secret, 1490, slow), new Date(90_000_000), slow), -10)
  const twin = createHash('sha1').update('seed 342058').digest()
  t.equal(codeAt(twin, 55_555_554), codeAt(twin, 55_555_555), 'these two have one code')
  t.equal(stepsAway(twin, codeAt(twin, 55_555_554), at(55_555_558)), -3)
  t.equal(stepsAway(twin, codeAt(twin, 55_555_554), at(55_555_551)), 3)
})

t.test('what has another length or other characters matches nothing, and throws nothing', async t => {
  const secret = generateSecret()
  const code = codeAt(secret, 1000)
  for (const input of ['', code.slice(1), `${code}0`, ` ${code}`, '１２３４５６', '١٢٣٤٥٦', '💥💥💥', '\0'.repeat(6)]) {
    t.equal(matchStep(secret, input, at(1000), '1'), null, JSON.stringify(input))
  }
})

t.test('parameters that cannot be match nothing, and end', async t => {
  const secret = generateSecret()
  for (
    const parameters of [{ period: 0 }, { period: -30 }, { period: NaN }, { period: Infinity }, { digits: 0 }, { digits: -1 }, {
      algorithm: 'CRC32'
    }]
  ) {
    let match = null
    try { match = matchStep(secret, '000000', at(1000), '1', { ...DEFAULT_PARAMETERS, ...parameters }) } catch {}
    t.equal(match, null, JSON.stringify(parameters))
  }
})

t.test('digits, hash and period are the factor\'s', async t => {
  const parameters = { algorithm: 'SHA256', digits: 8, period: 60 }
  const secret = generateSecret()
  const now = new Date(90_000_000)
  const code = codeAt(secret, 1500, parameters)
  t.equal(matchStep(secret, code, now, '1', parameters), 1500)
  t.equal(matchStep(secret, code, now, '1'), null)
  t.same(DEFAULT_PARAMETERS, { algorithm: 'SHA1', digits: 6, period: 30 })
})

t.test('secrets are 160 bits that look random, and base32 without padding', async t => {
  const secrets = Array.from({ length: 500 }, generateSecret)
  t.equal(new Set(secrets.map(base32)).size, 500)
  t.ok(secrets.every(secret => secret.length === 20 && /^[A-Z2-7]{32}$/.test(base32(secret))))
  const counts = new Array<number>(256).fill(0)
  for (const byte of Buffer.concat(secrets)) counts[byte] = (counts[byte] as number) + 1
  const expected = 500 * 20 / 256
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  // 255 degrees of freedom: beyond these once in some millions of runs.
  t.ok(chiSquare > 150 && chiSquare < 380, `χ² ${chiSquare}`)
})
