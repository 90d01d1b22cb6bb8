// docs/ci.md as it stands, in a project of its own: the built packages, a page that uses the client, and Playwright in Debian's Chromium.
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import t from 'tap'
import { parse } from 'yaml'
import { BROWSER } from '../helpers/browser.ts'
import { freePort } from '../helpers/gateways.ts'

const PAGE = readFileSync('docs/ci.md', 'utf8')
/** The block under that mark. */
const block = (mark: string): string => {
  const at = PAGE.indexOf(`<!-- run by test/e2e/ci-page.test.ts: ${mark} -->`)
  if (at < 0) throw new Error(`docs/ci.md has no ${mark}`)
  return /```\w+\n([\s\S]*?)```/.exec(PAGE.slice(at))?.[1] as string
}
/** Of this test alone, so that what is left there is the service's. The user that runs PostgreSQL for root may go through it. */
const TMPDIR = mkdtempSync(join(tmpdir(), 'headless-mfa-ci-page-'))
chmodSync(TMPDIR, 0o755)
t.teardown(() => { rmSync(TMPDIR, { recursive: true, force: true }) })
const { NODE_OPTIONS: _, NODE_ENV: __, ...inherited } = process.env
const env = { ...inherited, TMPDIR }
const left = (): string[] => readdirSync(TMPDIR).filter(name => name.startsWith('headless-mfa-disposable-'))

/** The packages as npm would install them: what their `files` name, built. They find what they depend on in ours. */
function installed (): string {
  const project = t.testdir({ tests: {}, node_modules: { '.bin': {}, 'headless-mfa': {}, '@headless-mfa': { client: {} } } })
  const modules = join(project, 'node_modules')
  for (const [from, to, build] of [
    ['.', 'headless-mfa', ['scripts/build.mjs']],
    // Without the types, which are checked elsewhere, it takes a second.
    ['clients/typescript', '@headless-mfa/client', [
      'node_modules/typescript/bin/tsc',
      '-p',
      'clients/typescript/tsconfig.json',
      '--noCheck',
      '--declaration',
      'false',
      '--outDir'
    ]]
  ] as const) {
    const { files } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as { files: string[] }
    execFileSync(process.execPath, [...build, join(modules, to, 'dist')])
    for (const file of ['package.json', ...files.filter(file => file !== 'dist')]) {
      cpSync(join(from, file), join(modules, to, file), { recursive: true })
    }
  }
  mkdirSync(join(modules, '.bin'), { recursive: true })
  const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { bin: Record<string, string> }
  execFileSync('chmod', ['+x', join(modules, 'headless-mfa', bin['headless-mfa'] as string)])
  symlinkSync(join('../headless-mfa', bin['headless-mfa'] as string), join(modules, '.bin/headless-mfa'))
  symlinkSync(join(process.cwd(), 'node_modules/.bin/playwright'), join(modules, '.bin/playwright'))
  return project
}

