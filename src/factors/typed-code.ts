/** What may stand between the characters of a code: white space, dashes, and what is invisible. Part of a pattern with the flag `u`. */
export const SEPARATOR = '[\\s\\p{Z}\\p{Pd}\\p{Cf}−ー]'

const SEPARATORS = new RegExp(SEPARATOR, 'gu')

/** What a user means by a code that they type or paste: nothing between its characters, and the digits of any script as ours. */
export const readTyped = (typed: string): string => typed.replace(SEPARATORS, '').replace(/\p{Nd}/gu, digitOf)

/** In each script the digits follow each other from zero to nine (Unicode, section 4.6), and those of some touch the next. */
function digitOf (digit: string): string {
  const code = digit.codePointAt(0) as number
  let first = code
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first--
  return String((code - first) % 10)
}
