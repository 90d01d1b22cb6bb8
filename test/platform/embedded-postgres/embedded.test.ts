import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { findRunning, removeEmbedded, startEmbedded, type EmbeddedOptions } from '../../../src/platform/embedded-postgres/embedded.ts'
import { program } from '../../helpers/program.ts'
import { temporaryDir } from '../../helpers/temporary.ts'
import { until } from '../../helpers/until.ts'

const isRoot = process.getuid!() === 0

t.test('a second start finds the data of the first, behind a password that others cannot read', async t => {
  const dataDir = freshDir(t)
  const first = await start(t, { dataDir })
  await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
  await first.stop()
  await t.rejects(query(first.url, 'SELECT'), { code: 'ECONNREFUSED' }, 'stopped')

  const second = await start(t, { dataDir })
  t.same(await query(second.url, 'SELECT answer FROM kept'), [{ answer: 42 }])
  t.equal(statSync(join(dataDir, 'pgdata/password')).mode & 0o777, 0o600)
  const { port } = new URL(second.url)
  await t.rejects(query(`postgresql://postgres:guess@127.0.0.1:${port}/mfa`, 'SELECT'), { code: '28P01' })
})

t.test('it speaks UTF-8, applies the settings it is given, and is named by the database asked for', async t => {
  const { url } = await start(t, { dataDir: freshDir(t), database: 'a "name"', settings: { max_connections: '7' } })
  t.same(await query(url, `
    SELECT current_setting('server_encoding') AS encoding, lower('Ä') AS lower, current_setting('max_connections') AS max,
      current_database() AS database`), [{ encoding: 'UTF8', lower: 'ä', max: '7', database: 'a "name"' }])
})

t.test('what is not persistent leaves nothing', async t => {
  const dataDir = freshDir(t)
  const { stop } = await start(t, { dataDir, isPersistent: false })
  await stop()
  t.notOk(existsSync(dataDir))
})

t.test('a server that another process runs is used, and keeps running until the last user stops', async t => {
  const dataDir = await usedDir(t)
  const { child, url } = await startElsewhere(dataDir)
  const messages: string[] = []
  const here = await start(t, { dataDir, log: message => messages.push(message) })
  t.equal(here.url, url)
  await here.stop()
  t.match(messages, [/already running/, /keeps running/])
  t.ok(await query(url, 'SELECT'), 'still there for the other')
  child.send('stop')
  await once(child, 'exit')
  await t.rejects(query(url, 'SELECT'))
})

t.test('two processes that start at once on a new directory share one server', async t => {
  const dataDir = freshDir(t)
  const [a, b] = await Promise.all([startElsewhere(dataDir), startElsewhere(dataDir)])
  t.equal(a.url, b.url)
  for (const { child } of [a, b]) child.send('stop')
  await Promise.all([once(a.child, 'exit'), once(b.child, 'exit')])
  await t.rejects(query(a.url, 'SELECT'))
})

t.test('a process that is killed leaves its server to the next start, which stops it', async t => {
  const dataDir = await usedDir(t)
  const { child, url } = await startElsewhere(dataDir)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const next = await start(t, { dataDir })
  t.equal(next.url, url)
  await next.stop()
  await t.rejects(query(url, 'SELECT'))
})

t.test('a program that only looks finds a server that runs, and starts none', async t => {
  const dataDir = freshDir(t)
  t.equal(findRunning(dataDir), undefined)
  t.equal(existsSync(join(dataDir, 'pgdata')), false)
  const server = await start(t, { dataDir })
  t.equal(findRunning(dataDir), server.url)
  await server.stop()
  t.equal(findRunning(dataDir), undefined)
})

t.test('it is thrown away with the server that a killed process left, and not while it is in use', async t => {
  const dataDir = await usedDir(t)
  const here = await start(t, { dataDir })
  await t.rejects(removeEmbedded(dataDir), { message: `A service runs on it (process ${process.pid}): stop it first.` })
  t.ok(await query(here.url, 'SELECT'))
  await here.stop()
  const { child, url } = await startElsewhere(dataDir)
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.ok(await query(url, 'SELECT'), 'it runs still')
  await removeEmbedded(dataDir)
  await t.rejects(query(url, 'SELECT'))
  t.notOk(existsSync(dataDir))
  await removeEmbedded(dataDir)
})

t.test('a process that exits without a word takes its server along', async t => {
  const dataDir = await usedDir(t)
  const { child, url } = await startElsewhere(dataDir)
  child.send('exit')
  await once(child, 'exit')
  await until(() => !existsSync(join(dataDir, 'pgdata/postmaster.pid')))
  await t.rejects(query(url, 'SELECT'), { code: 'ECONNREFUSED' })
})

