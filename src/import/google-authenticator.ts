import { type Found, ImportError, login, type Reason, takeSecret, text } from './found.ts'
import { readLabel } from './key-uri.ts'
import { type Field, readFields } from './protobuf.ts'

/**
 * Google Authenticator: the `otpauth-migration:` URIs of its QR codes, one a line. It stores no period, since its own is 30 seconds.
 * An export of many is of several codes, and all of them must be there.
 */
export function readGoogleAuthenticator (file: string): Found[] {
  const batches = new Map<string, { size: number, indexes: Set<number> }>()
  const found = file.split(/\r?\n/).flatMap((line, index) => {
    if (line.trim() === '') return []
    const fields = readFields(payloadOf(line.trim(), index + 1))
    const id = `${numberIn(fields, 5)}/${numberIn(fields, 3)}`
    const batch = batches.get(id) ?? { size: numberIn(fields, 3), indexes: new Set() }
    batches.set(id, batch)
    batch.indexes.add(numberIn(fields, 4))
    return bytesIn(fields, 1).map((entry, nth) => readEntry(readFields(entry), `${index + 1}/${nth + 1}`))
  })
  if (batches.size === 0) throw new ImportError('The file has no otpauth-migration: URI.')
  for (const { size, indexes } of batches.values()) {
    const has = `${indexes.size} of the ${size}`
    if (indexes.size < size) throw new ImportError(`The file has ${has} QR codes of one export: add the others, each on a line.`)
  }
  return found
}

function payloadOf (uri: string, line: number): Uint8Array {
  const [, escaped = ''] = /^otpauth-migration:\/\/offline\/?\?(?:.*&)?data=([^&]+)/i.exec(uri) ?? []
  const data = escaped.replace(/%2B/gi, '+').replace(/%2F/gi, '/').replace(/%3D/gi, '=')
  if (!/^[A-Za-z0-9+/_-]+=*$/.test(data)) throw new ImportError(`Line ${line} is not a whole otpauth-migration: URI.`)
  return Buffer.from(data, 'base64')
}

const bytesIn = (fields: Field[], number: number): Uint8Array[] =>
  fields.flatMap(field => field.number === number && field.value instanceof Uint8Array ? [field.value] : [])

/** The last of them counts; none is 0. */
function numberIn (fields: Field[], number: number): number {
  const values = fields.flatMap(field => field.number === number && typeof field.value === 'bigint' ? [field.value] : [])
  return Number(BigInt.asIntN(32, values.at(-1) ?? 0n))
}

function readEntry (fields: Field[], row: string): Found {
  const other = otherThanOurs(fields)
  const content = other === undefined ? takeSecret(Buffer.from(bytesIn(fields, 1).at(-1) ?? [])) : { reason: other }
  try {
    const { issuer, account } = readLabel(textIn(fields, 2), textIn(fields, 3))
    return { row, ...login(account), issuer, content }
  } catch {
    return { row, content: { reason: 'malformed' } }
  }
}

/** @throws TypeError if it isn't UTF-8 */
const textIn = (fields: Field[], number: number): string | undefined =>
  text(new TextDecoder('utf-8', { fatal: true }).decode(bytesIn(fields, number).at(-1)))

/** Its numbers: 0 is what it has without one, 1 is SHA-1 and six digits, 2 is TOTP. */
function otherThanOurs (fields: Field[]): Reason | undefined {
  const [algorithm, digits, type] = [numberIn(fields, 4), numberIn(fields, 5), numberIn(fields, 6)]
  if (type !== 0 && type !== 2) return 'not_totp'
  if (algorithm !== 0 && algorithm !== 1) return 'not_sha1'
  return digits === 0 || digits === 1 ? undefined : 'not_six_digits'
}
