// The command that says what the service makes of a token: it says what the service says, and does nothing.
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { checkToken } from '../../src/cli/token-check.ts'
import { newKey, newTenant, startTrusting, TestIssuer } from '../helpers/issuers.ts'
import { nodeArguments } from '../helpers/program.ts'
import { REFUSED } from '../helpers/refused.ts'
import { ISSUER, SECRET, type Service, signToken, testEnvironment } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

interface Output { code: number, text: string, notes: string[] }

/** The command in this process, with the configuration and at the time of a service. */
async function check (
  service: Pick<Service, 'env' | 'clock'>,
  args: string[],
  input = '',
  env: Record<string, string | undefined> = {}
): Promise<Output> {
  const [lines, notes]: [string[], string[]] = [[], []]
  const code = await checkToken(args, {
    env: { ...service.env, ...env },
    input: Readable.from([Buffer.from(input)]),
    say: line => {
      lines.push(line)
    },
    note: line => {
      notes.push(line)
    },
    now: service.clock.read(),
    dataDir: '/nowhere'
  })
  return { code, text: lines.join('\n'), notes }
}

const without = { DATABASE_URL: undefined }

t.test('what the service refuses is ✗ in the same words, and what it accepts is accepted', async t => {
  const service = await useService(t)
  for (const [name, [make]] of Object.entries(REFUSED)) {
    const token = make(service, service.clock.seconds)
    const { body } = await service.call('GET', '/mfa/status', { token })
    // What stands before a token is taken away, as users paste it so.
    const { code, text } = await check(service, [token], '', without)
    if (name === '"Bearer" twice') t.equal(code, 0, 'what stands before it is taken away, as users paste it so')
    else t.match({ code, text }, { code: 1, text: `  ✗ ${body.cause as string}\n` }, name)
    for (const part of token.split('.').filter(part => part.length > 30)) t.notOk(text.includes(part), 'the token is not printed')
  }
  const good = service.user().token()
  const { code, text } = await check(service, [good], '', without)
  t.equal(code, 0)
  t.notMatch(text, /✗|\?/)
  t.match(text, /^Held against JWT_ISSUER\.\n/)
  t.match(
    text,
    /\n {2}✓ aud is "mfa"\n {2}✓ alg is "HS256"\n {2}✓ it is signed by a key of its issuer \(JWT_SECRET\)\n {2}✓ it is an access token\n {2}✓ it is good for 15 minutes yet, of 15 minutes\n/
  )
  t.match(text, /\n\nThe service accepts it\.$/)
})

t.test('all that is wrong is said at once, with what to change', async t => {
  const service = await useService(t)
  const now = service.clock.seconds
  const { text, code } = await check(
    service,
    [signToken(
      { iss: `${ISSUER}/`, aud: 'account', sub: 7, nonce: 'n', iat: now - 100, exp: now - 50, tenant: ['a'] },
      {},
      'y'.repeat(48)
    )],
    '',
    without
  )
  t.equal(code, 1)
  t.same(text.split('\n').filter(line => line.includes('✗')).map(line => line.slice(4)), [
    `iss is "${ISSUER}/", expected "${ISSUER}" (JWT_ISSUER)`,
    'aud is "account", expected "mfa" (JWT_AUDIENCE)',
    'the signature is not by a key of its issuer (JWT_SECRET)',
    'nonce is "n", expected an access token (tokenUse in a TRUSTED_ISSUERS_FILE)',
    `exp is ${now - 50} (${new Date((now - 50) * 1000).toISOString()}), expected a time in the future`,
    'sub is 7, expected a text of 1 to 255 characters (claims.subject in a TRUSTED_ISSUERS_FILE)',
    'tenant is ["a"], expected a text of 1 to 128 characters (claims.tenant in a TRUSTED_ISSUERS_FILE)'
  ])
  t.match(text, /✗ iss .*\n {6}Copy iss into the setting, to the last slash/)
  t.notMatch(text, 'It says', 'no user can be read of it')
})

