// What is started for a while leaves nothing, however it ends: no folder, no process.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { nodeArguments } from '../helpers/program.ts'
import { until } from '../helpers/until.ts'

const { NODE_OPTIONS: _, NODE_ENV: __, ...inherited } = process.env
const TMPDIR = mkdtempSync(join(tmpdir(), 'headless-mfa-ended-'))
chmodSync(TMPDIR, 0o755) // the user that runs PostgreSQL for root may go through it
t.teardown(() => { rmSync(TMPDIR, { recursive: true, force: true }) })
const left = (): string[] => readdirSync(TMPDIR).filter(name => name.startsWith('headless-mfa-'))
const running = (): string[] => readdirSync('/proc').filter(pid => {
  try { return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(TMPDIR) } catch { return false }
})

interface Program { child: ChildProcess, output: () => string, closed: Promise<unknown[]> }

/** In a process group of its own, as a terminal gives it one. */
function start (path: string, ...args: string[]): Program {
  const child = spawn(process.execPath, nodeArguments(path, ...args), {
    env: { ...inherited, TMPDIR },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true
  })
  t.teardown(() => { child.kill('SIGKILL') })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => { text += String(chunk) })
  return { child, output: () => text, closed: once(child, 'close') }
}

/** Moments of a start: there is a folder, its database is being made, it runs. */
const MOMENTS: Record<string, () => boolean> = {
  folder: () => left().length > 0,
  initdb: () => left().some(name => readdirSync(join(TMPDIR, name), { recursive: true }).some(file => String(file).includes('pgdata.'))),
  server: () =>
    left().some(name => readdirSync(join(TMPDIR, name), { recursive: true }).some(file => String(file).endsWith('postmaster.pid')))
}

t.test('Ctrl-C and SIGTERM in the midst of a start end it without a word, and leave nothing', { timeout: 200_000 }, async t => {
  for (const path of ['src/cli/headless-mfa.ts', 'src/cli/demo.ts']) {
    for (const [moment, has] of Object.entries(MOMENTS)) {
      for (const [signal, isToGroup, code] of [['SIGINT', true, 130], ['SIGTERM', false, 143]] as const) {
        const { child, output, closed } = start(path, ...(path.endsWith('demo.ts') ? [] : ['--test']))
        await until(() => { try { return has() } catch { return false } })
        process.kill(isToGroup ? -(child.pid as number) : child.pid as number, signal)
        t.same(await closed, [code, null], `${path}, ${moment}, ${signal}`)
        t.equal(output(), '')
        t.same([left(), running()], [[], []])
      }
    }
  }
})

t.test('a command that is not there is said, ends with 127, and leaves nothing', async t => {
  const { output, closed } = start('src/cli/headless-mfa.ts', '--test', '--', 'nosuchcmd')
  t.same(await closed, [127, null])
  t.equal(output(), 'nosuchcmd: there is no such command.\n')
  t.same([left(), running()], [[], []])
})

t.test('a second Ctrl-C ends it at once, and leaves nothing either', async t => {
  const { child, output, closed } = start('src/cli/headless-mfa.ts', '--test')
  await until(() => output().includes('is ready'))
  process.kill(-(child.pid as number), 'SIGINT')
  process.kill(-(child.pid as number), 'SIGINT')
  await closed
  await until(() => running().length === 0)
  t.same(left(), [])
})

t.test('what writes the specification makes no folder', async t => {
  const before = readFileSync('openapi.yaml')
  execFileSync(process.execPath, nodeArguments('src/cli/openapi.ts'), { env: { ...inherited, TMPDIR } })
  t.same(left(), [])
  t.ok(before.equals(readFileSync('openapi.yaml')), 'and it is what is committed')
})
