/** What is not text in the encoding that it should be in. */
export class DecodeError extends Error {
  override name = 'DecodeError'
  /** @param place `line 3, column 7`: where the first byte is that does not belong */
  constructor (readonly place: string) { super(`the first byte that is no text: ${place}`) }
}

/**
 * Text, without its byte order mark. Nothing is replaced: a replaced byte is another name.
 * @throws DecodeError
 */
export function decodeText (bytes: Uint8Array, encoding = 'utf-8'): string {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch {
    throw new DecodeError(placeAfter(readableStart(bytes, encoding)))
  }
}

/** What comes before the first byte that is none of this encoding. */
function readableStart (bytes: Uint8Array, encoding: string): string {
  const start = (end: number): string => new TextDecoder(encoding, { fatal: true }).decode(bytes.subarray(0, end), { stream: true })
  let [good, bad] = [0, bytes.length + 1]
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    try {
      start(middle)
      good = middle
    } catch {
      bad = middle
    }
  }
  return start(good)
}

/** Where the reader finds what follows this text. */
export function placeAfter (text: string): string {
  const lines = text.split(/\r\n|\r|\n/)
  return `line ${lines.length}, column ${[...lines.at(-1) as string].length + 1}`
}
