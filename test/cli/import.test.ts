// npm run import, as a process: it says what it would do, does it when it is told to, and never prints a secret.
import { type ChildProcess, execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Secret } from 'otpauth'
import pg from 'pg'
import t from 'tap'
import { readImportCall, USAGE } from '../../src/cli/import-call.ts'
import { SOURCES } from '../../src/import/sources.ts'
import { codeAt, stepAt } from '../../src/factors/totp/totp.ts'
import { isSomebodyWaiting, ownDatabase } from '../helpers/database.ts'
import { startKept } from '../helpers/keys.ts'
import { nodeArguments } from '../helpers/program.ts'
import { serviceRole } from '../helpers/role.ts'
import { fromBase32 } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const { url } = await ownDatabase(t)
const role = await serviceRole(t, url)
const { service, keeper } = await startKept(t, { DATABASE_URL: role.url })
await keeper.check()
const path = (name: string): string => `test/fixtures/import/${name}`

interface Ran { code: number, lines: any[], notes: string, stdout: string }
const run = (...args: string[]): Promise<Ran> => runWith(() => {}, ...args)
const runWith = (onStart: (child: ChildProcess) => void, ...args: string[]): Promise<Ran> => new Promise(resolve => {
  onStart(
    execFile(process.execPath, nodeArguments('src/cli/import.ts', ...args), {
      env: { PATH: process.env.PATH, ...service.env, NODE_ENV: 'production', BCRYPT_COST: '10', THROTTLE_WAITS: '0,0,0,0,30' }
    }, (error, stdout, stderr) => {
      resolve({
        code: (error?.code ?? 0) as number,
        stdout,
        notes: stderr,
        lines: stdout.split('\n').filter(line => line !== '').map(line => JSON.parse(line))
      })
    }))
})
/** The process has a clock of its own: what it has spent is behind this. */
const afterNow = (): void => { service.clock.advance(Math.ceil(Date.now() / 1000) - service.clock.seconds + 60) }
const tally = (lines: Array<{ outcome: string }>): Record<string, number> =>
  Object.fromEntries(
    [...new Set(lines.map(({ outcome }) => outcome))].sort().map(each => [each, lines.filter(({ outcome }) => outcome === each).length])
  )

t.test('Keycloak\'s export: first a report, then the users, and their apps work', async t => {
  const { users } = JSON.parse(readFileSync(path('keycloak.json'), 'utf8'))
  const dry = await run('--from', 'keycloak', '--tenant', 'acme', path('keycloak.json'))
  t.match(dry, { code: 0, notes: /6 would_import[^]*Nothing was written\. Add --commit to write it\./ })
  t.same(tally(dry.lines), { left_behind: 7, would_import: 6 })
  t.same(await service.db.rows`SELECT 1 FROM users`, [])
  const done = await run('--from', 'keycloak', '--tenant', 'acme', '--commit', path('keycloak.json'))
  t.same(tally(done.lines), { imported: 6, left_behind: 7 })
  t.match(done.notes, /1 left_behind: recovery_codes\n[^]*6 imported\nThe imported users have no recovery codes yet: have them make some/)
  t.same(done.lines[0], { row: users[0].credentials[2].id, subject: users[0].id, reason: 'recovery_codes', outcome: 'left_behind' })
  for (const { credentials } of users) {
    for (const { secretData } of credentials) {
      const value = JSON.parse(secretData ?? '{}').value ?? 'nothing'
      for (const text of [value, new Secret({ buffer: new TextEncoder().encode(value).buffer }).base32]) {
        t.notOk((done.stdout + done.notes + dry.stdout).includes(text), 'no secret')
      }
    }
  }
  const alice = service.user({ sub: users[0].id, tenant: 'acme' })
  const secret = Buffer.from(JSON.parse(users[0].credentials[1].secretData).value)
  afterNow()
  const verified = await alice.call('POST', '/mfa/verify', { code: codeAt(secret, stepAt(service.clock.read())) })
  t.equal(verified.status, 200)
  t.match((await alice.call('GET', '/mfa/status')).body, { account: 'alice', factors: [{ label: 'Pixel' }] })
})

