// Secrets in files count as they are now, and a replica whose keys do not fit the database serves no one.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ConfigError } from '../../src/config/config.ts'
import { keySet } from '../../src/config/secrets.ts'
import { markKeys } from '../../src/keys/keys.ts'
import { reportKeys } from '../../src/keys/keys.sql.ts'
import { nodeArguments } from '../helpers/program.ts'
import { asOwner, serviceRole } from '../helpers/role.ts'
import { ownDatabase } from '../helpers/database.ts'
import { key, secretFiles, startKept } from '../helpers/keys.ts'
import { startProxy } from '../helpers/proxy.ts'
import { headerOf, ISSUER, AUDIENCE, SECRET, signingKey, signToken, TestClock, testEnvironment } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const jwks = (...keys: object[]): string => JSON.stringify({ keys })

t.test('sealing keys, peppers, signing keys and the issuer\'s secret change with their files, in a running service', async t => {
  const { url } = await ownDatabase(t)
  const [k1, p1] = [`k1:${key()}`, `p1:${key()}`]
  const files = secretFiles(t.testdir(), {
    MFA_ENCRYPTION_KEYS: k1,
    MFA_PEPPERS: p1,
    MFA_SIGNING_KEYS: jwks(signingKey('s1')),
    JWT_SECRET: `${SECRET}\n`
  })
  const { service, keeper, told } = await startKept(t, { ...files.env, DATABASE_URL: url })
  await keeper.check()
  const alice = service.user()
  const { secret, recoveryCodes, token } = await alice.enroll()
  t.equal(headerOf(token).kid, 's1')

  const other = `${SECRET.slice(1)}x`
  files.put({
    MFA_ENCRYPTION_KEYS: `k2:${key()},${k1}`,
    MFA_PEPPERS: `p2:${key()},${p1}`,
    MFA_SIGNING_KEYS: jwks(signingKey('s2', 'ed25519'), signingKey('s3')),
    JWT_SECRET: other
  })
  t.equal((await alice.call('GET', '/mfa/status')).status, 200, 'until it is looked at')
  await keeper.check()
  t.same(told, [['info', 'secrets were read again']])
  t.equal((await alice.call('GET', '/mfa/status')).status, 401, 'the issuer\'s old secret')
  const login = (): string =>
    signToken(
      {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: alice.sub,
        tenant: alice.tenant,
        auth_time: service.clock.seconds,
        iat: service.clock.seconds,
        exp: service.clock.seconds + 900
      },
      {},
      other
    )
  const verified = await service.call('POST', '/mfa/verify', { token: login(), body: { code: service.clock.code(secret) } })
  t.equal(verified.status, 200, 'sealed by the older key')
  t.equal(headerOf(verified.body.token).kid, 's2')
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 401, 'a key that is gone signs nothing')
  t.equal((await service.call('GET', '/mfa/status', { token: verified.body.token })).status, 200)
  t.same((await service.call('GET', '/.well-known/jwks.json')).body.keys.map((each: { kid: string }) => each.kid), ['s2', 's3'])
  t.equal(
    (await service.call('POST', '/mfa/recovery', { token: login(), body: { code: recoveryCodes?.[0] } })).status,
    200,
    'hashed with the older pepper'
  )
  service.clock.advance(30)
  await service.call('POST', '/mfa/recovery/codes', {
    token: (await service.call('POST', '/mfa/verify', { token: login(), body: { code: service.clock.code(secret) } })).body.token
  })
  const started = await service.call('POST', '/mfa/enroll', { token: verified.body.token })
  t.equal(started.status, 201)
  t.same(await service.db.rows`SELECT DISTINCT pepper_id FROM recovery_codes`, [{ pepper_id: 'p2' }])
  t.same(await service.db.rows`SELECT key_id FROM enrollments`, [{ key_id: 'k2' }], 'what is new is of the first key')
})

