import { parseDocument } from 'yaml'
import { type Found, ImportError, isObject, type Json, login, numbered, refuseOthers, takeBase32, text } from './found.ts'
import { readKeyUri } from './key-uri.ts'

const CSV_COLUMNS = ['issuer', 'username', 'algorithm', 'digits', 'period', 'secret']

/** Authelia: `authelia storage user totp export`, which writes YAML, or with `csv` or `uri` behind it the other two. */
export function readAuthelia (file: string): Found[] {
  const lines = file.split(/\r?\n/)
    .map((line, index) => ({ line: line.trim(), row: String(index + 1) }))
    .filter(({ line }) => line !== '' && !line.startsWith('Successfully exported '))
  if (lines[0]?.line === CSV_COLUMNS.join()) return lines.slice(1).map(({ line, row }) => readCsvLine(line, row))
  if (lines[0]?.line.startsWith('otpauth:') === true) return lines.map(({ line, row }) => readUriLine(line, row))
  return readYaml(file)
}

/** It quotes nothing: with a comma in a name, it is not known where the name ends. */
function readCsvLine (line: string, row: string): Found {
  const cells = line.split(',')
  if (cells.length !== CSV_COLUMNS.length) return { row, content: { reason: 'malformed' } }
  return readConfiguration(Object.fromEntries(CSV_COLUMNS.map((name, index) => [name, cells[index]])), cells.at(-1) as string, row)
}

function readUriLine (line: string, row: string): Found {
  const { account, content } = readKeyUri(line)
  return { row, ...login(account), content }
}

function readYaml (file: string): Found[] {
  // Every value as the text that stands there: a user name of digits, or `no`, is a name.
  const document = parseDocument(file, { schema: 'failsafe' })
  const [error] = document.errors
  if (error !== undefined) throw new ImportError(`The file is not YAML: line ${file.slice(0, error.pos[0]).split('\n').length}.`)
  const parsed = document.toJS() as unknown
  const list = isObject(parsed) ? parsed.totp_configurations : undefined
  if (!Array.isArray(list)) throw new ImportError('The file is not an export of Authelia: it has no totp_configurations.')
  return numbered(list).map(({ number, entry }) => {
    // The base64 of the base32.
    const secret = Buffer.from(text(entry.secret) ?? '', 'base64').toString('latin1')
    return readConfiguration(entry, secret, number)
  })
}

function readConfiguration ({ username, algorithm, digits, period }: Json, secret: string, row: string): Found {
  const other = refuseOthers({ algorithm, digits, period })
  return { row, ...login(text(username)), content: other === undefined ? takeBase32(secret) : { reason: other } }
}
