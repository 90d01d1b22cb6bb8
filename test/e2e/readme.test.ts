import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { callTo } from '../helpers/service.ts'

const readme = readFileSync('README.md', 'utf8')
const { NODE_OPTIONS: _, ...inherited } = process.env

function run (command: string, args: string[], env: Record<string, string>): { child: ReturnType<typeof spawn>, output: () => string, ended: Promise<number | null> } {
  const child = spawn(command, args, { env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => { text += String(chunk) })
  return { child, output: () => text, ended: new Promise(resolve => child.on('exit', resolve)) }
}

t.test('the README\'s walk works as it stands, on a service of npm start', { timeout: 110_000 }, async t => {
  const port = 3900 + process.pid % 90
  const service = run(process.execPath, ['--import=tsx', 'src/server.ts'], { PORT: String(port) })
  t.teardown(async () => { service.child.kill('SIGTERM'); await service.ended })
  const origin = `http://127.0.0.1:${port}`
  for (let i = 0; !service.output().includes('Ctrl-C stops'); i++) {
    if (i > 200) throw new Error(service.output())
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  t.equal((await callTo(origin)('GET', '/health/ready')).status, 200)

  const walk = /<!-- walk:.*-->\n```sh\n([\s\S]*?)```/.exec(readme)?.[1] as string
  const sub = `alice-${Date.now()}`
  const script = walk.replace('http://127.0.0.1:3000', origin).replaceAll('--sub alice', `--sub ${sub}`).replaceAll('--tenant acme', `--tenant acme-${Date.now()}`)
  const bash = run('bash', ['-euo', 'pipefail', '-c', script], {})
  t.equal(await bash.ended, 0, bash.output())
  const lines = bash.output().trim().split('\n')
  t.equal(lines[0], '{"action":"allow","reason":"not_required"}')
  t.equal((JSON.parse(lines[1] as string) as string[]).length, 10)
  t.same(lines.slice(2), ['{"action":"allow","reason":"mfa_verified"}', '9', 'code_refused', 'required', '{"action":"enroll","reason":"required_by_policy"}'])
})

t.test('the four lines of curl that a start prints work when pasted', { timeout: 60_000 }, async t => {
  const port = 3800 + process.pid % 90
  const service = run(process.execPath, ['--import=tsx', 'src/server.ts'], { PORT: String(port) })
  t.teardown(async () => { service.child.kill('SIGTERM'); await service.ended })
  for (let i = 0; !service.output().includes('Ctrl-C stops'); i++) {
    if (i > 200) throw new Error(service.output())
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  const pasted = service.output().split('\n').filter(line => /^ {2}(TOKEN=|curl )/.test(line)).map(line => line.trim().replace('curl -s', 'curl -sf'))
  t.equal(pasted.length, 5)
  const bash = run('bash', ['-euo', 'pipefail', '-c', pasted.join('\necho\n')], {})
  t.equal(await bash.ended, 0, bash.output())
  t.match(bash.output(), /otpauth:\/\//)
  t.match(bash.output(), /"keys":\[/)
})
