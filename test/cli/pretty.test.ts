// The log as a developer sees it: on a terminal, which Debian's `script` stands for.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { ownDatabase } from '../helpers/database.ts'
import { freePort } from '../helpers/gateways.ts'
import { nodeArguments } from '../helpers/program.ts'
import { callTo, testEnvironment } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

/** A start of development, on a terminal or not. */
async function started (isTerminal: boolean, more: Record<string, string> = {}): Promise<string> {
  const { url: DATABASE_URL } = await ownDatabase(t)
  const port = await freePort()
  const command = [process.execPath, ...nodeArguments('src/server.ts')]
  const env = {
    PATH: process.env.PATH,
    ...testEnvironment(),
    NODE_ENV: 'development',
    BCRYPT_COST: '10',
    LOG_LEVEL: 'info',
    DATABASE_URL,
    PORT: String(port),
    ...more
  }
  const child = isTerminal
    ? spawn('script', ['--quiet', '--return', '--command', command.map(word => `'${word}'`).join(' '), '/dev/null'], {
      env,
      stdio: ['pipe', 'pipe', 'inherit']
    })
    : spawn(command[0] as string, command.slice(1), { env, stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', chunk => { output += String(chunk) })
  const call = callTo(`http://127.0.0.1:${port}`)
  await until(async () => (await call('GET', '/health/ready').catch(() => ({ status: 0 }))).status === 200)
  await call('GET', '/mfa/status', { token: 'x' })
  await call('OPTIONS', '/mfa/status', { headers: { origin: 'http://127.0.0.1:3530', 'access-control-request-method': 'GET' } })
  await until(() => output.includes('405'))
  const ended = once(child, 'close')
  if (isTerminal) execFileSync('pkill', ['-TERM', '-P', String(child.pid)])
  else child.kill('SIGTERM')
  await ended
  return output
}

t.test('on a terminal of development the log is lines for users, one a request, with what mattered', async t => {
  const output = await started(true, { NO_COLOR: '1' })
  t.match(output, /^\[\d\d:\d\d:\d\d\] INFO: GET \/mfa\/status 401 invalid_token \(\d+ ms\)\r?$/m)
  t.match(output, /^\[\d\d:\d\d:\d\d\] INFO: a page of http:\/\/127\.0\.0\.1:3530 may not call: CORS_ORIGINS does not name it\r?$/m)
  t.match(output, /^\[\d\d:\d\d:\d\d\] INFO: OPTIONS \/mfa\/status 405 method_not_allowed \(\d+ ms\)\r?$/m)
  t.notMatch(output, /"level"|hostname|reqId/)
})

t.test('elsewhere it is JSON: into a file or a pipe, and in production on a terminal too', async t => {
  for (const [isTerminal, more] of [[false, {}], [true, { NODE_ENV: 'production' }]] as const) {
    const output = await started(isTerminal, more)
    const lines = output.split(/\r?\n/).filter(line => line.startsWith('{'))
    t.ok(lines.length > 2)
    t.match(lines.map(line => JSON.parse(line)), [{ level: 30, pid: Number, hostname: String }])
    t.notMatch(output, /^\[/m)
  }
})
