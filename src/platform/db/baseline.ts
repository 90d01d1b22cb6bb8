import { createHash } from 'node:crypto'
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

/** What is kept of each function as the last migration left it: whether it changed, and whether it can be replaced, is read from that. */
export type FunctionDigests = Record<string, FunctionDigest>
interface FunctionDigest { head: string, statement: string }

/** Its arguments and its answer, and a hash of the statement: without the comment above, which may change without a migration. */
function digestOf ({ text }: SqlFunction): FunctionDigest {
  const statement = text.slice(text.indexOf('CREATE OR REPLACE FUNCTION'))
  const head = statement.slice(statement.indexOf('('), statement.search(/\sLANGUAGE\s/))
  return {
    head: head.replace(/\s+/g, ' ').replace(/(?<=\() | (?=\))/g, ''),
    statement: createHash('sha256').update(statement).digest('hex')
  }
}

/** The SQL that leads from the functions of the last migration to those that are: '' if none changed. */
export function functionsSql (before: FunctionDigests, functions: SqlFunction[]): string {
  const changes = functions.flatMap(each => {
    const [was, is] = [before[each.name], digestOf(each)]
    if (was === undefined) return [each.text]
    // PostgreSQL replaces no function by one with other arguments or another answer.
    return was.statement === is.statement ? [] : [was.head === is.head ? each.text : `DROP FUNCTION ${each.name};\n${each.text}`]
  })
  const removed = Object.keys(before).filter(name => functions.every(each => each.name !== name))
  return [...changes, ...removed.map(name => `DROP FUNCTION ${name};\n`)].join('\n')
}

/** The SQL that makes the database from nothing: what Prisma writes, and the functions, where `baseline.sql` (see its head) wants them. */
export async function baselineSql (dir: string): Promise<string> {
  const model = await diffSql({ from: 'empty', to: readFileSync(join(dir, 'schema.prisma'), 'utf8') })
  const [, ...paragraphs] = readFileSync(join(dir, 'baseline.sql'), 'utf8').split('\n\n')
  const lines = paragraphs.join('\n\n').split('\n')
  const [plain = '', ...indexes] = model.split(/^(?=-- (?:CreateIndex|AddForeignKey))/m)
  const tables = lines.filter(isAddition).reduce(amended, plain)
  const functions = new Map(readFunctions(dir).map(({ name, text }) => [name, text]))

  const take = (name: string): string | undefined => {
    const text = functions.get(name)
    functions.delete(name)
    return text
  }
  const parts: Record<string, () => string> = {
    '--! tables': () => tables,
    '--! indexes': () => indexes.join(''),
    '--! functions': () => [...functions.keys()].map(take).join('\n')
  }
  const textFor = (line: string): string => {
    const text = parts[line]?.() ?? take(line.replace('--! function ', ''))
    if (text === undefined) throw new Error(`baseline.sql asks for what is not there, or was there before: ${line}`)
    return text.trim()
  }
  const body = lines.filter(line => !isAddition(line)).map(line => line.startsWith('--! ') ? textFor(line) : line)
  return [HEAD, '', ...body].join('\n')
}

const HEAD = '-- Written by `npm run migrate:baseline` from schema.prisma, baseline.sql and functions/: a change is made there.'
const isAddition = (line: string): boolean => line.startsWith('--!   ')

/** The tables with one addition: behind a column's type, or behind a table's bracket. */
function amended (tables: string, line: string): string {
  const [, kind, table, column, addition] = /^--! {3}(column|table) (\w+)\.?(\w*) (.+)$/.exec(line) ?? []
  const end = kind === 'column' ? `    "${column}" [^,\\n]+` : '\\)'
  const place = new RegExp(`CREATE TABLE "${table}" \\([^;]*?\\n${end}`)
  if (!place.test(tables)) throw new Error(`baseline.sql adds to what schema.prisma does not have: ${line}`)
  return tables.replace(place, found => `${found} ${addition}`)
}

/** Beside the migrations, what the newest of them leaves: the next one is the difference to it. By the names of their files. */
export function copiesOf (dir: string): Record<string, string> {
  const digests = readFunctions(dir).map(each => `  ${JSON.stringify(each.name)}: ${JSON.stringify(digestOf(each))}`)
  return {
    'schema.prisma': readFileSync(join(dir, 'schema.prisma'), 'utf8'),
    'functions.json': `{\n${digests.join(',\n')}\n}\n`,
    'migration_lock.toml': 'provider = "postgresql"\n'
  }
}
