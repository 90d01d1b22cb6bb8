import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  BYPASS_SLOT,
  canonicalize,
  CODES,
  digest,
  formatCode,
  generateCode,
  generateCodes,
  hasValidChecksum,
  slotOf,
  tagOf
} from '../../../src/factors/recovery-codes/recovery-code.ts'

const OWNER = { tenant: 'acme', userId: 'u1' }

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const code = fc.integer({ min: 0, max: CODES - 1 }).map(generateCode)

t.test('a set is ten codes, each of its slot, 14 random characters and a checksum', async t => {
  const codes = generateCodes()
  t.same(codes.map(slotOf), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  for (const one of codes) {
    t.match(one, /^[0-9][0-9A-HJKMNP-TV-Z]{15}$/)
    t.ok(hasValidChecksum(one))
    t.equal(canonicalize(formatCode(one)), one)
    t.match(formatCode(one), /^[0-9A-Z]{4}(-[0-9A-Z]{4}){3}$/)
  }
})

t.test('the code of an administrator is of a slot that no set has, and otherwise like theirs', async t => {
  t.ok(BYPASS_SLOT >= CODES)
  t.match(formatCode(generateCode(BYPASS_SLOT)), /^B[0-9A-HJKMNP-TV-Z]{3}(-[0-9A-HJKMNP-TV-Z]{4}){3}$/)
  t.equal(slotOf(canonicalize('b000-0000-0000-0000') as string), BYPASS_SLOT)
})

t.test('the random characters are 70 bits: each of 32 as often as any other, at each place, and no code twice', async t => {
  const codes = Array.from({ length: 5000 }, (_, index) => generateCode(index % CODES))
  t.equal(new Set(codes).size, 5000)
  for (let place = 1; place <= 14; place++) {
    const counts = new Map([...ALPHABET].map(character => [character, 0]))
    for (const one of codes) counts.set(one[place] as string, (counts.get(one[place] as string) as number) + 1)
    const expected = 5000 / 32
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    t.equal(counts.size, 32)
    // 31 degrees of freedom: more than this once in ten million runs.
    t.ok(chiSquare < 90, `χ² ${chiSquare} at place ${place}`)
  }
})

t.test('the checksum finds every single wrong character', async t => {
  fc.assert(fc.property(code, one => {
    for (let place = 0; place < 16; place++) {
      for (const character of ALPHABET) {
        if (character === one[place]) continue
        if (hasValidChecksum(`${one.slice(0, place)}${character}${one.slice(place + 1)}`)) return false
      }
    }
    return true
  }), { numRuns: 50 })
  t.ok(hasValidChecksum(generateCode(0)))
})

t.test('the checksum finds every two neighbours that were swapped', async t => {
  fc.assert(fc.property(code, fc.integer({ min: 0, max: 14 }), (one, place) => {
    const swapped = `${one.slice(0, place)}${one[place + 1] as string}${one[place] as string}${one.slice(place + 2)}`
    return swapped === one || !hasValidChecksum(swapped)
  }), { numRuns: 2000 })
  t.notOk(hasValidChecksum('0'.repeat(15) + '1'))
})

t.test("a code is understood in any case and width, with dashes and spaces of any kind anywhere, any script's digits, and O, " +
  'I, L for what they look like', async t => {
  const separator = fc.constantFrom(
    '',
    '',
    '',
    '-',
    ' ',
    '--',
    ' - ',
    '\t',
    '\u00a0',
    '\u2007',
    '\u202f',
    '\u2060',
    '\u200b',
    '\u200d',
    '\ufeff',
    '\u00ad',
    '\u2010',
    '\u2011',
    '\u2012',
    '\u2013',
    '\u2014',
    '\u2015',
    '\u2212',
    '\uff0d',
    '\u3000',
    '\n'
  )
  const look: Record<string, string[]> = { 0: ['0', 'O', 'o'], 1: ['1', 'I', 'i', 'L', 'l'] }
  fc.assert(fc.property(code, fc.array(fc.tuple(separator, fc.nat(29)), { minLength: 17, maxLength: 17 }), (one, noise) => {
    const typed = [...one].map((character, index) => {
      const [before, choice] = noise[index] as [string, number]
      const wide = (text: string): string => String.fromCharCode(text.charCodeAt(0) + 0xfee0)
      const ascii = look[character] ?? [character, character.toLowerCase()]
      const spellings = [
        ...ascii,
        ...ascii.map(wide),
        ...(/\d/.test(character) ? [0x660, 0x966, 0x1d7ce, 0x1d7ec].map(zero => String.fromCodePoint(zero + Number(character))) : [])
      ]
      return before + (spellings[choice % spellings.length] as string)
    }).join('') + (noise[16] as [string, number])[0]
    return canonicalize(typed) === one
  }))
  t.equal(canonicalize('oil-oil-OIL-oil-OOOO'), '0110110110110000')
})

t.test('what has not 16 characters of the alphabet then is no code: never cut to size, never thrown at', async t => {
  const one = generateCode(0)
  for (
    const input of [
      '',
      one.slice(1),
      `${one}0`,
      one.repeat(2),
      `${one}${'0'.repeat(100)}`,
      `${one.slice(1)}U`,
      `${one.slice(1)}!`,
      `${one.slice(1)}\0`,
      `${one.slice(1)}%`,
      `${one.slice(1)}ç`,
      `${one.slice(2)}ß`,
      `${one.slice(1)}ß`,
      `${one.slice(1)}ı`,
      `${one.slice(1)}_`,
      `${one.slice(1)}٣٣`,
      `${one.slice(2)}💥`,
      'x'.repeat(100_000)
    ]
  ) {
    t.equal(canonicalize(input), null, JSON.stringify(input.slice(0, 20)))
  }
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 80 }), input => {
    const canonical = canonicalize(input)
    return canonical === null || /^[0-9A-HJKMNP-TV-Z]{16}$/.test(canonical)
  }))
})

t.test('bcrypt gets 44 characters, whatever the code and pepper, so nothing is beyond its 72 bytes', async t => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.string({ maxLength: 1000 }), (pepper, text) =>
    /^[A-Za-z0-9+/]{43}=$/.test(digest(Buffer.from(pepper), OWNER, text))))
  const pepper = randomBytes(32)
  const prefix = 'x'.repeat(100)
  t.not(digest(pepper, OWNER, `${prefix}a`), digest(pepper, OWNER, `${prefix}b`), 'the end of a long input counts')
  t.not(digest(pepper, OWNER, 'a'), digest(randomBytes(32), OWNER, 'a'), 'and so does the pepper')
})

t.test('a code\'s hash and tag are of one user of one tenant, and say nothing of each other', async t => {
  const pepper = randomBytes(32)
  const code = generateCode(3)
  const of = (owner: { tenant: string, userId: string }): string => `${digest(pepper, owner, code)} ${tagOf(pepper, owner, code)}`
  for (const other of [{ ...OWNER, tenant: 'acme2' }, { ...OWNER, userId: 'u2' }, { tenant: 'acme","u1', userId: '' }]) {
    t.not(digest(pepper, other, code), digest(pepper, OWNER, code))
  }
  t.equal(of({ ...OWNER }), of(OWNER))
  const tags = new Set(Array.from({ length: 1000 }, () => tagOf(pepper, OWNER, generateCode(3))))
  t.ok(
    tags.size > 950 && [...tags].every(tag => Number.isInteger(tag) && tag >= 0 && tag < 65_536),
    `${tags.size} tags of a thousand codes`
  )
  t.not(tagOf(pepper, OWNER, code), Buffer.from(digest(pepper, OWNER, code), 'base64').readUInt16BE())
})
