// The TypeScript of the pages: all of it compiles against what is published, and the passkey of docs/passkeys.md works as it stands.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import t from 'tap'
import { stage } from './page.ts'

const SOURCES = join(import.meta.dirname, '../src')
const PAGES = ['clients/typescript/README.md', 'docs/passkeys.md']
const blocksOf = (text: string): string[] => [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block]) => block as string)

/** What a page's reader has already. */
const READERS = `
  declare const mfa: import('@headless-mfa/client').MfaClient
  declare const problemOf: typeof import('@headless-mfa/client').problemOf
  declare const session: { accessToken: string }
  declare const code: string
  declare const setUp: HTMLButtonElement, prove: HTMLButtonElement, button: HTMLButtonElement
  declare function enter (): void
  declare function login (): void
  declare function turnAway (): void
  declare function say (text: string): void
  declare function show (page: string): void
  declare function explain (what: unknown): void
  declare function showOnce (codes: string[]): void
  declare function countDown (seconds: number): void
  declare function askForCode (): Promise<string>`

/** As a module whose imports stand before a function, in which a page may return. */
const wrapped = (block: string): string => {
  const lines = block.split('\n')
  const isImport = (line: string): boolean => line.startsWith('import ')
  return `${lines.filter(isImport).join('\n')}\nexport async function block () {\n${lines.filter(line => !isImport(line)).join('\n')}\n}\n`
}

t.test('what the pages show compiles', t => {
  const dir = t.testdir({
    'reader.d.ts': READERS,
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        allowImportingTsExtensions: true,
        target: 'es2022',
        module: 'esnext',
        moduleResolution: 'bundler',
        lib: ['es2022', 'dom'],
        types: [],
        skipLibCheck: true,
        paths: { '@headless-mfa/client': [join(SOURCES, 'index.ts')], '@headless-mfa/client/passkeys': [join(SOURCES, 'passkeys.ts')] }
      }
    })
  })
  const blocks = PAGES.flatMap(page => blocksOf(readFileSync(page, 'utf8')))
  t.ok(blocks.length > 5)
  for (const [index, block] of blocks.entries()) writeFileSync(join(dir, `block-${index}.ts`), wrapped(block))
  const tsc = (): string => {
    try {
      return execFileSync('node_modules/.bin/tsc', ['-p', dir], { encoding: 'utf8' })
    } catch (error) {
      return (error as { stdout: string }).stdout
    }
  }
  t.equal(tsc(), '')
  writeFileSync(join(dir, 'block-0.ts'), wrapped('await mfa.verifi({ code })'))
  t.match(tsc(), /verifi/, 'a call that there is not is found')
  t.end()
})

t.test('the passkey of docs/passkeys.md is set up and proved on a page of a reader', async t => {
  const { service, visit } = await stage(t)
  const marked = readFileSync('docs/passkeys.md', 'utf8').split('<!-- run by clients/typescript/test/docs.test.ts -->')[1] as string
  const { outputFiles: [script] } = await build({
    stdin: { contents: (blocksOf(marked)[0] as string).replace('https://mfa.example.com', service.url), loader: 'ts', resolveDir: SOURCES },
    alias: { '@headless-mfa/client': join(SOURCES, 'index.ts'), '@headless-mfa/client/passkeys': join(SOURCES, 'passkeys.ts') },
    bundle: true,
    format: 'esm',
    write: false
  })
  const user = service.user({ sid: 's1' })
  const { page, device } = await visit(user)
  const open = async (): Promise<void> => {
    await page.reload()
    await page.setContent('<button id="setUp">Set up</button><button id="prove">Prove</button><p id="said"></p>')
    await page.evaluate(`
      session = { accessToken: ${JSON.stringify(user.token())} }
      say = text => { document.querySelector('#said').textContent = text }
      showOnce = codes => say(codes.length + ' codes')
      enter = ({ acr }) => say(acr)`)
    await page.addScriptTag({ content: script?.text as string, type: 'module' })
  }
  const [setUp, prove] = [page.getByText('Set up'), page.getByText('Prove')]
  const says = (text: string): Promise<void> => page.getByText(text, { exact: true }).waitFor()
  await open()
  await prove.waitFor({ state: 'hidden' })
  await setUp.click()
  await says('10 codes')
  await setUp.click()
  await says('already_here')
  await open()
  await prove.click()
  await says('phr')
  await device.setVerified(false)
  await prove.click()
  await says('cancelled')
})
