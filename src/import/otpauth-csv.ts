import { readCsv } from './csv.ts'
import { type Found, ImportError, text } from './found.ts'
import { readKeyUri } from './key-uri.ts'

const COLUMNS = ['subject', 'account', 'otpauth'] as const

/** A table of any other system: `subject`, `account` and `otpauth` (a key URI). The first line names them, or they stand in this order. */
export function readOtpauthCsv (file: string): Found[] {
  const rows = readCsv(file)
  const names = rows[0]?.cells.map(cell => cell.toLowerCase()) ?? []
  const isNamed = names.length === COLUMNS.length && COLUMNS.every(name => names.includes(name))
  const isInOrder = names.length === COLUMNS.length && /^otpauth:/.test(names[2] as string)
  if (!isNamed && !isInOrder) throw new ImportError(`The first line must name the columns ${COLUMNS.join(',')}.`)
  const [subject, account, otpauth] = COLUMNS.map((name, index) => isNamed ? names.indexOf(name) : index) as [number, number, number]
  return rows.slice(isNamed ? 1 : 0).map(({ line, cells }) => ({
    row: String(line),
    id: text(cells[subject]),
    username: text(cells[account]),
    content: cells.length === COLUMNS.length ? readKeyUri(cells[otpauth] as string).content : { reason: 'malformed' }
  }))
}