t.test('a bad file is refused with a line, once, and what was there still counts', async t => {
  const { url } = await ownDatabase(t)
  const k1 = `k1:${key()}`
  const files = secretFiles(t.testdir(), { MFA_ENCRYPTION_KEYS: k1, MFA_PEPPERS: `p1:${key()}` })
  const { service, keeper, told } = await startKept(t, { ...files.env, DATABASE_URL: url })
  await keeper.check()
  const alice = service.user()
  const { secret } = await alice.enroll()
  const bad: Array<[string, Record<string, string>, RegExp]> = [
    ['half of it', { MFA_ENCRYPTION_KEYS: k1.slice(0, 30) }, /MFA_ENCRYPTION_KEYS has a key of \d+ bytes/],
    ['nothing', { MFA_ENCRYPTION_KEYS: '' }, /MFA_ENCRYPTION_KEYS is blank/],
    [
      'a key of the other purpose',
      { MFA_ENCRYPTION_KEYS: `k1:${service.config.MFA_PEPPERS.keys.get('p1')?.toString('base64') as string}` },
      /MFA_PEPPERS holds a key of MFA_ENCRYPTION_KEYS too/
    ],
    ['other bytes under the same id', { MFA_ENCRYPTION_KEYS: `k1:${key()}` }, /MFA_ENCRYPTION_KEYS has another key under the id "k1"/],
    ['a new key without the one that rows need', { MFA_ENCRYPTION_KEYS: `k2:${key()}` }, /MFA_ENCRYPTION_KEYS lacks the key "k1"/],
    ['a new pepper without the old', { MFA_ENCRYPTION_KEYS: k1, MFA_PEPPERS: `p2:${key()}` }, /MFA_PEPPERS lacks the key "p1"/]
  ]
  for (const [name, changes, why] of bad) {
    told.length = 0
    files.put(changes)
    await keeper.check()
    await keeper.check()
    t.match(told, [['error', why]], name)
    t.equal(told.length, 1, `${name}: told once`)
    t.notMatch(JSON.stringify(told), changes.MFA_ENCRYPTION_KEYS?.slice(3) || 'nothing', `${name}: no key in it`)
    await alice.verify(secret)
  }
  told.length = 0
  rmSync(files.path('MFA_PEPPERS'))
  await keeper.check()
  t.match(told, [['error', /MFA_PEPPERS_FILE cannot be read/]])
  await alice.verify(secret)
  t.same(await service.db.rows`SELECT purpose, id FROM keys WHERE purpose <> 'signing' ORDER BY 1, 2`, [{ purpose: 'pepper', id: 'p1' }, {
    purpose: 'sealing',
    id: 'k1'
  }], 'what was refused is not known')
})

t.test('it looks by itself, some times a minute, and reports which keys it has', async t => {
  const { url } = await ownDatabase(t)
  const [k1, p1] = [`k1:${key()}`, `p1:${key()}`]
  const files = secretFiles(t.testdir(), { MFA_ENCRYPTION_KEYS: k1, MFA_PEPPERS: p1 })
  const { service, keeper } = await startKept(t, { ...files.env, DATABASE_URL: url }, new TestClock(), 0.02)
  await keeper.start(20)
  await service.db.rows`INSERT INTO keys (purpose, id, fingerprint, first_at) VALUES ('sealing', 'k0', 'x', now() - interval '1 hour')`
  await service.db.rows`UPDATE keys SET first_at = now() - interval '1 hour' WHERE id = 'k1'`
  files.put({ MFA_ENCRYPTION_KEYS: `${k1},k2:${key()}` })
  await until(() => service.secrets.sealing.keys.has('k2'))
  t.same([...service.secrets.sealing.keys.keys()], ['k1', 'k2'])
  await sleep(100)
  await keeper.stop()
  const [states] = await service.db.rows<
    { keys: unknown }
  >`SELECT jsonb_object_agg(id, jsonb_build_array(absent_at IS NOT NULL, first_at > now() - interval '1 minute') ORDER BY id) AS keys
    FROM keys WHERE purpose = 'sealing'`
  t.same(states?.keys, { k0: [true, false], k1: [false, true], k2: [false, null] }, 'which is missing, which is first')

  const other = await startKept(t, { ...service.env, ...files.env, MFA_ENCRYPTION_KEYS: k1, MFA_ENCRYPTION_KEYS_FILE: undefined })
  await other.keeper.check()
  const [row] = await service.db.rows<
    { is_absent: boolean }
  >`SELECT absent_at > now() - interval '1 minute' AS is_absent FROM keys WHERE id = 'k2'`
  t.ok(row?.is_absent, 'another replica has it not yet')
})

