// Why a program stops, for the one who started it: one sentence with the variable and the remedy. The errors are real ones.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { explain } from '../../src/cli/explain.ts'
import { readConfig } from '../../src/config/config.ts'
import { UnavailableError } from '../../src/platform/unavailable.ts'
import { connect } from '../../src/platform/db/client.ts'
import { applyMigrations } from '../../src/platform/db/migrate.ts'
import { DATA_DIR, developmentKeys } from '../../src/config/development.ts'
import { ownDatabase } from '../helpers/database.ts'
import { nodeArguments } from '../helpers/program.ts'
import { asOwner, serviceRole } from '../helpers/role.ts'
import { testEnvironment } from '../helpers/service.ts'

const { url } = await ownDatabase(t, { isMigrated: false })

const changed = (change: (url: URL) => void): string => {
  const other = new URL(url)
  change(other)
  return other.href
}

/** What the migrations, and what a pool of connections, say of a database that cannot be used. */
async function explained (databaseUrl: string): Promise<string> {
  const env = { DATABASE_URL: databaseUrl }
  const byMigrations = await applyMigrations(databaseUrl).then(() => 'it can be used', error => explain(error, env))
  const db = connect(databaseUrl, 1)
  const byPool = await db.rows`SELECT 1`.then(() => 'it can be used', error => explain(error, env))
  await db.close()
  t.equal(byPool, byMigrations, 'the same by either way')
  return byMigrations
}

/** A server that was given may let everyone in, and its rights are its own: on the embedded one they are known. */
const onOwnServer = { skip: process.env.TEST_DATABASE_URL !== undefined && 'the server is not ours' }

t.test('a database that cannot be used names its variable, what is wrong and what to do, and nothing of the URL', onOwnServer, async t => {
  const silent = createServer(socket => { socket.end() }).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const { name: role, url: roleUrl } = await serviceRole(t, url)
  await asOwner(url, [`ALTER ROLE ${role} NOLOGIN`])
  const cases: Array<[databaseUrl: string, sentence: RegExp]> = [
    [
      'postgresql://mfa:hunter2@127.0.0.1:1/mfa',
      /^DATABASE_URL: nothing listens there \(ECONNREFUSED\)\. Start PostgreSQL, or correct the host and the port\.$/
    ],
    ['postgresql://mfa:hunter2@localhost:1/mfa', /^DATABASE_URL: nothing listens there/],
    ['postgresql://mfa:hunter2@127.0.0.1:1,127.0.0.1:2/mfa', /^DATABASE_URL: nothing listens there/],
    [
      'postgresql://mfa:hunter2@no-host.invalid/mfa',
      /^DATABASE_URL: there is no host of that name \((ENOTFOUND|EAI_AGAIN)\)|^DATABASE_URL: the name of the host cannot be looked up/
    ],
    ['postgresql://mfa:hunter2@/mfa?host=/hunter2', /^DATABASE_URL: there is no such socket \(ENOENT\)\./],
    [`postgresql://mfa:hunter2@127.0.0.1:${(silent.address() as AddressInfo).port}/mfa`, /^DATABASE_URL: the connection was cut/],
    [
      changed(other => {
        other.password = 'hunter2'
      }),
      /^DATABASE_URL: the server takes this user and password for wrong \(28P01\)\. Correct them\. .*write @ as %40/
    ],
    [changed(other => { other.password = '' }), /^DATABASE_URL: it has no password, and the server wants one\./],
    [
      changed(other => {
        other.pathname = '/hunter2'
      }),
      /^DATABASE_URL: the server has no database of that name \(3D000\)\. Make it \(createdb\)/
    ],
    [
      changed(other => {
        other.searchParams.set('sslmode', 'verify-full')
      }),
      /^DATABASE_URL: the server speaks no TLS\. Turn on its ssl, or say sslmode=disable/
    ],
    [
      changed(other => {
        other.searchParams.set('sslrootcert', '/hunter2.pem')
      }),
      /^DATABASE_URL: sslrootcert, sslcert or sslkey names a file that cannot be read \(ENOENT\)\.$/
    ],
    [roleUrl, /^DATABASE_URL: the server does not let this user in from here \(28000\)\. See whether the role exists/]
  ]
  for (const [databaseUrl, sentence] of cases) {
    const text = await explained(databaseUrl)
    t.match(text, sentence)
    t.notMatch(text, /hunter2|no-host|\n/)
  }
})

