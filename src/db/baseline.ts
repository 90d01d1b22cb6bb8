import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { diffSql } from './migrate.ts'

/** The first migration. Until the first release it is the only one, and is written anew from what it is made of. */
export const BASELINE = '20261128000000_baseline'

/** A function of the database, and the text of its file: a comment that says what it guarantees, and the statement. */
export interface SqlFunction { name: string, text: string }

/** Those of `functions/` in `dir`, in the order of its folders. Each file holds one, of the file's name, so that a call leads to it. */
export function readFunctions (dir: string): SqlFunction[] {
  const folder = join(dir, 'functions')
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.sql')).sort()
  return paths.map(path => {
    const name = basename(path, '.sql')
    const text = readFileSync(join(folder, path), 'utf8')
    const found = [...text.matchAll(/^CREATE OR REPLACE FUNCTION (\w+)/gm)].map(([, each]) => each)
    if (found.join() !== name) throw new Error(`functions/${path} must hold CREATE OR REPLACE FUNCTION ${name}, and no other function.`)
    return { name, text }
  })
}

/** The SQL that makes the database from nothing: what Prisma writes and the functions, where `baseline.sql` wants them (its head says how). */
export async function baselineSql (dir: string): Promise<string> {
  const model = await diffSql({ from: 'empty', to: readFileSync(join(dir, 'schema.prisma'), 'utf8') })
  const [, ...paragraphs] = readFileSync(join(dir, 'baseline.sql'), 'utf8').split('\n\n')
  const lines = paragraphs.join('\n\n').split('\n')
  let [tables = '', ...indexes] = model.split(/^(?=-- (?:CreateIndex|AddForeignKey))/m)
  for (const line of lines.filter(isAddition)) tables = amended(tables, line)
  const functions = new Map(readFunctions(dir).map(({ name, text }) => [name, text]))

  const take = (name: string): string | undefined => {
    const text = functions.get(name)
    functions.delete(name)
    return text
  }
  const textFor = (line: string): string => {
    const text = line === '--! tables'
      ? tables
      : line === '--! indexes'
        ? indexes.join('')
        : line === '--! functions' ? [...functions.keys()].map(take).join('\n') : take(line.replace('--! function ', ''))
    if (text === undefined) throw new Error(`baseline.sql asks for what is not there, or was there before: ${line}`)
    return text.trim()
  }
  const body = lines.filter(line => !isAddition(line)).map(line => line.startsWith('--! ') ? textFor(line) : line)
  return ['-- Written by `npm run migrate:baseline` from schema.prisma, baseline.sql and functions/: a change is made there.', '', ...body].join('\n')
}

const isAddition = (line: string): boolean => line.startsWith('--!   ')

/** The tables with one addition: behind a column's type, or behind a table's bracket. */
function amended (tables: string, line: string): string {
  const [, kind, table, column, addition] = /^--! {3}(column|table) (\w+)\.?(\w*) (.+)$/.exec(line) ?? []
  const place = new RegExp(kind === 'column' ? `(CREATE TABLE "${table}" \\([^;]*?\\n    "${column}" [^,\\n]+)` : `(CREATE TABLE "${table}" \\([^;]*?\\n\\))`)
  if (!place.test(tables)) throw new Error(`baseline.sql adds to what schema.prisma does not have: ${line}`)
  return tables.replace(place, (found: string) => `${found} ${addition}`)
}