t.test('the proof: same ids and other bytes, and keys that are missing, are refused by the name of the variable', async t => {
  const { url } = await ownDatabase(t)
  const first = await startKept(t, { DATABASE_URL: url })
  await first.keeper.check()
  const again = await startKept(t, { ...first.service.env })
  await again.keeper.check()
  t.equal((await again.service.call('GET', '/health/ready')).status, 200)
  const wrong: Array<[Record<string, string>, string]> = [
    [
      { MFA_ENCRYPTION_KEYS: `k1:${key()}` },
      'MFA_ENCRYPTION_KEYS has another key under the id "k1" than the one that this database was used with: give a new key an id of its own'
    ],
    [{ MFA_PEPPERS: `p1:${key()}` }, 'MFA_PEPPERS has another key under the id "p1"'],
    [{ MFA_SIGNING_KEYS: jwks(signingKey('test-1')) }, 'MFA_SIGNING_KEYS has another key under the id "test-1"']
  ]
  for (const [env, message] of wrong) {
    const { service, keeper } = await startKept(t, { ...first.service.env, ...env })
    await t.rejects(keeper.check(), { name: 'ConfigError', message: new RegExp(`^${message}`) }, 'before there is a row')
    await t.rejects(reportKeys(service.db, markKeys(keySet(service.config))), { name: 'KeyError' }, 'nor does the statement itself take it')
    t.equal((await service.call('GET', '/health/ready')).status, 503)
    const user = service.user()
    t.equal((await user.call('POST', '/mfa/enroll')).status, 503, 'nothing is sealed')
  }
  await first.service.user().enroll()
  for (
    const [env, message] of [
      [{ MFA_ENCRYPTION_KEYS: `k2:${key()}` }, /^MFA_ENCRYPTION_KEYS lacks the key "k1", which the database needs$/],
      [{ MFA_PEPPERS: `p2:${key()}` }, /^MFA_PEPPERS lacks the key "p1"/]
    ] as const
  ) {
    const { keeper } = await startKept(t, { ...first.service.env, ...env })
    await t.rejects(keeper.check(), { name: 'ConfigError', message })
  }
})

t.test('the process ends before it listens, with one line', async t => {
  const { url } = await ownDatabase(t)
  const { service, keeper } = await startKept(t, { DATABASE_URL: url })
  await keeper.check()
  const env = {
    ...service.env,
    MFA_ENCRYPTION_KEYS: `k1:${key()}`,
    NODE_ENV: 'production',
    BCRYPT_COST: '10',
    PORT: '0',
    LOG_LEVEL: 'trace'
  }
  const child = spawn(process.execPath, nodeArguments('src/server.ts'), { env: { PATH: process.env.PATH, ...env } })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', data => { stdout += data })
  child.stderr.on('data', data => { stderr += data })
  t.same(await once(child, 'close'), [1, null])
  t.match(stderr, /^configuration: MFA_ENCRYPTION_KEYS has another key under the id "k1"[^\n]*\n$/)
  t.notMatch(stdout, /listening/)
})

t.test('a database from before the fingerprints: its rows say whether a key is theirs, and one that was changed does not', async t => {
  const { url } = await ownDatabase(t)
  const before = await startKept(t, { DATABASE_URL: url })
  await before.keeper.check()
  for (let i = 0; i < 3; i++) await before.service.user().enroll()
  await before.service.user().call('POST', '/mfa/enroll')
  const forget = (): Promise<unknown> => before.service.db.rows`DELETE FROM keys`
  await forget()
  const wrong = await startKept(t, { ...before.service.env, MFA_ENCRYPTION_KEYS: `k1:${key()}` })
  await t.rejects(wrong.keeper.check(), /MFA_ENCRYPTION_KEYS has another key under the id "k1"/)
  t.same(await before.service.db.rows`SELECT * FROM keys`, [])
  await before.service.db
    .rows`UPDATE factors SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE id IN (SELECT id FROM factors LIMIT 2)`
  const right = await startKept(t, before.service.env)
  await right.keeper.check()
  t.ok(right.service.secrets.areProved)
})

t.test('of two that bring other bytes under one id at the same moment, one is refused', async t => {
  const { url } = await ownDatabase(t)
  const kept = await Promise.all(Array.from({ length: 4 }, () => startKept(t, { DATABASE_URL: url, MFA_ENCRYPTION_KEYS: `same:${key()}` })))
  // A replica that finds it out only by the statement itself tries again a moment later, and is not ready meanwhile.
  await Promise.allSettled(kept.map(({ keeper }) => keeper.check()))
  await Promise.allSettled(kept.map(({ keeper }) => keeper.check()))
  t.equal(kept.filter(({ service }) => service.secrets.areProved).length, 1)
})

t.test('no one is let in before the keys are checked against the database: that is asked again until it is there, or until the ' +
  'end', async t => {
  const { url } = await ownDatabase(t)
  const proxy = await startProxy(t, url)
  await proxy.refuse()
  const [waiting, ending] = [await startKept(t, { DATABASE_URL: proxy.url }), await startKept(t, { DATABASE_URL: proxy.url })]
  const proved = waiting.keeper.prove(20)
  const ended = ending.keeper.prove(20)
  await until(() => waiting.told.length > 0 && ending.told.length > 0)
  await ending.keeper.stop()
  await ended
  t.notOk(ending.service.secrets.areProved)
  await proxy.restore()
  await proved
  t.ok(waiting.service.secrets.areProved)
  t.equal(waiting.told.length, 1, 'told once')
})