t.test('an ended token is shown with the user that it named, as of then', async t => {
  const service = await useService(t, { JWT_SESSION_CLAIM: 'sid' })
  const now = service.clock.seconds
  const user = service.user({
    groups: ['staff', 'ops'],
    roles: ['mfa:admin', 'sales'],
    email: 'alice@example.com',
    accounts: ['local', 'sso']
  })
  const { code, text } = await check(
    service,
    [user.token({ sid: 's-1', iat: now - 9000, auth_time: now - 9000, exp: now - 5400 })],
    '',
    without
  )
  t.equal(code, 1)
  t.match(text, new RegExp([
    'It says, and it would count if all were ✓',
    ` {2}user {6}${user.sub}, of the namespace ${ISSUER}`,
    ' {2}account {3}alice@example.com',
    ` {2}tenant {4}${user.tenant}`,
    ' {2}roles {5}mfa:admin, sales; of mfa: roles its issuer may grant mfa:admin, mfa:support, mfa:auditor, mfa:sync',
    ' {2}groups {4}staff, ops',
    ' {2}accounts {2}local, sso',
    ' {2}session {3}s-1: a code counts for all of it',
    ` {2}login {5}${new Date((now - 9000) * 1000).toISOString()}, 3 hours ago`
  ].join('\n')))
})

t.test('the decision is the one that the service takes, and the question records no user', async t => {
  const service = await useService(t, { JWT_SESSION_CLAIM: 'sid' })
  const tenant = newTenant()
  await service.db.rows`INSERT INTO policies (tenant, enforcement, groups, sso_rule, version) VALUES (${tenant}, 'required', ${[
    'staff'
  ]}::text[], 'exempt_sso_only', 1)`
  const seconds = service.clock.seconds
  const users = {
    uncovered: service.user({ tenant }),
    covered: service.user({ tenant, groups: ['staff'] }),
    'by SSO alone': service.user({ tenant, groups: ['staff'], accounts: ['sso'] }),
    'by a text': service.user({ tenant, groups: 'staff' as never }),
    'whose login is old': service.user({ tenant, groups: ['staff'], auth_time: seconds - 5000 }),
    'whose login has no known time': service.user({ tenant, groups: ['staff'], auth_time: undefined as never }),
    enrolled: service.user({ tenant, groups: ['staff'] })
  }
  const { secret } = await users.enrolled.enroll()
  const rows = async (): Promise<unknown> => service.db.rows`SELECT to_jsonb(users) FROM users WHERE tenant = ${tenant} ORDER BY id`
  const decided = async (name: string, token: string, is: 'new' | 'known'): Promise<void> => {
    const before = await rows()
    const { code, text } = await check(service, [token])
    t.same(await rows(), before, `${name}: nothing is written`)
    const { action, reason } = (await service.call('GET', '/mfa/status', { token })).body.decision
    t.equal(code, 0, name)
    t.match(text, `Decision, by what the database knows now\n  ${action as string} (${reason as string}`, `${name}: ${action as string}`)
    t.match(
      text,
      is === 'new' ? 'The database does not know this user yet.' : /The user is [0-9a-f-]{36}, and has (no|an) authenticator\./,
      name
    )
  }
  for (const [name, user] of Object.entries(users)) {
    const token = user.token({ sid: name })
    await decided(name, token, name === 'enrolled' ? 'known' : 'new')
    await decided(`${name}, seen`, token, 'known')
  }
  t.match((await check(service, [users['whose login is old'].token()])).text, 'enroll (required_by_policy, after a new login)')
  t.match(
    (await check(service, [users['whose login has no known time'].token()])).text,
    /login {5}not known \(auth_time, iatIsLogin\): the user can't set up a first factor with it\n[^]*enroll \(required_by_policy, which cannot be: login_time_unknown\)/
  )
  const remembered = users.enrolled.token({ sid: 'remembered' })
  await users.enrolled.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, remembered)
  await decided('a remembered session', remembered, 'known')
  // Where a token claims more than is recorded: by what will be recorded.
  await decided('newly in a group', users.uncovered.token({ groups: ['staff'], sid: 'x' }), 'known')
  await decided('newly of another account', users['by SSO alone'].token({ accounts: undefined, sid: 'x' }), 'known')
  await service.db.rows`UPDATE policies SET enforcement = 'report_only', version = 2 WHERE tenant = ${tenant}`
  t.match((await check(service, [users.covered.token()])).text, 'allow (report_only, once required: enroll)')
  await service.db.rows`UPDATE policies SET enforcement = 'required', grace_period_days = 3, version = 3 WHERE tenant = ${tenant}`
  t.match((await check(service, [service.user({ tenant, groups: ['staff'] }).token()])).text, /allow \(grace, until 20\d\d-/)
})