t.test('better-auth\'s rows need its secret; by e-mail address where tokens say that', async t => {
  const { secret, secrets, users } = JSON.parse(readFileSync(path('better-auth.known.json'), 'utf8'))
  const dir = t.testdir({ secret: `${secret as string}\n`, secrets: `${secrets as string}\n` })
  t.match(await run('--from', 'better-auth', path('better-auth.json')), {
    code: 2,
    notes: /^better-auth encrypts its secrets: --secret-file/
  })
  const { lines } = await run(
    '--from',
    'better-auth',
    '--subject',
    'email',
    '--commit',
    '--secret-file',
    `${dir}/secret`,
    '--secrets-file',
    `${dir}/secrets`,
    path('better-auth.json')
  )
  t.same(lines.filter(({ outcome }) => outcome === 'imported').map(({ subject }) => subject), [
    'alice@example.com',
    'carol@example.com',
    'dave@example.com'
  ])
  afterNow()
  for (const { name, secret } of Object.values(users) as Array<{ name: string, secret: string }>) {
    const user = service.user({ sub: `${name}@example.com`, tenant: 'default' })
    const { status } = await user.call('POST', '/mfa/verify', { code: codeAt(fromBase32(secret), stepAt(service.clock.read())) })
    t.equal(status, ['alice', 'carol', 'dave'].includes(name) ? 200 : 409, name)
  }
})

t.test('a file may be UTF-16, and of an app\'s accounts those of one issuer are brought', async t => {
  const dir = t.testdir({ 'little.csv': Buffer.from(`\uFEFF${readFileSync(path('otpauth.csv'), 'utf8')}`, 'utf16le') })
  const [table, app, several] = await Promise.all([
    run('--from', 'otpauth-csv', '--tenant', 'dry', `${dir}/little.csv`),
    run('--from', 'google-authenticator', '--issuer', 'Example', '--tenant', 'dry', path('google-authenticator.txt')),
    run('--from', 'aegis', path('aegis.json'))
  ])
  t.same([table.code, tally(table.lines)], [0, { left_behind: 5, would_import: 3 }])
  t.same([app.code, tally(app.lines)], [0, { left_behind: 5, would_import: 3 }])
  t.match(several, { code: 1, stdout: '', notes: /several issuers: say by --issuer/ })
  t.same(await service.db.rows`SELECT 1 FROM users WHERE tenant = 'dry'`, [])
})

t.test('users with the same key as others are asked for; then the app belongs to the one that the file means', async t => {
  const secret = new Secret({ size: 20 }).base32
  const users = ['accounts.member', 'shop.customer'].flatMap((model, shift) =>
    ['ann', 'ben'].map((username, index) => ({ model, pk: 1 + (index + shift) % 2, fields: { password: 'x', last_login: null, username } }))
  )
  const dir = t.testdir({
    'dump.jsonl': [...users, { model: 'mfa.authenticator', pk: 1, fields: { user: 1, type: 'totp', data: { secret } } }].map(each =>
      `${JSON.stringify(each)}\n`
    ).join('')
  })
  const args = ['--from', 'allauth', '--subject', 'username', '--tenant', 'models', '--commit']
  t.match(await run(...args, `${dir}/dump.jsonl`), {
    code: 1,
    notes: "Which of the file's models are the users? Name it by --users-model: accounts.member, shop.customer.\n",
    stdout: ''
  })
  t.match(await run(...args, '--users-model', 'accounts.Member', `${dir}/dump.jsonl`), {
    code: 0,
    lines: [{ subject: 'ann', outcome: 'imported' }]
  })
  afterNow()
  const verify = async (sub: string): Promise<number> =>
    (await service.user({ sub, tenant: 'models' }).call('POST', '/mfa/verify', {
      code: codeAt(fromBase32(secret), stepAt(service.clock.read()))
    })).status
  t.not(await verify('ben'), 200)
  t.equal(await verify('ann'), 200)
})

t.test('a byte that is not UTF-8 ends it before anyone is brought, by line and column, and shows nothing of the file', async t => {
  const dir = t.testdir({
    'latin1.csv': Buffer.from(
      'subject,account,otpauth\nann,x,otpauth://totp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\nj\xfcrgen,x,y\n',
      'latin1'
    ),
    secret: Buffer.from([0xff, 0x20])
  })
  t.match(await run('--from', 'otpauth-csv', '--tenant', 'bytes', '--commit', `${dir}/latin1.csv`), {
    code: 1,
    stdout: '',
    notes: 'The file is not UTF-8: line 3, column 2. Export it as UTF-8.\n'
  })
  t.match(await run('--from', 'better-auth', '--secret-file', `${dir}/secret`, path('better-auth.json')), {
    code: 1,
    stdout: '',
    notes: /not UTF-8: line 1, column 1/
  })
  t.same(await service.db.rows`SELECT 1 FROM users WHERE tenant = 'bytes'`, [])
})

