// The process as it runs in production: what its log and its end do to those who are calling.
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, truncateSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ownDatabase } from './helpers/database.ts'
import { freePort } from './helpers/gateways.ts'
import { nodeArguments } from './helpers/program.ts'
import { startProxy } from './helpers/proxy.ts'
import { request } from './helpers/raw.ts'
import { AUDIENCE, callTo, ISSUER, signToken, testEnvironment } from './helpers/service.ts'
import { temporaryDir } from './helpers/temporary.ts'
import { until } from './helpers/until.ts'

const { NODE_OPTIONS: _, ...inherited } = process.env

interface Running {
  child: ChildProcessByStdio<null, Readable, Readable | null>
  port: number
  call: ReturnType<typeof callTo>
  isUp: (path?: string) => Promise<boolean>
  ended: Promise<unknown[]>
}

/** The service as a process of its own, when it is ready. */
async function startProcess (
  t: Test,
  env: Record<string, string> = {},
  { stdout = 'pipe', stderr = 'inherit' }: { stdout?: 'pipe' | number, stderr?: 'inherit' | 'pipe' } = {}
): Promise<Running> {
  const { url: DATABASE_URL } = await ownDatabase(t)
  const port = await freePort()
  const child = spawn(process.execPath, nodeArguments('src/server.ts'), {
    env: { ...inherited, ...testEnvironment(), DATABASE_URL, PORT: String(port), ...env },
    stdio: ['ignore', stdout, stderr]
  }) as Running['child']
  const ended = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  const call = callTo(`http://127.0.0.1:${port}`)
  const isUp = async (path = '/health/ready'): Promise<boolean> => (await call('GET', path).catch(() => ({ status: 0 }))).status === 200
  await until(isUp)
  return { child, port, call, isUp, ended }
}

t.test('SIGUSR1 opens no inspector, and what an operator should know of the configuration stands in the log', async t => {
  const { child, isUp } = await startProcess(t, {
    POLICY_FLOOR: '{"enforcement":"required"}',
    JWT_SECRET: 'super-secret-jwt-token-with-at-least-32-characters-long'
  }, { stderr: 'pipe' })
  let [log, stderr] = ['', '']
  child.stdout.on('data', chunk => { log += String(chunk) })
  child.stderr?.on('data', chunk => { stderr += String(chunk) })
  child.kill('SIGUSR1')
  t.ok(await isUp('/health/live'))
  child.kill('SIGTERM')
  await once(child, 'close')
  t.notMatch(stderr, /Debugger/)
  t.match(log, /"level":40,.*"msg":"POLICY_FLOOR requires MFA, but leaves /)
  t.match(log, /"level":40,.*"msg":"JWT_SECRET contains the word /)
})

t.test('a program that npm\'s scripts start opens no inspector either', async t => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }
  const programs = Object.values(scripts).filter(script => / (src|examples)\/\S+\.ts\b/.test(script))
  t.ok(programs.length > 10)
  t.same(programs.filter(script => !/node --import=\.\/scripts\/run\.mjs (src|examples)\//.test(script)), [])
  const dir = t.testdir({ 'waits.ts': 'process.stdin.resume()\nprocess.stdout.write("up" satisfies string)\n' })
  const child = spawn(process.execPath, ['--import=./scripts/run.mjs', `${dir}/waits.ts`], {
    env: inherited,
    stdio: ['pipe', 'pipe', 'pipe']
  })
  let stderr = ''
  child.stderr.on('data', chunk => { stderr += String(chunk) })
  await once(child.stdout, 'data')
  child.kill('SIGUSR1')
  child.stdin.end()
  t.same(await once(child, 'close'), [0, null])
  t.notMatch(stderr, /Debugger/)
})

/** Two megabytes of the log, which is more than a pipe holds and the process keeps. */
async function fillLog (call: Running['call']): Promise<void> {
  const path = `/${'x'.repeat(10_000)}`
  for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 10 }, () => call('GET', path)))
}

const lostLines = async (call: Running['call']): Promise<number> =>
  Number(/^mfa_log_lines_lost_total (\d+)$/m.exec((await call('GET', '/metrics')).text)?.[1])
