import { type CsvRow, readCsv } from './csv.ts'
import { type Found, ImportError, login, refuseOthers, takeBase32, takeHex, text } from './found.ts'

type Column = 'user' | 'serial' | 'secret' | 'hex' | 'type' | 'digits' | 'period' | 'algorithm' | 'other'

/** What vendors and servers call them, without spaces and signs. */
const NAMES: Record<Column, string[]> = {
  user: ['upn', 'userprincipalname', 'user', 'username'],
  serial: ['serialnumber', 'serial', 'tokenidentifier'],
  secret: ['secretkey', 'secret'],
  hex: ['secretkeyhex', 'seed'],
  type: ['type'],
  digits: ['digits', 'otplength', 'otplen'],
  period: ['timeinterval', 'timestep', 'period', 'interval'],
  algorithm: ['algorithm', 'hash', 'hashlib'],
  other: ['manufacturer', 'model', 'resolver', 'realm']
}

function columnOf (cell: string): Column | undefined {
  const name = cell.toLowerCase().replace(/[^a-z0-9]/g, '')
  return (Object.keys(NAMES) as Column[]).find(column => NAMES[column].includes(name))
}

/** Entra's, if they are not named. */
const ENTRA: Column[] = ['user', 'serial', 'secret', 'period', 'other', 'other']
/** privacyIDEA's and LinOTP's; with `# version: 2` there are users before them. */
const OATH: Column[] = ['serial', 'hex', 'type', 'digits', 'period', 'algorithm']
const OATH_USERS: Column[] = ['user', 'other', 'other']
/** Bytes: of another length it's another hash, or an unknown one. */
const SHA1_SEED = 20

/**
 * Tokens of an OATH server or vendor: with a line of names, as Entra ID wants it, or without, as privacyIDEA does. Whose it is,
 * the column of users says; without one the serial number is the id, if subjects were put there.
 */
export function readOathCsv (file: string): Found[] {
  const isVersion2 = /^#\s*version:\s*2\s*$/m.test(file.split('\n', 1)[0] as string)
  const rows = readCsv(file).filter(({ cells: [first] }) => first?.startsWith('#') !== true)
  const [first] = rows
  if (first === undefined) throw new ImportError('The file has no lines.')
  const names = first.cells.map(columnOf)
  if (names.includes('secret') || names.includes('hex')) return readNamed(rows.slice(1), names)
  const isOath = ({ cells }: CsvRow): boolean => isVersion2 || cells.length !== ENTRA.length || /^(t|h)otp$/i.test(cells[2] as string)
  return rows.map(row => isOath(row) ? readOath(row, isVersion2) : readRow(row, ENTRA))
}

function readNamed (rows: CsvRow[], names: Array<Column | undefined>): Found[] {
  const unknown = names.indexOf(undefined)
  const known = Object.values(NAMES).flat().join(', ')
  if (unknown !== -1) throw new ImportError(`Column ${unknown + 1} has a name that is not known here. Known are: ${known}.`)
  const telling = names.filter(name => name !== 'other').map(name => name === 'hex' ? 'secret' : name)
  if (new Set(telling).size < telling.length) throw new ImportError('The first line names two columns that mean the same.')
  if (!names.includes('period')) throw new ImportError('The first line must name the time interval: its column is missing.')
  return rows.map(row => readRow(row, names as Column[]))
}

function readOath (row: CsvRow, isVersion2: boolean): Found {
  const columns = isVersion2 ? [...OATH_USERS, ...OATH] : OATH
  const found = readRow(row, columns.slice(0, row.cells.length), { type: 'hotp', period: '30' })
  const isComplete = row.cells.length === columns.length
  const isUnclear = !isComplete && 'secret' in found.content && found.content.secret.length !== SHA1_SEED
  return isUnclear ? { ...found, content: { reason: 'not_sha1' } } : found
}

function readRow ({ line, cells }: CsvRow, columns: Column[], without: Partial<Record<Column, string>> = { type: 'totp' }): Found {
  const given = (name: Column): string | undefined => text(cells[columns.indexOf(name)]) ?? without[name]
  const [serial, user] = [given('serial'), given('user')]
  const who = { row: String(line), key: serial, id: user === undefined ? serial : undefined, ...login(user) }
  if (cells.length !== columns.length) return { ...who, content: { reason: 'malformed' } }
  if (given('type')?.toLowerCase() !== 'totp') return { ...who, content: { reason: 'not_totp' } }
  const other = refuseOthers({ algorithm: given('algorithm') ?? 'SHA1', digits: given('digits') ?? 6, period: given('period') })
  if (other !== undefined) return { ...who, content: { reason: other } }
  return { ...who, content: columns.includes('hex') ? takeHex(given('hex') ?? '') : takeBase32(given('secret') ?? '') }
}