t.test('our own tokens: good until what ends them, and for us alone', async t => {
  const service = await useService(t, { MFA_APPLICATION_AUDIENCES: 'billing' })
  const user = service.user()
  const { secret, token } = await user.enroll()
  const good = await check(service, [token])
  t.match(good, {
    code: 0,
    text:
      /^Held against our own keys \(MFA_SIGNING_KEYS\)\.\n\n {2}✓ it has \d+ characters\n {2}✓ it is an MFA token of this service, and has not ended\n\nDecision, by what the database knows now\n {2}allow \(mfa_verified\)\n\nThe service accepts it\.$/
  })
  t.match(await check(service, [token], '', without), { code: 0, text: /allow \(mfa_verified\), unless it was ended or only a passkey counts of the user: the database knows/ })
  const { body } = await user.call('POST', '/mfa/verify', { code: service.clock.code(secret), audience: 'billing' })
  t.match(await check(service, [body.token]), { code: 1, text: /✗ aud is "billing", expected "mfa-own" \(MFA_AUDIENCE\)\n/ })
  service.clock.advance(30)
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${user.tenant}`
  t.match((await check(service, [token])).text, 'deny (user_disabled)')
  await service.db.rows`UPDATE users SET disabled_at = NULL WHERE tenant = ${user.tenant}`
  await user.call('DELETE', '/mfa/sessions', undefined, token)
  t.match(await check(service, [token]), {
    code: 1,
    text: /it was ended by a sign-out, a log-out, a reset or an erasure\n\nThe service does not accept it\.$/
  })
  const [key] = service.secrets.signing
  t.match(
    await check(service, [token], '', { ...without, MFA_SIGNING_KEYS: JSON.stringify({ keys: [{ ...newKey(), kid: 'another' }] }) }),
    { code: 1, text: `✗ kid is "${key?.kid as string}", expected one of our keys (MFA_SIGNING_KEYS)` }
  )
})

t.test('a token of before its user was erased does not count', async t => {
  const service = await useService(t)
  const [admin, user] = [service.user({ roles: ['mfa:admin'] }), service.user()]
  const { token } = await admin.enroll()
  const gone = service.user({ tenant: admin.tenant, sub: user.sub })
  const { userId } = (await gone.call('GET', '/mfa/status')).body
  await admin.call('POST', `/admin/users/${String(userId)}/erase`, { reason: 'asked to' }, token)
  service.clock.advance(60)
  await gone.call('GET', '/mfa/status', undefined, gone.token({ iat: service.clock.seconds + 30 }))
  t.match(await check(service, [gone.token({ iat: service.clock.seconds - 600 })]), {
    code: 1,
    text: /it is of before its user was erased/
  })
})

t.test('a machine has no user and needs no MFA', async t => {
  const service = await useService(t)
  const { code, text } = await check(service, [service.user({ roles: ['mfa:sync'] }).token({ gty: 'client-credentials' })])
  t.equal(code, 0)
  t.match(text, /user {6}none: it is a machine's \(user-/)
  t.match(text, /login {5}none\n/)
  t.match(text, 'A machine needs no MFA.')
})

t.test('of several issuers the entry is named, and its keys are fetched; where they cannot be had nothing is accepted', async t => {
  const [a, b] = [await new TestIssuer('https://a.test').start(t), await new TestIssuer('https://b.test').start(t)]
  const mfa = { amr: 'mfa', maxAgeSeconds: 60, phishingResistant: { amr: 'fido' } }
  const entries = [{ issuer: a.iss, audience: 'mfa', jwksUrl: a.jwksUrl, tenant: 'acme', mfa }, {
    issuer: b.iss,
    audience: ['one', 'two'],
    jwksUrl: b.jwksUrl,
    tenants: '*',
    sessionClaim: ['sid', 'session'],
    iatIsLogin: true
  }]
  const service = await startTrusting(t, entries)
  const ask = (token: string): Promise<Output> => check(service, [token], '', without)
  t.match(await ask(a.sign(service.clock, { amr: ['mfa'] })), {
    code: 0,
    text:
      /^Held against TRUSTED_ISSUERS_FILE \[0\]\.[^]*✓ it is signed by the key "[0-9a-f-]+" of its issuer \(TRUSTED_ISSUERS_FILE \[0\]\.jwksUrl\)[^]*own MFA {3}counts\n[^]*\n {2}allow \(idp_mfa\) if/
  })
  t.match(await ask(a.sign(service.clock, { amr: ['pwd'], tenant: 'other' })), {
    code: 1,
    text: /✗ tenant is "other", expected "acme" \(TRUSTED_ISSUERS_FILE \[0\]\.tenants\)\n {6}Add it to the setting/
  })
  t.match((await ask(a.sign(service.clock))).text, 'own MFA   does not count')
  t.match((await ask(a.sign(service.clock, { amr: ['mfa', 'fido'] }))).text, 'own MFA   counts, and is phishing-resistant')
  t.match(await ask(b.sign(service.clock, { aud: 'one', auth_time: 'x', groups: ['a', 1] })), {
    code: 0,
    text: /session {3}not said in sid or session: a code counts until the MFA token ends\n {2}login {5}not known \(auth_time\)/
  })
  t.match(
    (await ask(b.sign(service.clock, { aud: 'one', groups: ['a', 1] }))).text,
    'a; some are left out or cannot be read, so a policy for groups covers the user'
  )
  t.match((await ask(b.sign(service.clock, { aud: 'one', groups: [] }))).text, 'groups    none')
  t.match(await ask(b.sign(service.clock, { iss: 'https://c.test' })), {
    code: 1,
    text:
      /^No entry of the configuration trusts its issuer\.\n\n {2}✓ it has \d+ characters\n {2}✗ iss is "https:\/\/c\.test", expected "https:\/\/a\.test" or "https:\/\/b\.test"/
  })
  t.match(await ask(b.sign(service.clock, { iss: undefined, aud: undefined })), { code: 1, text: /✗ iss is not there/ })
  t.match(await ask(b.sign(service.clock, { aud: undefined })), {
    code: 1,
    text: /✗ aud is not there[^]*\? its signature is not looked at, as it names no issuer or no audience/
  })
  t.match(
    (await ask(b.sign(service.clock, { iss: 'https://B.test/', aud: 'two' }))).text,
    /^Held against TRUSTED_ISSUERS_FILE \[1\]\.[^]*✗ iss is "https:\/\/B\.test\/"[^]*✓ aud is "two"[^]*✓ it is signed/,
    'which is meant is found'
  )
  t.match((await ask(b.sign(service.clock, { aud: 'two' }, { alg: 'RS256' }))).text, /✗ alg is "RS256", expected|✗ kid is/)
  t.match(await ask(b.sign(service.clock, { aud: 'two', nbf: service.clock.seconds + 9000 })), {
    code: 1,
    text: /✓ it is signed[^]*✗ nbf is \d+/
  })
  t.match(await ask(b.sign(service.clock, { aud: 'two', nbf: 1e20 })), { code: 1, text: /✗ exp or nbf is not a time/ })
  b.answer = () => ({ status: 500 })
  t.match(await ask(b.sign(service.clock, { aud: 'two' })), {
    code: 1,
    text: /\? the issuer's key set cannot be fetched \(TRUSTED_ISSUERS_FILE \[1\]\.jwksUrl\): the answer is no key set/
  })
})

t.test('it is read from standard input, as it was pasted', async t => {
  const service = await useService(t)
  const token = service.user().token()
  for (
    const [args, input] of [[[], `${token}\n`], [['-'], `  Bearer ${token}\r\n`], [[], `bearer ${token}`], [
      [`Bearer ${token}`],
      ''
    ]] as const
  ) {
    t.equal((await check(service, [...args], input, without)).code, 0, JSON.stringify(args.map(arg => arg.slice(0, 8))))
  }
  t.match(
    await check(service, [], '', without),
    { code: 1, text: /✗ Authorization does not begin with "Bearer" and a token/ },
    'nothing is no token'
  )
  t.match(await check(service, [`${token}${'x'.repeat(33_000)}`], '', without), {
    code: 1,
    text: /✗ it has \d+ characters, and 32768 are read \(431 token_too_large\)/
  })
})

t.test('without the database it says what it would add, and why it was not asked', async t => {
  const service = await useService(t)
  const token = service.user({ accounts: ['sso'] }).token()
  const { text } = await check(service, [token], '', without)
  t.match(text, `Decision, without the database: no DATABASE_URL is set, and no embedded database runs
  verify (factor_enrolled) if the user has an authenticator
  allow (exempt_sso) if not, and the policy requires MFA for everyone
  allow (not_required) if not, and the policy does not`)
  t.match(await check(service, [token], '', { DATABASE_URL: 'postgresql://u:canary-4711@127.0.0.1:1/x' }), {
    code: 0,
    text: /Decision, without the database: DATABASE_URL: nothing listens there/
  })
  t.match((await check(service, [token], '', { MFA_PEPPERS: undefined })).text, 'Decision, without the database: MFA_PEPPERS is missing\n')
})

t.test('names in a token cannot write to the terminal', async t => {
  const service = await useService(t)
  const evil = '\u001b[2J\u001b]0;pwned\u0007\u009b31m\u202e'
  const { text } = await check(
    service,
    [service.user().token({ groups: [`a${'\u202e'}b`], email: 'a\u202eb@example.com', sid: 'x\u200b', kid: evil, accounts: ['sso'] })],
    '',
    without
  )
  // eslint-disable-next-line no-control-regex -- that is what is looked for
  const control = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u202e]/
  t.notMatch(text, control)
  t.notMatch((await check(service, [signToken({ iss: evil, aud: [evil], sub: evil })], '', without)).text, control)
})

t.test('a file of variables is tried as it is, and need not be whole', async t => {
  const service = await useService(t)
  const token = service.user().token()
  const dir = t.testdir()
  const tryFile = async (t: Test, text: string | Buffer, given = token): Promise<Output> => {
    writeFileSync(join(dir, 'env'), text)
    return await check({ ...service, env: { JWT_ISSUER: 'https://of-the-environment.test' } }, [given, '--env-file', join(dir, 'env')])
  }
  const good = { JWT_ISSUER: ISSUER, JWT_AUDIENCE: 'mfa', JWT_SECRET: SECRET, MFA_ISSUER: 'https://mfa.test', MFA_AUDIENCE: 'x' }
  const lines = (values: Record<string, string>): string => Object.entries(values).map(([name, value]) => `${name}='${value}'\n`).join('')
  t.equal((await tryFile(t, lines(good))).code, 0)
  t.equal((await tryFile(t, `# as production has it\nNODE_ENV=production\n${lines(good)}HOST=0.0.0.0\n`)).code, 0)
  t.match(await tryFile(t, lines({ ...good, JWT_AUDIENCE: 'other' })), { code: 1, text: /✗ aud is "mfa", expected "other"/ })
  await t.rejects(tryFile(t, lines({ JWT_ISSUER: ISSUER, JWT_SECRET: SECRET })), {
    name: 'ConfigError',
    message: 'JWT_AUDIENCE is missing\nMFA_ISSUER is missing\nMFA_AUDIENCE is missing'
  })
  await t.rejects(tryFile(t, `${lines(good)}JWT_ISUER=x\n`), { name: 'ConfigError', message: /did you mean JWT_ISSUER\?/ })
  await t.rejects(tryFile(t, `${lines(good)}what is this\n`), {
    name: 'ConfigError',
    message: '--env-file has a line 6 that is not NAME=value'
  })
  await t.rejects(tryFile(t, Buffer.from(`${lines(good)}TOTP_ISSUER_NAME=Zürich`, 'latin1')), {
    name: 'ConfigError',
    message: '--env-file is not UTF-8 at line 6, column 19'
  })
  await t.rejects(check(service, [token, '--env-file', join(dir, 'none')]), {
    name: 'ConfigError',
    message: '--env-file cannot be read (ENOENT)'
  })
  await t.rejects(tryFile(t, lines({ ...good, MFA_ISSUER: ISSUER })), { name: 'ConfigError', message: /^MFA_ISSUER equals JWT_ISSUER/ })
  await t.rejects(tryFile(t, `${lines(good)}TRUSTED_ISSUERS_FILE=/nowhere.json\n`), {
    name: 'ConfigError',
    message: /JWT_ISSUER is set, and TRUSTED_ISSUERS_FILE too/
  })
})

