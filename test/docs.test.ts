// What the pages promise of themselves: their links lead somewhere, their tables are those of the code, their files exist.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import { configurationTable } from '../scripts/configuration-table.ts'

const FOLDERS = ['docs', 'deploy', 'examples', 'clients/typescript', 'prisma/functions', 'test/helpers']
const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...FOLDERS.flatMap(folder =>
  readdirSync(folder).filter(name => name.endsWith('.md')).map(name => `${folder}/${name}`))]
const read = (path: string): string => readFileSync(path, 'utf8')

/** As GitHub makes them of headings. */
const anchorsOf = (text: string): string[] => [
  ...[...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    (heading as string).toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')
  ),
  ...[...text.matchAll(/<a id="([\w-]+)">/g)].map(([, id]) => id as string)
]

t.test('every link of a page leads to a file and a heading that exist', t => {
  const broken = PAGES.flatMap(page => [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string)
    .filter(target => !target.includes(':'))
    .filter(target => {
      const [file, anchor] = target.split('#') as [string, string?]
      const path = file === '' ? page : normalize(join(dirname(page), file))
      return !existsSync(path) || (anchor !== undefined && !anchorsOf(read(path)).includes(anchor))
    })
    .map(target => `${page}: ${target}`))
  t.ok(PAGES.length > 20)
  t.same(broken, [])
  t.end()
})

t.test('every page of docs/ is in its table of contents, and the README can be read at a sitting', t => {
  const contents = read('docs/README.md')
  t.same(readdirSync('docs').filter(name => name.endsWith('.md') && name !== 'README.md' && !contents.includes(`](${name})`)), [])
  t.ok(read('README.md').split('\n').length <= 151)
  t.end()
})

t.test('docs/configuration.md has every variable as the code has it', t => {
  t.equal(/<!-- configuration: .* -->\n([\s\S]*)<!-- \/configuration -->/.exec(read('docs/configuration.md'))?.[1], configurationTable())
  t.end()
})

t.test('each file and folder that a page names exists', t => {
  const missing = PAGES.flatMap(page =>
    [...read(page).matchAll(/`((?:src|test|prisma|scripts|examples|bench|ops|deploy|docs|clients)\/[\w./-]*(?:\.\w+|\/))`/g)]
      .map(([, path]) => path as string)
      .filter(path => !existsSync(path) && !existsSync(join(dirname(page), path)))
      .map(path => `${page}: ${path}`))
  t.same(missing, [])
  t.end()
})

t.test('the client\'s README lists every function that it has', t => {
  const functions = [...read('clients/typescript/src/operations.ts').matchAll(/^ {2}(\w+): \(/gm)].map(([, name]) => name as string)
  const rows = /\| for \| functions \|\n[^\n]*\n((?:\|.*\n)+)/.exec(read('clients/typescript/README.md'))?.[1] as string
  t.same([...rows.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort(), functions.sort())
  t.end()
})

/** "They" for a user, and a noun for who does something. What is quoted is the code's, or the log's. */
const RIDDLES = /\b(he|him|his|himself|whoever|whom|nobody|somebody|anybody|everybody)\b/i

t.test('the pages are in plain English: they say who, and a user is "they"', t => {
  const found = PAGES.flatMap(page => read(page).replaceAll(/\]\([^)]*\)/g, ']').replaceAll(/`[^`\n]*`/g, '').split('\n')
    .flatMap((line, index) => RIDDLES.test(line) ? [`${page}:${index + 1}: ${line}`] : []))
  t.same(found, [])
  t.end()
})