t.test('an import that is killed, or loses the database, is run again: it goes on, and no user comes twice', async t => {
  const users = 120
  const file = [
    'subject,account,otpauth',
    ...Array.from({ length: users }, (_, index) => `user-${index},x,otpauth://totp/x?secret=${new Secret({ size: 20 }).base32}`)
  ].join('\n')
  const dir = t.testdir({ 'users.csv': file })
  const owner = new pg.Client({ connectionString: url })
  await owner.connect()
  t.teardown(() => owner.end())
  for (const accident of ['killed', 'lost']) {
    const tenant = `${accident}-${randomUUID()}`
    const args = ['--from', 'otpauth-csv', '--tenant', tenant, '--commit', `${dir}/users.csv`]
    // In the midst of it, since it waits for a table there.
    const ran = await runWith(child => {
      child.stdout?.once('data', () => {
        void (async () => {
          await owner.query('BEGIN')
          await owner.query('LOCK TABLE factors IN EXCLUSIVE MODE')
          await until(() => isSomebodyWaiting(url))
          if (accident === 'killed') child.kill('SIGKILL')
          // On a cluster of Citus it is a worker that waits for the lock, and the coordinator that has the import's connection.
          else {
            await owner.query(
              'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = ' +
              "'headless-mfa' AND state = 'active'"
            )
          }
          await owner.query('ROLLBACK')
        })()
      })
    }, ...args)
    if (accident === 'lost') {
      t.match(ran, { code: 1, notes: /The import has stopped\. Run it again: it goes on, and imports no user twice\.\n$/ })
    }
    const again = await run(...args)
    const { already = 0, imported = 0 } = tally(again.lines)
    t.equal(already + imported, users, accident)
    t.ok(already > 0 && imported > 0, `${already} were there already, ${imported} are new`)
    t.same(
      await service.db.rows`SELECT count(*)::int AS factors, count(DISTINCT user_id)::int AS users FROM factors WHERE tenant = ${tenant}`,
      [{ factors: users, users }]
    )
    t.same(
      await service.db.rows`SELECT count(*)::int AS events FROM audit_events WHERE tenant = ${tenant} AND action = 'factor.confirmed'`,
      [{ events: users }]
    )
  }
})

t.test('a wrong call is said before anything is opened, with what would be right', async t => {
  const file = path('keycloak.json')
  const wrong: Array<[message: string, ...args: string[]]> = [
    ['Name one file', '--from', 'keycloak'],
    ['Name one file', '--from', 'keycloak', file, file],
    [`--from must be one of ${Object.keys(SOURCES).join(', ')}`, '--from', 'auth0', file],
    [`--from must be one of ${Object.keys(SOURCES).join(', ')}`, file],
    [`--from must be one of ${Object.keys(SOURCES).join(', ')}`, '--from', 'toString', file],
    ['--subject must be one of id, username, email', '--from', 'keycloak', '--subject', 'sub', file],
    ['--users-model is for allauth alone', '--from', 'keycloak', '--users-model', 'auth.user', file],
    ['--issuer is for aegis, bitwarden, google-authenticator alone', '--from', 'keycloak', '--issuer', 'Example', file],
    ['better-auth encrypts its secrets: --secret-file FILE (or --secrets-file) must hold the key', '--from', 'better-auth', file]
  ]
  for (const [message, ...args] of wrong) {
    t.throws(() => readImportCall(args), { message: `${message} (--help says how)`, exitCode: 2 }, args.join(' '))
  }
  t.throws(() => readImportCall(['--from', 'keycloak', '--comit', file]), { message: `Unknown option '--comit'.\n\n${USAGE}`, exitCode: 2 })
  t.equal(readImportCall(['-h']), null)
  for (const [name, { file, subject }] of Object.entries(SOURCES)) {
    t.match(USAGE, new RegExp(`^  ${name} +${file.replaceAll('.', '\\.')}$`, 'm'))
    t.equal(
      readImportCall(
        ['--from', name, '--secret-file', 'x', 'file'].filter((word, index) => name === 'better-auth' || index < 2 || index > 3)
      )?.subject,
      subject
    )
  }
})

t.test('it does not bring what no token would name, nor what it does not understand', async t => {
  const [usage, namespace, file, nothing, help] = await Promise.all([
    run('--from', 'keycloak'), run('--from', 'keycloak', '--namespace', 'https://elsewhere.test', path('keycloak.json')),
    run('--from', 'allauth', path('otpauth.csv')), run('--from', 'keycloak', path('nothing.json')),
    new Promise<string>(resolve => {
      execFile(process.execPath, nodeArguments('src/cli/import.ts', '--help'), (_, stdout) => {
        resolve(stdout)
      })
    })
  ])
  t.match(usage, { code: 2, notes: 'Name one file (--help says how)\n' })
  t.match(namespace, { code: 2, notes: /^No issuer speaks for tenant "default" and namespace "https:\/\/elsewhere\.test"/ })
  t.match(file, { code: 1, notes: 'The file is not JSON.\n' })
  t.match(nothing, { code: 1, notes: 'test/fixtures/import/nothing.json cannot be read: ENOENT.\n' })
  t.equal(help, `${USAGE}\n`)
})
