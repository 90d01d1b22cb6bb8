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
  ...[...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => (heading as string).toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')),
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
  const missing = PAGES.flatMap(page => [...read(page).matchAll(/`((?:src|test|prisma|scripts|examples|bench|ops|deploy|docs|clients)\/[\w./-]*(?:\.\w+|\/))`/g)]
    .map(([, path]) => path as string)
    .filter(path => !existsSync(path) && !existsSync(join(dirname(page), path)))
    .map(path => `${page}: ${path}`))
  t.same(missing, [])
  t.end()
})