/** How often a log says that lines of it are lost, and how many. */
const told = (log: string): number[] =>
  [...log.matchAll(/"level":40,.*"lost":(\d+),"msg":"lines of the log are lost/g)].map(([, lost]) => Number(lost))

t.test('a log that is not read holds up no request; when it is read again, it says once how many lines are lost', async t => {
  const { child, call, isUp } = await startProcess(t)
  await fillLog(call)
  t.ok(await isUp(), 'what reads the log stands still')
  const lost = await lostLines(call)
  t.ok(lost > 50, `${lost} lines are lost`)
  let log = ''
  child.stdout.on('data', chunk => { log += String(chunk) })
  await until(() => told(log).length > 0)
  t.ok(log.length > 500_000 && log.length < 1_600_000, `what is kept is bounded: ${log.length}`)
  t.ok((told(log)[0] as number) >= lost)
  await call('GET', '/once-more')
  await until(() => log.includes('/once-more'))
  t.equal(told(log).length, 1, 'once')
  t.same(log.split('\n').filter(line => line.startsWith('{') && !line.endsWith('}')), [], 'each line is whole')
  child.stdout.destroy()
  await fillLog(call)
  t.ok(await isUp(), 'what reads the log is gone')
  t.ok(await lostLines(call) > lost, 'and what it does not read is counted')
})

t.test('a log that is not read does not keep the process from its end', async t => {
  const { child, call, ended } = await startProcess(t)
  await fillLog(call)
  child.kill('SIGTERM')
  t.same(await Promise.race([ended, sleep(15_000, 'it goes on')]), [0, null])
})

t.test('a full disk under the log ends nothing', async t => {
  const full = openSync('/dev/full', 'w')
  t.teardown(() => { closeSync(full) })
  const { child, call, isUp, ended } = await startProcess(t, {}, { stdout: full })
  await fillLog(call)
  t.ok(await isUp())
  t.ok(await lostLines(call) > 50)
  child.kill('SIGTERM')
  t.same(await ended, [0, null])
})

// To mount a disk that can be filled, and emptied again, takes root.
if (process.getuid?.() === 0) {
  t.test('when there is room on the disk again, the log goes on where it was, and says once how many lines are lost', async t => {
    const disk = temporaryDir('disk')
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
    t.teardown(() => { execFileSync('umount', ['--lazy', disk]) })
    const file = openSync(join(disk, 'log'), 'a')
    t.teardown(() => { closeSync(file) })
    const { call, isUp } = await startProcess(t, {}, { stdout: file })
    const log = (): string => readFileSync(join(disk, 'log'), 'utf8')
    await fillLog(call)
    await fillLog(call)
    t.ok(await isUp())
    t.ok(log().length > 1_000_000, 'the disk is full')
    const lost = await lostLines(call)
    t.ok(lost > 50)
    truncateSync(join(disk, 'log'))
    await until(() => told(log()).length > 0)
    await call('GET', '/once-more')
    await until(() => log().includes('/once-more'))
    t.equal(told(log()).length, 1)
    t.ok((told(log())[0] as number) >= lost)
  })
}

t.test('at SIGTERM a call under way is answered, and the process ends by itself', async t => {
  const { child, port, isUp, ended } = await startProcess(t)
  const slow = connect(port, '127.0.0.1')
  let answer = ''
  slow.on('data', chunk => { answer += String(chunk) })
  const now = Math.floor(Date.now() / 1000)
  const token = signToken({ iss: ISSUER, aud: AUDIENCE, sub: 'slow', iat: now, exp: now + 60 })
  const body = '{"code":"123456"}'
  const head = request('POST /mfa/verify', [
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`
  ])
  slow.write(head)
  await sleep(100)
  child.kill('SIGTERM')
  await sleep(300)
  t.notOk(await isUp('/health/live'), 'no other is let in')
  slow.write(body)
  await once(slow, 'close')
  t.match(answer, /^HTTP\/1\.1 409 /, 'a client that was in is answered')
  t.same(await ended, [0, null])
})

t.test('told to stop, it serves on for as long as it was told to, not ready any more', async t => {
  const { child, call, isUp, ended } = await startProcess(t, { PRE_STOP_SECONDS: '3' })
  const start = performance.now()
  child.kill('SIGTERM')
  await until(async () => !await isUp())
  t.equal((await call('GET', '/health/ready')).status, 503)
  const { status, headers } = await call('GET', '/mfa/status')
  t.equal(status, 401, 'everyone is answered')
  t.equal(headers.get('connection'), 'close')
  t.same(await ended, [0, null])
  t.ok(performance.now() - start > 2900)
})

t.test('without its database it is not ready and does not listen, and starts by itself when that is there; a signal ends it ' +
  'before', async t => {
  const { url } = await ownDatabase(t)
  const proxy = await startProxy(t, url)
  await proxy.refuse()
  for (const isThere of [false, true]) {
    const port = await freePort()
    // A process that migrates first would wait for the database there.
    const child = spawn(process.execPath, nodeArguments('test/helpers/serve-process.ts'), {
      env: { ...inherited, ...testEnvironment(), DATABASE_URL: proxy.url, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    t.teardown(() => child.kill('SIGKILL'))
    const ended = once(child, 'exit')
    let log = ''
    child.stdout.on('data', chunk => { log += String(chunk) })
    await until(() => log.includes('the keys cannot be compared with the database'))
    const isUp = async (): Promise<boolean> => await fetch(`http://127.0.0.1:${port}/health/live`).then(() => true, () => false)
    t.notOk(await isUp())
    if (isThere) {
      await proxy.restore()
      await until(isUp)
    }
    child.kill('SIGTERM')
    t.same(await ended, [0, null])
    t.equal(log.match(/the keys cannot be compared/g)?.length, 1, 'told once')
  }
})

t.test('a collector of traces that is not there, or does not answer, neither holds up the end nor makes it a failure', async t => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  for (const port of [1, (silent.address() as AddressInfo).port]) {
    const { child, ended } = await startProcess(t, { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` })
    let log = ''
    child.stdout.on('data', chunk => { log += String(chunk) })
    const start = performance.now()
    child.kill('SIGTERM')
    t.same(await ended, [0, null])
    t.ok(performance.now() - start < 6000, 'soon')
    t.match(log, /"msg":"the last traces are lost"/)
  }
})