/** The reader's application: a page that asks for a code where it must, and hands /mfa/ on. */
async function writeApplication (project: string, port: number): Promise<void> {
  const { outputFiles: [client] } = await build({
    stdin: { contents: 'export * from "./index.ts"; export * from "./passkeys.ts"', resolveDir: 'clients/typescript/src' },
    bundle: true,
    format: 'esm',
    write: false
  })
  writeFileSync(join(project, 'client.js'), client?.text as string)
  writeFileSync(join(project, 'page.html'), `<!doctype html><html lang="en"><title>App</title><h1>Sign in</h1>
    <form hidden><label>Code <input name="code"></label><button>Continue</button><button type="button">Use my passkey</button><p role="alert"></p></form>
    <script type="module">
      import { createMfaClient, prepare, problemOf, provePasskey } from '/client.js'
      const token = new URLSearchParams(location.search).get('token')
      const mfa = createMfaClient({ baseUrl: '', getToken: () => token })
      const form = document.querySelector('form')
      const show = async () => {
        const { decision, subject } = await mfa.getStatus()
        form.hidden = decision.action !== 'verify'
        if (decision.action === 'allow') document.querySelector('h1').textContent = 'Welcome, ' + subject
      }
      form.addEventListener('submit', async event => {
        event.preventDefault()
        try { await mfa.verify({ code: form.code.value }); await show() } catch (error) {
          document.querySelector('[role=alert]').textContent = problemOf(error).code === 'code_refused' ? 'That code did not work.' : String(error)
        }
      })
      if (token) {
        await show()
        const prepared = prepare(mfa)
        form.querySelector('[type=button]').onclick = () => provePasskey(mfa, { prepared }).then(show)
      }
    </script></html>`)
  writeFileSync(join(project, 'app.mjs'), `
    import { readFileSync } from 'node:fs'
    import { createServer } from 'node:http'
    createServer(async (request, response) => {
      if (request.url === '/client.js') return response.writeHead(200, { 'content-type': 'text/javascript' }).end(readFileSync('client.js'))
      if (!request.url.startsWith('/mfa/')) return response.writeHead(200, { 'content-type': 'text/html' }).end(readFileSync('page.html'))
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const { authorization, 'content-type': type } = request.headers
      const answer = await fetch(process.env.MFA_URL + request.url, { method: request.method, headers: { authorization, ...(type && { 'content-type': type }) }, ...(chunks.length > 0 && { body: Buffer.concat(chunks) }) })
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(await answer.text())
    }).listen(${port}, '127.0.0.1')`)
}

t.test(
  "the page's tests and suite pass by the command of its GitHub Actions job, and nothing is left of the service",
  { timeout: 235_000 },
  async t => {
    const project = installed()
    const port = await freePort()
    await writeApplication(project, port)
    writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module', scripts: { start: 'node app.mjs' } }))
    // Two things are of this machine: a free port, and which Chromium.
    const config = block('playwright.config.mjs').replaceAll('4173', String(port)).replace(
      'use: {',
      `use: { launchOptions: ${JSON.stringify(BROWSER)},`
    )
    writeFileSync(join(project, 'playwright.config.mjs'), config)
    for (const file of ['tests/helper.test.mjs', 'tests/sign-in.spec.mjs']) writeFileSync(join(project, file), block(file))
    const job = parse(block('the last step\'s command')) as { jobs: { browser: { steps: Array<{ run?: string }> } } }
    const command = job.jobs.browser.steps.at(-1)?.run as string
    t.match(command, /^npx headless-mfa --test -- /)
    t.equal(
      JSON.parse(readFileSync('clients/typescript/package.json', 'utf8')).version,
      JSON.parse(readFileSync('package.json', 'utf8')).version
    )
    const child = spawn('sh', ['-c', command.replace('npx headless-mfa', 'npx --no-install headless-mfa')], {
      cwd: project,
      env: { ...env, CI: 'true' },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { output += String(chunk) })
    const code = await new Promise(resolve => { child.once('exit', resolve) })
    t.equal(code, 0, output)
    t.match(output, /# pass 2\b/)
    t.match(output, /2 passed/)
    t.same(left(), [])

    const bin = join(project, 'node_modules/.bin/headless-mfa')
    const run = (args: string[], more: Record<string, string> = {}): { code: number, text: string } => {
      try {
        return { code: 0, text: execFileSync(bin, args, { env: { ...env, ...more }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }) }
      } catch (error) {
        const { status, stdout, stderr } = error as { status: number, stdout: string, stderr: string }
        return { code: status, text: stdout + stderr }
      }
    }
    t.match(run(['--test'], { NODE_ENV: 'production' }), { code: 1, text: 'refused where NODE_ENV is production' })
    t.match(run(['--test', '--set', 'NODE_ENV=production']), { code: 1, text: 'refused where NODE_ENV is production' })
    const failing = run(['--test', '--json', '--', 'sh', '-c', 'exit 7'])
    t.equal(failing.code, 7, 'it ends as its command ended')
    t.same(Object.keys(JSON.parse(failing.text)), ['url', 'tokenSecret', 'issuer', 'audience'], 'one line of JSON and nothing else')
    t.same(left(), [])
  })
