import t from 'tap'
import { decodeFile } from '../../src/import/decode.ts'

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
const utf16 = (text: string, isBig = false): Buffer => {
  const bytes = Buffer.from(`\uFEFF${text}`, 'utf16le')
  return isBig ? bytes.swap16() : bytes
}

t.test('text is UTF-8, or UTF-16 of either order, with its byte order mark', async t => {
  const text = 'subject,account\r\njürgen,Жанна 💥\r\n'
  for (const bytes of [Buffer.from(text), Buffer.from(`\uFEFF${text}`), utf16(text), utf16(text, true)]) t.equal(decodeFile(bytes), text)
  t.equal(decodeFile(Buffer.alloc(0)), '')
})

t.test('a byte that is none of it is never replaced: the file is refused, and the message names line and column', async t => {
  const cases: Array<[Buffer, RegExp]> = [
    [latin1('jürgen'), /^The file is not UTF-8: line 1, column 2\. Export it as UTF-8\.$/],
    [latin1('subject,account\nann,x\nmarie,Ren\xe9\n'), /: line 3, column 10\./],
    [latin1('a\r\nb\rc\xfc'), /: line 3, column 2\./],
    [Buffer.concat([Buffer.from('Grüße,💥,'), latin1('\x80')]), /: line 1, column 9\./],
    // A character that is cut off, an over-long one, and half of a pair.
    [Buffer.from('zoë').subarray(0, 3), /: line 1, column 3\./],
    [latin1('x\xc0\xaf'), /: line 1, column 2\./],
    [latin1('x\xed\xa0\x80'), /: line 1, column 2\./],
    [utf16('name\n\ud800x'), /^The file is not UTF-16: line 2, column 1\./],
    [utf16('name').subarray(0, 9), /^The file is not UTF-16: line 1, column 4\./],
    // UTF-16 without its mark is UTF-8 with many NULs.
    [
      utf16('[1]').subarray(2),
      /^The file has a NUL character: line 1, column 2\. Export it as UTF-8, or as UTF-16 with a byte order mark\.$/
    ],
    [Buffer.from('one\nt\0wo'), /: line 2, column 2\./],
    [latin1('\x1f\x8b\x08\x00'), /^The file is packed by gzip: unpack it first\.$/],
    [latin1('PK\x03\x04'), /packed by ZIP/]
  ]
  for (const [bytes, message] of cases) t.throws(() => decodeFile(bytes), { name: 'ImportError', message })
})
