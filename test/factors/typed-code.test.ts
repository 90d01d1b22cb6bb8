import fc from 'fast-check'
import t from 'tap'
import { Value } from 'typebox/value'
import { readTyped } from '../../src/factors/typed-code.ts'
import { TotpCode } from '../../src/factors/totp/schema.ts'

t.test('every digit of every script is read as what it means', async t => {
  // What each means, from elsewhere: the order of digits within a script is the order of their values.
  const digits = Array.from({ length: 0x110000 }, (_, code) => code).filter(code =>
    (code < 0xD800 || code > 0xDFFF) && /\p{Nd}/u.test(String.fromCodePoint(code))
  )
  t.ok(digits.length > 600 && digits.length % 10 === 0, 'ten a script')
  for (const [index, code] of digits.entries()) {
    if (readTyped(String.fromCodePoint(code)) !== String(index % 10)) t.fail(`U+${code.toString(16)}`)
  }
  for (
    const [script, six] of Object.entries({
      Arab: '٦',
      Deva: '६',
      Thai: '๖',
      Khmr: '៦',
      Mymr: '၆',
      Tibt: '༦',
      wide: '６',
      bold: '𝟔',
      mono: '𝟼'
    })
  ) t.equal(readTyped(six), '6', script)
})

t.test('what the schema lets in is six ASCII digits once it is read, and whatever is six digits so written is let in', async t => {
  const separator = fc.constantFrom('', '', ' ', '-', '\u00a0', '\u2013', '\u2212', '\u200b', '\u2060', '\ufeff', '\u3000', 'ー', '\n')
  const digit = fc.tuple(fc.constantFrom(0x30, 0x660, 0x966, 0xff10, 0x1d7d8), fc.nat(9)).map(([zero, value]) => ({
    value,
    text: String.fromCodePoint(zero + value)
  }))
  fc.assert(fc.property(fc.array(fc.tuple(separator, digit), { minLength: 6, maxLength: 6 }), separator, (parts, last) => {
    const typed = parts.map(([before, { text }]) => before + text).join('') + last
    return Value.Check(TotpCode, typed) && readTyped(typed) === parts.map(([, { value }]) => value).join('')
  }))
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('1', '٢', '३', ' ', '-', 'ー', 'x', '①', '\u0301', '.', '\0', '\ud800'), maxLength: 12 }),
      typed => Value.Check(TotpCode, typed) === /^[0-9]{6}$/.test(readTyped(typed))
    ),
    { numRuns: 3000 }
  )
})