t.test('without a database it starts, is not ready and seals nothing; held against it later, it serves or ends', async t => {
  const { url } = await ownDatabase(t)
  const proxy = await startProxy(t, url)
  const { service, keeper, told, unfit } = await startKept(t, { DATABASE_URL: proxy.url })
  await proxy.refuse()
  await keeper.check()
  await keeper.check()
  t.same(told, [['warn', 'the keys cannot be compared with the database']], 'told once')
  await proxy.restore()
  const alice = service.user()
  t.match(await alice.call('GET', '/mfa/status'), { status: 503 }, 'whether she was erased is not known without a pepper')
  t.match(await alice.call('POST', '/mfa/enroll'), { status: 503, body: { code: 'unavailable' } })
  t.equal((await service.call('GET', '/health/ready')).status, 503)
  await keeper.check()
  t.equal((await service.call('GET', '/health/ready')).status, 200)
  await alice.enroll()

  const late = await startKept(t, { ...service.env, MFA_ENCRYPTION_KEYS: `k1:${key()}` })
  await proxy.refuse()
  await late.keeper.start(20)
  await proxy.restore()
  await until(() => late.unfit.length > 0)
  t.ok(late.unfit[0] instanceof ConfigError)
  t.match(late.unfit[0]?.message, /MFA_ENCRYPTION_KEYS has another key/)

  await proxy.refuse()
  told.length = 0
  t.same(unfit, [])
  await keeper.check()
  t.same(told, [], 'nothing changed, and nothing was due to be reported')
})

t.test('the database\'s password changes with its file; another database does not', async t => {
  const { url } = await ownDatabase(t)
  const role = await serviceRole(t, url)
  const files = secretFiles(t.testdir(), { DATABASE_URL: role.url })
  const { service, keeper, told } = await startKept(t, files.env)
  await keeper.check()
  const changed = new URL(role.url)
  changed.password = 'another-one'
  await asOwner(url, [`ALTER ROLE ${role.name} PASSWORD 'another-one'`])
  files.put({ DATABASE_URL: changed.href })
  await keeper.check()
  t.same(told, [['info', 'secrets were read again']])
  await asOwner(url, [`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role.name}'`])
  await sleep(50)
  t.equal((await service.call('GET', '/health/ready')).status, 200, 'new connections sign in by the new one')
  const elsewhere = new URL(changed)
  elsewhere.pathname = '/elsewhere'
  files.put({ DATABASE_URL: elsewhere.href })
  await keeper.check()
  t.same(told.slice(1), [['info', 'secrets were read again; what else changed of DATABASE_URL counts after a restart']])
  t.equal(service.secrets.databaseUrl, changed.href)
})

t.test('of the issuers\' file secrets are taken, and nothing else', async t => {
  const { url } = await ownDatabase(t)
  const entry = { issuer: ISSUER, audience: AUDIENCE, secret: SECRET }
  const dir = t.testdir({ 'issuers.json': JSON.stringify([entry]) })
  const put = (...entries: object[]): void => { writeFileSync(`${dir}/issuers.json`, JSON.stringify(entries)) }
  const { service, keeper, told } = await startKept(t, {
    DATABASE_URL: url,
    JWT_ISSUER: undefined,
    JWT_AUDIENCE: undefined,
    JWT_SECRET: undefined,
    TRUSTED_ISSUERS_FILE: `${dir}/issuers.json`
  })
  await keeper.check()
  const alice = service.user()
  t.equal((await alice.call('GET', '/mfa/status')).status, 200)
  put({ ...entry, secret: `${SECRET.slice(1)}x` })
  await keeper.check()
  t.equal((await alice.call('GET', '/mfa/status')).status, 401)
  put({ ...entry, loginType: 'sso' })
  await keeper.check()
  t.match(told, [['info', 'secrets were read again'], [
    'info',
    'secrets were read again; what else changed of the issuers counts after a restart'
  ]])
  t.equal((await alice.call('GET', '/mfa/status')).status, 401, 'all of that file waits')
  put({ ...entry, algorithms: ['HS256'] })
  await keeper.check()
  t.equal((await alice.call('GET', '/mfa/status')).status, 200)
  t.equal(testEnvironment().JWT_SECRET, SECRET)
})