t.test('what the role may not do, and tables that are not there, say what helps, as each variable\'s', onOwnServer, async t => {
  const { url: roleUrl } = await serviceRole(t, url)
  const db = connect(roleUrl, 1)
  t.teardown(() => db.close())
  const why = async (work: Promise<unknown>, env: Record<string, string>, isOwner?: boolean): Promise<string> =>
    await work.then(() => '', error => explain(error, env, isOwner))
  t.match(
    await why(db.rows`CREATE TABLE public.x ()`, { DATABASE_URL: 'x' }),
    /^DATABASE_URL: the role may not do that \(permission denied for schema public\)\. What changes tables needs their owner \(DATABASE_OWNER_URL\)/
  )
  t.match(
    await why(applyMigrations(roleUrl), { DATABASE_OWNER_URL_FILE: 'x', DATABASE_URL: 'x' }, true),
    /^DATABASE_OWNER_URL: .*permission denied for schema public/
  )
  t.match(
    await why(db.rows`SELECT FROM users`, { DATABASE_URL_FILE: 'x' }),
    /^DATABASE_URL: a table is missing \(relation "users" does not exist\)\. Apply the migrations: npm run migrate\.$/
  )
  t.match(await why(db.rows`SELECT has_administrator('x')`, {}), /^The embedded database: a function is missing .*npm run migrate\.$/)
  t.match(await why(db.rows`SELECT 1 / 0`, { DATABASE_URL: 'x' }), /^DATABASE_URL: the server says: division by zero \(22012\)\.$/)
})

t.test('a port that is taken, and an address that is none, name their variable', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const listening = async (options: object, env: Record<string, string> = {}): Promise<string> => {
    const server = createServer().listen(options)
    const [error] = await once(server, 'error')
    return explain(error, env)
  }
  t.equal(await listening({ port, host: '127.0.0.1' }), `Port ${port} is taken (EADDRINUSE): stop what uses it, or set PORT to another.`)
  t.match(await listening({ port, host: '127.0.0.1' }, { ADMIN_PORT: String(port) }), /or set ADMIN_PORT to another\.$/)
  t.match(await listening({ port: 0, host: '192.0.2.1' }), /^HOST is no address of this machine \(EADDRNOTAVAIL\)/)
  t.match(
    await listening({ port: 0, host: 'no-host.invalid' }, { HOST: 'no-host.invalid' }),
    /^HOST is no address of this machine \((ENOTFOUND|EAI_AGAIN)\)\.$/
  )
  t.match(
    explain(Object.assign(new Error('listen EACCES'), { code: 'EACCES', syscall: 'listen', port: 80 }), {}),
    /^This user may not listen on port 80 \(EACCES\): set PORT to one from 1024 on\.$/
  )

  // As `npm start` meets it: by a process of its own, which says this and nothing else.
  const child = spawn(process.execPath, nodeArguments('src/server.ts'), {
    env: {
      PATH: process.env.PATH,
      ...testEnvironment(),
      DATABASE_URL: (await ownDatabase(t)).url,
      PORT: String(port),
      LOG_LEVEL: 'silent'
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { text += String(chunk) })
  t.same(await once(child, 'close'), [1, null])
  t.equal(text, `Port ${port} is taken (EADDRINUSE): stop what uses it, or set PORT to another.\n`)
})

t.test('a folder that cannot be written says how to make it one\'s own, and how to do without', async t => {
  const failed = (code: string, syscall: string, path: string): string =>
    explain(Object.assign(new Error(`${code}: ${syscall} '${path}'`), { code, syscall, path }), {})
  for (
    const [code, syscall, path] of [['EROFS', 'chmod', join(DATA_DIR, 'keys.json')], ['EACCES', 'mkdir', DATA_DIR], [
      'EACCES',
      'mkdir',
      DATA_DIR.slice(0, -1)
    ], ['EPERM', 'chmod', join(DATA_DIR, 'keys.json')]] as const
  ) {
    const text = failed(code, syscall, path)
    t.match(text, new RegExp(`^\\.data cannot be written here \\(${code}\\): make the folder yours \\(sudo chown`))
    t.match(text, 'or set DATABASE_URL and the keys (JWT_SECRET, MFA_SIGNING_KEYS, MFA_ENCRYPTION_KEYS, MFA_PEPPERS).')
  }
  t.match(failed('ENOSPC', 'write', join(DATA_DIR, 'pgdata')), /^There is no room left for \.data \(ENOSPC\)/)
  t.match(failed('EACCES', 'open', '/elsewhere'), /^EACCES: open/, 'another file is what the system says')
})

t.test('a configuration is all of its lines, an outage its cause, and a fault of ours alone has a stack', async t => {
  try {
    readConfig({ PORT: 'x' })
  } catch (error) {
    t.match(explain(error, {}), /^configuration: PORT .*\nconfiguration: JWT_ISSUER is missing\n/)
  }
  t.equal(explain(new UnavailableError('a pepper is missing'), {}), 'a pepper is missing.')
  t.equal(
    explain(new UnavailableError('the keys do not fit', { cause: new Error('first line\nthe last one') }), {}),
    'the keys do not fit: the last one.'
  )
  t.equal(explain(new Error('PostgreSQL does not start: no room'), {}), 'PostgreSQL does not start: no room')
  t.match(explain(new TypeError('x is undefined'), {}), /^A fault of this program: TypeError: x is undefined\n +at /)
})

t.test('keys that cannot be read back say how to begin anew', async t => {
  const dir = t.testdir({ '.data': { 'keys.json': '{"JWT_SECRET":' } })
  t.throws(() => developmentKeys(`${dir}/.data`), {
    name: 'ConfigError',
    message: '.data/keys.json is not JSON: put back what it held, or begin anew (npm run reset)'
  })
})
