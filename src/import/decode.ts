import { type DecodeError, decodeText, placeAfter } from '../platform/decode.ts'
import { ImportError } from './found.ts'

const BYTE_ORDER_MARKS: Array<[mark: string, encoding: string]> = [['fffe', 'utf-16le'], ['feff', 'utf-16be']]
const PACKED: Array<[magic: string, name: string]> = [['1f8b', 'gzip'], ['504b0304', 'ZIP']]

/**
 * The text of a file: UTF-8, or UTF-16 that begins with its byte order mark. Nothing is replaced: where a byte of a name is, another
 * user may be meant.
 * @throws ImportError that says in which line and column the first byte is that is neither
 */
export function decodeFile (bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 4)).toString('hex')
  const packed = PACKED.find(([magic]) => head.startsWith(magic))
  if (packed !== undefined) throw new ImportError(`The file is packed by ${packed[1]}: unpack it first.`)
  const encoding = BYTE_ORDER_MARKS.find(([mark]) => head.startsWith(mark))?.[1] ?? 'utf-8'
  let text: string
  try {
    text = decodeText(bytes, encoding)
  } catch (error) {
    const name = encoding === 'utf-8' ? 'UTF-8' : 'UTF-16'
    throw new ImportError(`The file is not ${name}: ${(error as DecodeError).place}. Export it as UTF-8.`)
  }
  const nul = text.indexOf('\0')
  if (nul === -1) return text
  const place = placeAfter(text.slice(0, nul))
  throw new ImportError(`The file has a NUL character: ${place}. Export it as UTF-8, or as UTF-16 with a byte order mark.`)
}
