// The example, started in a folder with a space and an umlaut in its name.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { freePort } from '../../../test/helpers/gateways.ts'
import { until } from '../../../test/helpers/until.ts'

const { NODE_OPTIONS: _, ...inherited } = process.env
const parent = mkdtempSync(join(tmpdir(), 'headless-mfa-folder-'))
chmodSync(parent, 0o755)
t.teardown(() => { rmSync(parent, { recursive: true, force: true }) })
const folder = join(parent, 'my "own" über project')
const TMPDIR = join(parent, 'tmp with space')
for (const dir of [folder, TMPDIR]) mkdirSync(dir)

t.test('it starts, serves its pages, and at Ctrl-C nothing is left', { timeout: 110_000 }, async t => {
  const files = execFileSync('git', [
    'ls-files',
    '-z',
    'src',
    'examples',
    'clients',
    'scripts',
    'prisma',
    'package.json',
    'tsconfig.json',
    'prisma.config.ts'
  ], { encoding: 'utf8' })
  for (const file of files.split('\0').filter(name => name !== '')) cpSync(file, join(folder, file))
  cpSync('src/platform/db/generated', join(folder, 'src/platform/db/generated'), { recursive: true })
  symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'))
  const port = await freePort()
  const child = spawn(process.execPath, ['--import=./scripts/run.mjs', 'examples/front-end/start.ts'], {
    cwd: folder,
    env: { ...inherited, TMPDIR, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => { child.kill('SIGKILL') })
  const ended = once(child, 'exit')
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { text += String(chunk) })
  await until(() => text.includes('Ctrl-C ends it') || child.exitCode !== null, { withinMs: 90_000 })
  t.match(text, `http://localhost:${port}`)
  const page = await fetch(`http://127.0.0.1:${port}/sign-in`)
  t.match([page.status, await page.text()], [200, /<div id|<main|<!doctype html>/i])
  t.equal((await fetch(`http://127.0.0.1:${port}/app/api/documents`)).status, 401, 'the gateway asks')

  const taken = spawn(process.execPath, ['--import=./scripts/run.mjs', 'examples/front-end/start.ts'], {
    cwd: folder,
    env: { ...inherited, TMPDIR, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let why = ''
  taken.stderr.on('data', chunk => { why += String(chunk) })
  t.same(await once(taken, 'close'), [1, null])
  t.equal(why, `Port ${port} is taken (EADDRINUSE): stop what uses it, or set PORT to another.\n`)

  child.kill('SIGINT')
  t.same(await ended, [0, null])
  t.same(readdirSync(TMPDIR).filter(name => name.startsWith('headless-mfa-')), [])
})