t.test('after a crash, a stale postmaster.pid does not matter, even if its number now belongs to another process', async t => {
  const dataDir = await usedDir(t)
  const { child, url } = await startElsewhere(dataDir)
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer')
  const pidFile = join(dataDir, 'pgdata/postmaster.pid')
  const lines = readFileSync(pidFile, 'utf8').split('\n')
  for (const pid of [Number(lines[0]), child.pid!]) process.kill(pid, 'SIGKILL')
  await once(child, 'exit')

  t.ok(existsSync(pidFile), 'stale')
  await (await start(t, { dataDir })).stop()
  writeFileSync(pidFile, [99_999_999, ...lines.slice(1)].join('\n'))
  await (await start(t, { dataDir })).stop()
  if (process.platform === 'linux') {
    // That of one that has ended and was not waited for: it has no working directory.
    const parent = spawn('/bin/sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] })
    t.teardown(() => { parent.kill() })
    const [ended] = await once(parent.stdout, 'data') as [Buffer]
    await sleep(200)
    writeFileSync(pidFile, [String(ended).trim(), ...lines.slice(1)].join('\n'))
    await (await start(t, { dataDir })).stop()
  }
  writeFileSync(pidFile, [process.pid, ...lines.slice(1)].join('\n'))
  const revived = await start(t, { dataDir })
  t.same(await query(revived.url, 'SELECT answer FROM kept'), [{ answer: 42 }])
})

t.test('what a crash left half made is cleared away', async t => {
  const dataDir = freshDir(t)
  const half = join(dataDir, 'pgdata.99999999')
  mkdirSync(half)
  await start(t, { dataDir })
  t.notOk(existsSync(half))
})

t.test('a server that cannot start says why', async t => {
  await t.rejects(start(t, { dataDir: await usedDir(t), settings: { nonsense: '1' } }), /does not start: .*nonsense/s)
})

t.test('a port that is taken at that moment is waited for', async t => {
  const squatter = createServer().listen(0, '127.0.0.1')
  await once(squatter, 'listening')
  const { port } = squatter.address() as AddressInfo
  const dataDir = await usedDir(t)
  const starting = start(t, { dataDir, settings: { port: String(port) } })
  const logFile = join(dataDir, 'server.log')
  await until(() => existsSync(logFile) && readFileSync(logFile, 'utf8').includes('could not bind'))
  squatter.close()
  t.equal(new URL((await starting).url).port, String(port))
})

t.test('a server that does not get ready, and does not stop, is not waited for without end', async t => {
  const dataDir = await usedDir(t)
  await (await start(t, { dataDir })).stop()
  const cwd = join(dataDir, 'pgdata')
  const script = 'trap "" INT; echo on; while :; do sleep 0.1; done'
  const stuck = spawn('/bin/sh', ['-c', script], { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => { stuck.kill('SIGKILL') })
  await once(stuck.stdout, 'data')
  writeFileSync(join(cwd, 'postmaster.pid'), `${stuck.pid}\n${cwd}\n0\n1\n\n\n\nstarting\n`)
  await t.rejects(start(t, { dataDir, patienceMs: 100 }), /does not stop/)
})

t.test('files that belong to another user are refused by name; who runs them is who owns them, if not root', async t => {
  const dataDir = freshDir(t)
  const pgdata = join(dataDir, 'pgdata')
  symlinkSync('/', pgdata) // root's, whichever user runs this
  await t.rejects(start(t, { dataDir }), /pgdata belongs to uid 0/)
  rmSync(pgdata)
  mkdirSync(pgdata)
  if (isRoot) chownSync(pgdata, 12_345, 12_345)
  await t.rejects(start(t, { dataDir }), /ENOENT.*password/, 'they are looked into')
})

t.test('a directory that the server cannot use is replaced by one below /var/tmp, each time the same', async t => {
  const closed = freshDir(t)
  chmodSync(closed, isRoot ? 0o700 : 0o500) // closed to the user postgres, or to us
  t.teardown(() => chmodSync(closed, 0o700))
  const messages: string[] = []
  const options = { dataDir: join(closed, 'data'), log: (message: string) => messages.push(message) }
  const { url, stop } = await start(t, options)
  const instead = /go to (\/var\/tmp\/headless-mfa-\w+),/.exec(messages[0]!)![1]!
  t.teardown(() => rmSync(instead, { recursive: true }))
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer')
  await stop()
  t.same(await query((await start(t, options)).url, 'SELECT answer FROM kept'), [{ answer: 42 }])
})

function freshDir (t: Test): string {
  const dir = temporaryDir('embedded')
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const file = t
let made: string | undefined
/** One in which a start finds what another has made: to make it takes most of a second of a core. */
async function usedDir (t: Test): Promise<string> {
  if (made === undefined) {
    made = freshDir(file)
    await (await start(file, { dataDir: made })).stop()
  }
  const dir = freshDir(t)
  execFileSync('cp', ['-a', `${made}/.`, dir])
  return dir
}

async function start (t: Test, options: EmbeddedOptions) {
  const server = await startEmbedded({ ...options, settings: { fsync: 'off', ...options.settings } })
  t.teardown(server.stop)
  return server
}

async function startElsewhere (dataDir: string): Promise<{ child: ChildProcess, url: string }> {
  const { file, execArgv } = program('test/helpers/embedded-process.ts')
  const child = fork(file, [dataDir], { execArgv })
  const [url] = await once(child, 'message')
  return { child, url }
}

async function query (url: string, sql: string) {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return (await client.query(sql).finally(() => client.end())).rows
}
