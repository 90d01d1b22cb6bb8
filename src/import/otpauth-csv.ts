import { type CsvError, parse } from 'csv-parse/sync'
import { type HOTP, TOTP, URI } from 'otpauth'
import { type Found, ImportError, refuseOthers, takeSecret, text } from './found.ts'

const COLUMNS = ['subject', 'account', 'otpauth']

/** A table of any other system: the columns `subject`, `account` and `otpauth` (a key URI), RFC 4180, with a line of names. */
export function readOtpauthCsv (file: string): Found[] {
  let lines: Array<{ info: { lines: number }, record: Record<string, string> }>
  try {
    lines = parse(file, { columns: true, bom: true, info: true, skip_empty_lines: true, trim: true }) as never
  } catch (error) {
    const { code, lines } = error as CsvError & { lines: number }
    throw new ImportError(`The file is not CSV: line ${lines}, ${code}.`)
  }
  if (lines.some(({ record }) => Object.keys(record).sort().join() !== [...COLUMNS].sort().join())) throw new ImportError(`The first line must name the columns ${COLUMNS.join(',')}.`)
  const counts = new Map<string, number>()
  return lines.map(({ info, record: { subject = '', account, otpauth } }) => {
    const nth = (counts.get(subject) ?? 0) + 1
    counts.set(subject, nth)
    return { row: String(info.lines), key: String(nth), id: text(subject), username: text(account), ...readUri(otpauth as string) }
  })
}

function readUri (uri: string): Pick<Found, 'label' | 'content'> {
  let otp: TOTP | HOTP
  try { otp = URI.parse(uri) } catch { return { content: { reason: 'malformed' } } }
  if (!(otp instanceof TOTP)) return { content: { reason: 'not_totp' } }
  const other = refuseOthers(otp)
  return { content: other === undefined ? takeSecret(Buffer.from(otp.secret.bytes)) : { reason: other } }
}
