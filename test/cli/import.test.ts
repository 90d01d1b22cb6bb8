// npm run import, as a process: it says what it would do, does it when it is told to, and never prints a secret.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Secret } from 'otpauth'
import t from 'tap'
import { codeAt, stepAt } from '../../src/core/totp.ts'
import { ownDatabase } from '../helpers/database.ts'
import { startKept } from '../helpers/keys.ts'
import { nodeArguments } from '../helpers/program.ts'
import { serviceRole } from '../helpers/role.ts'
import { fromBase32 } from '../helpers/service.ts'

const { url } = await ownDatabase(t)
const role = await serviceRole(t, url)
const { service, keeper } = await startKept(t, { DATABASE_URL: role.url })
await keeper.check()
const path = (name: string): string => `test/fixtures/import/${name}`

interface Ran { code: number, lines: any[], notes: string, stdout: string }
const run = (...args: string[]): Promise<Ran> => new Promise(resolve => {
  execFile(process.execPath, nodeArguments('src/cli/import.ts', ...args), { env: { PATH: process.env.PATH, ...service.env, NODE_ENV: 'production', BCRYPT_COST: '10', THROTTLE_WAITS: '0,0,0,0,30' } }, (error, stdout, stderr) => {
    resolve({ code: (error?.code ?? 0) as number, stdout, notes: stderr, lines: stdout.split('\n').filter(line => line !== '').map(line => JSON.parse(line)) })
  })
})
/** The process has a clock of its own: what it has spent is behind this. */
const afterNow = (): void => { service.clock.advance(Math.ceil(Date.now() / 1000) - service.clock.seconds + 60) }
const tally = (lines: Array<{ outcome: string }>): Record<string, number> => Object.fromEntries([...new Set(lines.map(({ outcome }) => outcome))].sort().map(each => [each, lines.filter(({ outcome }) => outcome === each).length]))

t.test('Keycloak\'s export: first a report, then the people, and their apps work', async t => {
  const { users } = JSON.parse(readFileSync(path('keycloak.json'), 'utf8'))
  const dry = await run('--from', 'keycloak', '--tenant', 'acme', path('keycloak.json'))
  t.match(dry, { code: 0, notes: /6 would_import[^]*Nothing was written: with --commit it is\./ })
  t.same(tally(dry.lines), { left_behind: 7, would_import: 6 })
  t.same(await service.db.rows`SELECT 1 FROM users`, [])
  const done = await run('--from', 'keycloak', '--tenant', 'acme', '--commit', path('keycloak.json'))
  t.same(tally(done.lines), { imported: 6, left_behind: 7 })
  t.match(done.notes, /1 left_behind: recovery_codes\n[^]*6 imported\nNobody has recovery codes yet: tell them to make some/)
  t.same(done.lines[0], { row: users[0].credentials[2].id, subject: users[0].id, reason: 'recovery_codes', outcome: 'left_behind' })
  for (const { credentials } of users) {
    for (const { secretData } of credentials) {
      const value = JSON.parse(secretData ?? '{}').value ?? 'nothing'
      for (const text of [value, new Secret({ buffer: new TextEncoder().encode(value).buffer }).base32]) t.notOk((done.stdout + done.notes + dry.stdout).includes(text), 'no secret')
    }
  }
  const alice = service.person({ sub: users[0].id, tenant: 'acme' })
  const secret = Buffer.from(JSON.parse(users[0].credentials[1].secretData).value)
  afterNow()
  const verified = await alice.call('POST', '/mfa/verify', { code: codeAt(secret, stepAt(service.clock.read())) })
  t.equal(verified.status, 200)
  t.match((await alice.call('GET', '/mfa/status')).body, { account: 'alice', factors: [{ label: 'Pixel' }] })
})

t.test('better-auth\'s rows need its secret; by e-mail address where tokens say that', async t => {
  const { secret, secrets, users } = JSON.parse(readFileSync(path('better-auth.known.json'), 'utf8'))
  const dir = t.testdir({ secret: `${secret as string}\n`, secrets: `${secrets as string}\n` })
  t.match(await run('--from', 'better-auth', path('better-auth.json')), { code: 1, notes: /^better-auth encrypts its secrets: --secret-file/ })
  const { lines } = await run('--from', 'better-auth', '--subject', 'email', '--commit', '--secret-file', `${dir}/secret`, '--secrets-file', `${dir}/secrets`, path('better-auth.json'))
  t.same(lines.filter(({ outcome }) => outcome === 'imported').map(({ subject }) => subject), ['alice@example.com', 'carol@example.com', 'dave@example.com'])
  afterNow()
  for (const { name, secret } of Object.values(users) as Array<{ name: string, secret: string }>) {
    const person = service.person({ sub: `${name}@example.com`, tenant: 'default' })
    const { status } = await person.call('POST', '/mfa/verify', { code: codeAt(fromBase32(secret), stepAt(service.clock.read())) })
    t.equal(status, ['alice', 'carol', 'dave'].includes(name) ? 200 : 422, name)
  }
})

t.test('what nobody would find, and what it does not understand, it does not bring', async t => {
  const [usage, namespace, kind, file] = await Promise.all([
    run('--from', 'keycloak'), run('--from', 'keycloak', '--namespace', 'https://elsewhere.test', path('keycloak.json')),
    run('--from', 'auth0', path('keycloak.json')), run('--from', 'allauth', path('otpauth.csv'))
  ])
  t.match(usage, { code: 1, notes: /^npm run import/ })
  t.match(namespace, { code: 1, notes: /^No issuer speaks for tenant "default" and namespace "https:\/\/elsewhere\.test"/ })
  t.match(kind, { code: 1, notes: /^npm run import/ })
  t.match(file, { code: 1, notes: 'The file is not JSON.\n' })
})
