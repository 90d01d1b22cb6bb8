// docs/troubleshooting.md has what users can meet: the sources say what that is.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DATABASE } from '../src/cli/explain.ts'
import { PROBLEMS } from '../src/http/problem.ts'

const PAGE = readFileSync('docs/troubleshooting.md', 'utf8')
const sources = (dir: string): string[] =>
  readdirSync(dir, { recursive: true }).map(name => join(dir, String(name))).filter(name =>
    name.endsWith('.ts') && !name.includes('generated')
  )

/** The texts of these calls, up to what differs from one to the next: a value in it, or what follows a colon. */
function textsOf (files: string[], call: RegExp): string[] {
  const texts = files.flatMap(file =>
    [...readFileSync(file, 'utf8').matchAll(new RegExp(`(?:${call.source})(['\`])((?:\\\\.|(?!\\1).)+)\\1`, 'g'))].map(([, , text]) =>
      (text as string).replaceAll("\\'", "'")
    )
  )
  return [...new Set(texts.map(text => (text.split(/\$\{|[:;,(]/, 1)[0] as string).trim()).filter(text => text.split(' ').length > 1))]
}

function isThere (t: Test, texts: string[], least: number, what: string): void {
  t.same(texts.filter(text => !PAGE.includes(text)), [], what)
  t.ok(texts.length >= least, `${what}: ${texts.length} were found`)
}

t.test('every code of an answer', t => {
  isThere(t, Object.keys(PROBLEMS).map(code => `| \`${code}\` | `), 20, 'codes')
  t.end()
})

t.test('every line that stops a start', t => {
  const configuration = ['src/keys/keys.sql.ts', 'src/platform/db/database-url.ts', ...sources('src/config')]
  isThere(
    t,
    textsOf(configuration, /(?:ConfigError|KeyError|faults\.add|fail)\([^'`\n]*?,\s*|throw new Error\(|const BLANK = |const A_TIME = /),
    55,
    'configuration'
  )
  isThere(
    t,
    textsOf(
      [...sources('src/platform/embedded-postgres'), 'src/platform/db/distribute.ts', 'src/cli/disposable.ts', 'src/cli/maintain.ts'],
      /throw new Error\(/
    ),
    9,
    'the embedded database'
  )
  t.end()
})

t.test('everything that a database may say', t => {
  isThere(t, Object.keys(DATABASE), 20, 'codes of the database')
  isThere(
    t,
    Object.values(DATABASE).map(text => (text.split('. ', 1)[0] as string).replace(/^the server's certificate is /, '')),
    20,
    'and what they mean'
  )
  t.end()
})

t.test('every warning and error of the log', t => {
  isThere(
    t,
    textsOf(
      sources('src'),
      /\blog\.(?:warn|error|fatal)\(\s*(?:\{[^\n]*?\},\s+)?|log\('(?:warn|error)', |^ {2}(?:broken|moved|read_only|unreachable|no_writes|unbounded):\s+/
    ),
    18,
    'lines'
  )
  t.end()
})
