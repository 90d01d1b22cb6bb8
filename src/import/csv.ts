import { type CsvError, parse } from 'csv-parse/sync'
import { ImportError } from './found.ts'

export interface CsvRow { line: number, cells: string[] }

/** With `info`. */
interface Parsed { info: { lines: number }, record: string[] }

/** RFC 4180, or with the semicolons or tabs that spreadsheets write; which of them, the first line says. */
export function readCsv (file: string): CsvRow[] {
  const [first] = file.split(/[\r\n]/, 1) as [string]
  const delimiter = ['\t', ',', ';'].find(sign => first.includes(sign)) ?? ','
  try {
    const rows = parse(file, { delimiter, info: true, skip_empty_lines: true, trim: true, relax_column_count: true }) as unknown as Parsed[]
    return rows.map(({ info, record }) => ({ line: info.lines, cells: record }))
  } catch (error) {
    const { code, lines } = error as CsvError & { lines: number }
    throw new ImportError(`The file is not CSV: line ${lines}, ${code}.`)
  }
}