interface Ended { code: number, stdout: string, stderr: string }

const run = (file: string, args: string[], env: Record<string, string>, input = ''): Promise<Ended> => new Promise(resolve => {
  const child = execFile(
    process.execPath,
    nodeArguments(file, ...args),
    { env: { PATH: process.env.PATH, ...env } },
    (error, stdout, stderr) => {
      resolve({ code: (error?.code ?? 0) as number, stdout, stderr })
    })
  child.stdin?.end(input)
})

t.test('as a command: both names of it, its exit codes, and its help', async t => {
  const env = testEnvironment()
  const token = signToken({ iss: ISSUER, aud: 'mfa', sub: 'alice', exp: Math.floor(Date.now() / 1000) + 600 })
  const [file, called] = ['src/cli/token.ts', ['check']] as const
  t.match(await run(file, [...called], env, token), { code: 0, stdout: /The service accepts it\.\n$/, stderr: '' })
  t.match(await run(file, [...called, token], { ...env, JWT_ISSUER: '' }), {
    code: 2,
    stdout: '',
    stderr: 'configuration: JWT_ISSUER is blank: give it a value or leave it out\n'
  })
  t.match(await run(file, [...called, 'a', 'b'], env), {
    code: 2,
    stderr: /^That is more than one token: check one at a time, without white space in it\.\n\nnpm run token -- check/
  })
  t.match(await run(file, [...called, '--help'], env), { code: 0, stdout: /^npm run token -- check \[TOKEN\]/ })
  t.match(await run('src/cli/headless-mfa.ts', ['token', 'check', '-'], env, 'x'), {
    code: 1,
    stdout: /The service does not accept it\.\n$/
  })
})
