import { spawn } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { NAMES, readConfig, readSome } from '../../src/config/config.ts'
import { variables } from '../../src/config/variables.ts'
import { developmentKeys } from '../../src/config/development.ts'
import { nodeArguments } from '../helpers/program.ts'
import { SECRET, signingKey, testEnvironment } from '../helpers/service.ts'

type Env = Record<string, string | undefined>

const messageOf = (env: Env): string => {
  try { readConfig(env) } catch (error) { return (error as Error).message }
  return 'accepted'
}

const BASE = testEnvironment()

/** Refused, with one line that begins with the variable's name and does not hold what it was set to. */
function refuses (t: Test, change: Env, named: string, why: RegExp): void {
  const message = messageOf({ ...BASE, ...change })
  t.match(message, why, `${named}: ${why.source}`)
  t.equal(message.split(' ')[0], named)
  t.notMatch(message, /\n/)
  for (const value of Object.values(change)) {
    if (value !== undefined && value.length > 11) t.notOk(message.includes(value), `${named}: no value in the message`)
  }
}

const pemOf = (type: 'rsa' | 'ec' | 'ed25519' | 'x25519', options = {}): string =>
  (generateKeyPairSync(type as 'rsa', options as never) as unknown as { publicKey: KeyObject }).publicKey.export({
    format: 'pem',
    type: 'spki'
  }) as string

/** What the tests' own environment leaves out, as it would be refused there. */
const PRODUCTION = { NODE_ENV: 'production', BCRYPT_COST: '10' }

t.test('a complete configuration is read whole, and cannot be changed', t => {
  const config = readConfig(testEnvironment())
  t.ok(Object.isFrozen(config))
  t.match(config, {
    PORT: 0,
    JWT_ALGORITHMS: ['HS256'],
    DOCS: true,
    THROTTLE_WAITS: [0, 0, 0, 0, 30],
    TRUSTED_PROXIES: [],
    MFA_TOKEN_SECONDS: 900
  })
  t.equal(readConfig({ ...testEnvironment(), ...PRODUCTION }).DOCS, false)
  t.equal(readConfig({ ...testEnvironment(), ...PRODUCTION, DOCS: 'on' }).DOCS, true)
  t.end()
})

t.test('the proxy is known by its name in lower case, as other programs know it; a blank one there is none', t => {
  const proxy = 'http://proxy.example:3128'
  const read = (env: Env): unknown => readConfig({ ...BASE, ...env }).HTTPS_PROXY
  t.equal(read({ https_proxy: proxy }), read({ HTTPS_PROXY: proxy }))
  t.equal(read({ https_proxy: 'http://other.example', HTTPS_PROXY: proxy }), read({ HTTPS_PROXY: proxy }))
  t.equal(read({ https_proxy: ' ' }), undefined)
  t.end()
})

t.test('what must be there and is missing is named', t => {
  for (
    const name of [
      'JWT_ISSUER',
      'JWT_AUDIENCE',
      'JWT_SECRET',
      'MFA_ISSUER',
      'MFA_AUDIENCE',
      'MFA_SIGNING_KEYS',
      'MFA_ENCRYPTION_KEYS',
      'MFA_PEPPERS'
    ]
  ) refuses(t, { [name]: undefined }, name, /is missing/)
  t.end()
})

t.test('a blank value is never the same as none', t => {
  for (const name of Object.keys(variables)) {
    for (const blank of ['', ' ', '\t']) refuses(t, { BCRYPT_COST: '10', [name]: blank }, name, /is blank/)
  }
  for (const name of NAMES.filter(name => !(name in variables))) {
    refuses(t, { [name.replace('_FILE', '')]: undefined, [name]: ' ' }, name, /is blank/)
  }
  t.end()
})

t.test('all that is missing or bad is told at once, a line each', t => {
  const lines = messageOf({ NODE_ENV: 'production' }).split('\n')
  t.same(lines.map(line => line.split(' ')[0]).sort(), [
    'DATABASE_URL',
    'JWT_AUDIENCE',
    'JWT_ISSUER',
    'JWT_SECRET',
    'MFA_AUDIENCE',
    'MFA_ENCRYPTION_KEYS',
    'MFA_ISSUER',
    'MFA_PEPPERS',
    'MFA_SIGNING_KEYS'
  ])
  const dir = t.testdir({
    issuers: '[{ "issuer": "https://a.test" }, { "issuer": "https://b.test", "audience": "mfa", "tenant": "b", "secret": "short" }]'
  })
  t.same(messageOf({
    ...testEnvironment(),
    ...PRODUCTION,
    PORT: 'high',
    BCRYPT_COST: '9',
    DATABASE_URL: 'postgresql://db.test/mfa',
    MFA_PEPPERS: 'p1',
    MFA_ENCRYPTION_KEYS: undefined,
    MFA_ENCRYPTION_KEYS_FILE: '/nowhere',
    WEBHOOK_URL: 'ftp://x',
    JWT_SECRET: undefined,
    JWT_ISSUER: undefined,
    TRUSTED_ISSUERS_FILE: `${dir}/issuers`,
    TRUSTED_PROXIES: 'everyone'
  }).split('\n').map(line => line.replace(/(: | \().*/, '')).sort(), [
    'BCRYPT_COST is under 10',
    'DATABASE_URL must say sslmode=verify-full in production',
    'JWT_AUDIENCE is set, and TRUSTED_ISSUERS_FILE too',
    'MFA_ENCRYPTION_KEYS_FILE cannot be read',
    'MFA_PEPPERS is not of the form id:base64,…',
    'PORT is not a whole number from 0 to 65535',
    'TRUSTED_ISSUERS_FILE [0].audience is missing',
    'TRUSTED_ISSUERS_FILE [1].secret is shorter than 32 bytes. Make one',
    'TRUSTED_PROXIES holds something that is not a CIDR, as 10.0.0.0/8',
    'WEBHOOK_URL must begin with https'
  ])
  t.end()
})

t.test('a secret that is short is refused, and one that looks like a placeholder too, in production', t => {
  for (const value of ['x', 'short-key', randomBytes(31).toString('hex').slice(0, 31)]) {
    refuses(t, { JWT_SECRET: value }, 'JWT_SECRET', /is shorter than 32 bytes. Make one: openssl rand -base64 48$/)
  }
  const placeholders: Array<[string, RegExp]> = [
    ['super-secret-jwt-token-with-at-least-32-characters-long', /contains the word "secret" and looks like a placeholder/],
    ['changemechangemechangemechangeme', /contains the word "changeme" and looks like a placeholder/],
    ['ab'.repeat(32), /repeats a few characters and looks like a placeholder/]
  ]
  const dir = t.testdir()
  for (const [value, why] of placeholders) {
    refuses(t, { ...PRODUCTION, JWT_SECRET: value }, 'JWT_SECRET', new RegExp(`${why.source}. Make one: openssl rand -base64 48$`))
    for (const NODE_ENV of ['test', 'development']) {
      const { WARNINGS: [warning], JWT_SECRET } = readConfig({ ...testEnvironment(), BCRYPT_COST: '10', NODE_ENV, JWT_SECRET: value })
      t.match(warning, why)
      t.match(warning, /refused in production. Make one: openssl/)
      t.notMatch(warning, value)
      t.equal(JWT_SECRET, value)
    }
    const file = `${dir}/${value.slice(0, 4)}.json`
    writeFileSync(file, JSON.stringify([{ issuer: 'https://a.test', audience: 'mfa', secret: value }]))
    const several = {
      ...testEnvironment(),
      JWT_SECRET: undefined,
      JWT_ISSUER: undefined,
      JWT_AUDIENCE: undefined,
      TRUSTED_ISSUERS_FILE: file
    }
    t.match(readConfig(several).WARNINGS, [/^TRUSTED_ISSUERS_FILE \[0\].secret /])
    t.match(messageOf({ ...several, ...PRODUCTION }), /^TRUSTED_ISSUERS_FILE \[0\].secret /)
  }
  t.same(readConfig(testEnvironment()).WARNINGS, [])
  t.end()
})

t.test('development\'s keys are refused in production, whatever they are called and however they are written', t => {
  const keys = developmentKeys(t.testdir())
  t.same(Object.keys(keys), ['JWT_SECRET', 'MFA_SIGNING_KEYS', 'MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS'])
  t.equal(messageOf({ ...testEnvironment(), ...keys }), 'accepted', 'elsewhere they are good')
  const remake: Record<string, string> = {
    JWT_SECRET: 'openssl rand -base64 48',
    MFA_SIGNING_KEYS: 'npm run keys -- add signing',
    MFA_ENCRYPTION_KEYS: 'npm run keys -- add sealing',
    MFA_PEPPERS: 'npm run keys -- add pepper'
  }
  for (const [name, value] of Object.entries(keys)) {
    const why = new RegExp(`holds a key of development .*, which production does not take. Make its own: ${remake[name] as string}$`)
    refuses(t, { ...PRODUCTION, [name]: value }, name, why)
    refuses(t, { ...PRODUCTION, [name]: value.replace('dev:', 'k7:').replace('"development"', '"k7"') }, name, why)
    // Behind a good one, too.
    if (name === 'MFA_PEPPERS') {
      refuses(t, { ...PRODUCTION, [name]: `${testEnvironment().MFA_PEPPERS as string},${value.replace('dev:', 'p7:')}` }, name, why)
    }
  }
  refuses(t, { ...PRODUCTION, MFA_PEPPERS: `dev:${randomBytes(32).toString('base64')}` }, 'MFA_PEPPERS', /holds a key of development/)
  refuses(
    t,
    { ...PRODUCTION, MFA_SIGNING_KEYS: JSON.stringify({ keys: [signingKey('development')] }) },
    'MFA_SIGNING_KEYS',
    /holds a key of development/
  )
  const webhook = { WEBHOOK_URL: 'https://hooks.test/', WEBHOOK_SECRET: `whsec_${keys.MFA_PEPPERS?.replace('dev:', '') as string}` }
  refuses(t, { ...PRODUCTION, ...webhook }, 'WEBHOOK_SECRET', /holds a key of development/)
  const dir = t.testdir({ issuers: JSON.stringify([{ issuer: 'https://a.test', audience: 'mfa', secret: keys.JWT_SECRET }]) })
  refuses(
    t,
    { ...PRODUCTION, JWT_SECRET: undefined, JWT_ISSUER: undefined, JWT_AUDIENCE: undefined, TRUSTED_ISSUERS_FILE: `${dir}/issuers` },
    'TRUSTED_ISSUERS_FILE',
    /holds a key of development/
  )
  t.end()
})

t.test('development listens on this machine alone, and takes a database of this machine alone', t => {
  for (const NODE_ENV of [undefined, 'development', 'test']) {
    for (const HOST of ['0.0.0.0', '::', '192.168.1.7', 'mfa.test', '127.0.0.1.evil.test', '::ffff:127.0.0.1']) {
      refuses(t, { NODE_ENV, BCRYPT_COST: '10', HOST }, 'HOST', /development listens on no other: set NODE_ENV=production/)
      refuses(
        t,
        { NODE_ENV, BCRYPT_COST: '10', ADMIN_HOST: HOST },
        'ADMIN_HOST',
        /development listens on no other: set NODE_ENV=production/
      )
    }
    for (const HOST of ['127.0.0.1', '127.0.0.2', '::1', 'localhost']) {
      t.equal(messageOf({ ...testEnvironment(), BCRYPT_COST: '10', NODE_ENV, HOST }), 'accepted', HOST)
    }
    for (
      const url of [
        'postgresql://db.test/mfa',
        'postgresql://mfa@10.0.0.7/mfa?sslmode=verify-full',
        'postgresql://127.0.0.1@db.test/mfa',
        'postgresql://localhost/mfa?host=db.test',
        'postgresql://LOCALHOST.test/mfa'
      ]
    ) {
      for (const name of ['DATABASE_URL', 'DATABASE_OWNER_URL']) {
        refuses(t, { NODE_ENV, BCRYPT_COST: '10', [name]: url }, name, /is not on this machine.* set NODE_ENV=production/)
        t.throws(() => readSome({ NODE_ENV, [name]: url }, ['DATABASE_URL', 'DATABASE_OWNER_URL']), { message: /is not on this machine/ })
      }
    }
  }
  for (const HOST of ['0.0.0.0', '::']) t.equal(messageOf({ ...testEnvironment(), ...PRODUCTION, HOST }), 'accepted', 'production does')
  t.end()
})

t.test('a floor that requires MFA and can be emptied is warned of, with what closes it', t => {
  const warningsOf = (POLICY_FLOOR: string): readonly string[] => readConfig({ ...testEnvironment(), POLICY_FLOOR }).WARNINGS
  t.match(warningsOf('{"enforcement":"required"}'), [
    /^POLICY_FLOOR requires MFA, but leaves groups, gracePeriodDays, enforceFrom, ssoRule, maxExemptionDays to each tenant/
  ])
  const [, added = ''] = / add (.*)$/.exec(warningsOf('{"enforcement":"required","groups":null}')[0] as string) ?? []
  t.match(added, /^"gracePeriodDays":0,"enforceFrom":null,/)
  t.same(warningsOf(`{"enforcement":"required","groups":null,${added}}`), [], 'with that it is closed')
  t.same(warningsOf('{"enforcement":"optional"}'), [])
  t.end()
})

t.test('a floor that asks for passkeys needs them for every tenant that the issuers speak for', t => {
  const floor = (phishingResistant: string): object => ({
    POLICY_FLOOR: JSON.stringify({ phishingResistant, phishingResistantFrom: null })
  })
  const passkeys = { PASSKEY_RP_ID: 'example.com', PASSKEY_ORIGINS: 'https://example.com' }
  for (const asked of ['administrators', 'required']) {
    t.match(
      messageOf({ ...testEnvironment(), ...floor(asked) }),
      'POLICY_FLOOR asks for passkeys, and PASSKEY_RP_ID is not set: name the domain that they are bound to, or leave phishingResistant out'
    )
    t.equal(messageOf({ ...testEnvironment(), ...floor(asked), ...passkeys }), 'accepted')
  }
  t.equal(messageOf({ ...testEnvironment(), ...floor('off') }), 'accepted')
  const entry = (tenants: unknown): object => ({ tenants, rpId: 'example.com', origins: ['https://example.com'] })
  const file = (...entries: object[]): object => ({
    PASSKEYS_FILE: `${t.testdir({ 'passkeys.json': JSON.stringify(entries) })}/passkeys.json`
  })
  const some = 'POLICY_FLOOR asks for passkeys, and PASSKEYS_FILE has none for some of the tenants'
  t.match(messageOf({ ...testEnvironment(), ...floor('required'), ...file(entry(['acme'])) }), some)
  t.equal(messageOf({ ...testEnvironment(), ...floor('required'), ...file(entry(['acme']), entry('*')) }), 'accepted')
  t.match(
    messageOf({ ...testEnvironment(), ...floor('required'), PASSKEYS_FILE: '/nowhere' }),
    /^PASSKEYS_FILE cannot be read [^\n]*$/,
    'what follows from a fault is none of its own'
  )
  t.end()
})

t.test('a floor that asks for passkeys and can be emptied is warned of, too', t => {
  const passkeys = { PASSKEY_RP_ID: 'example.com', PASSKEY_ORIGINS: 'https://example.com' }
  const warningsOf = (floor: object): readonly string[] =>
    readConfig({ ...testEnvironment(), ...passkeys, POLICY_FLOOR: JSON.stringify(floor) }).WARNINGS
  t.match(warningsOf({ phishingResistant: 'administrators' }), [/^POLICY_FLOOR requires passkeys, but leaves phishingResistantFrom to each/])
  t.match(warningsOf({ phishingResistant: 'required', enforcement: 'optional', groups: null }), [
    /leaves enforcement, gracePeriodDays, enforceFrom, ssoRule, maxExemptionDays, phishingResistantFrom to each/
  ])
  t.same(warningsOf({ phishingResistant: 'administrators', phishingResistantFrom: '2027-01-01T00:00:00Z' }), [])
  t.end()
})

t.test('one key for two purposes is refused, however it is written', t => {
  const { MFA_SIGNING_KEYS, MFA_ENCRYPTION_KEYS } = testEnvironment() as { MFA_SIGNING_KEYS: string, MFA_ENCRYPTION_KEYS: string }
  const sealing = MFA_ENCRYPTION_KEYS.replace('k1:', '')
  const d = JSON.parse(MFA_SIGNING_KEYS).keys[0].d as string
  refuses(t, { MFA_ENCRYPTION_KEYS, MFA_PEPPERS: `p1:${sealing}` }, 'MFA_PEPPERS', /holds a key of MFA_ENCRYPTION_KEYS too/)
  refuses(t, { MFA_SIGNING_KEYS, MFA_PEPPERS: `p1:${d}` }, 'MFA_SIGNING_KEYS', /holds a key of MFA_PEPPERS too/)
  refuses(t, { MFA_SIGNING_KEYS, MFA_ENCRYPTION_KEYS: `k1:${d}` }, 'MFA_SIGNING_KEYS', /holds a key of MFA_ENCRYPTION_KEYS too/)
  refuses(t, { MFA_ENCRYPTION_KEYS, JWT_SECRET: sealing }, 'JWT_SECRET', /holds a key of MFA_ENCRYPTION_KEYS too/)
  refuses(t, { MFA_SIGNING_KEYS, JWT_SECRET: d }, 'JWT_SECRET', /holds a key of MFA_SIGNING_KEYS too/)
  const letters = 'k3yM4terial-0f-exactly-32-bytes!'
  refuses(
    t,
    { MFA_PEPPERS: `p1:${Buffer.from(letters).toString('base64')}`, JWT_SECRET: letters },
    'JWT_SECRET',
    /holds a key of MFA_PEPPERS too/
  )
  t.end()
})

t.test('our tokens and the first factor\'s, and an application\'s, cannot be taken for each other', t => {
  refuses(t, { JWT_ISSUER: 'https://one.test', MFA_ISSUER: 'https://one.test' }, 'MFA_ISSUER', /equals JWT_ISSUER/)
  refuses(t, { MFA_APPLICATION_AUDIENCES: 'billing,mfa-own' }, 'MFA_APPLICATION_AUDIENCES', /holds MFA_AUDIENCE/)
  refuses(t, { MFA_APPLICATION_AUDIENCES: 'billing,billing' }, 'MFA_APPLICATION_AUDIENCES', /twice/)
  t.end()
})

t.test('a secret comes from the variable or from a file, never from both', t => {
  const dir = t.testdir({ secret: `${SECRET}\n`, blank: '\n', short: 'short', two: `${SECRET}\n\n` })
  t.equal(
    readConfig({ ...testEnvironment(), JWT_SECRET: undefined, JWT_SECRET_FILE: `${dir}/secret` }).JWT_SECRET,
    SECRET,
    'one line break at the end is no part of it'
  )
  for (const name of ['DATABASE_URL', 'JWT_SECRET', 'MFA_SIGNING_KEYS', 'MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS']) {
    refuses(t, { [`${name}_FILE`]: `${dir}/secret` }, name, /_FILE too: one of them/)
    for (const path of [`${dir}/nowhere`, dir]) refuses(t, { [name]: undefined, [`${name}_FILE`]: path }, `${name}_FILE`, /cannot be read/)
    refuses(t, { [name]: undefined, [`${name}_FILE`]: `${dir}/blank` }, name, /is blank/)
  }
  refuses(t, { JWT_SECRET: undefined, JWT_SECRET_FILE: `${dir}/short` }, 'JWT_SECRET', /is shorter/)
  refuses(t, { MFA_PEPPERS: undefined, MFA_PEPPERS_FILE: `${dir}/secret` }, 'MFA_PEPPERS', /is not of the form/)
  t.end()
})

t.test('the first factor has one key, and algorithms that fit it', t => {
  const dir = t.testdir({
    rsa: pemOf('rsa', { modulusLength: 2048 }),
    small: pemOf('rsa', { modulusLength: 1024 }),
    p256: pemOf('ec', { namedCurve: 'P-256' }),
    p384: pemOf('ec', { namedCurve: 'P-384' }),
    koblitz: pemOf('ec', { namedCurve: 'secp256k1' }),
    ed: pemOf('ed25519'),
    x25519: pemOf('x25519'),
    broken: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n',
    text: 'hello'
  })
  const file = (name: string, more: Env = {}): Env => ({ JWT_SECRET: undefined, JWT_PUBLIC_KEY_FILE: `${dir}/${name}`, ...more })
  for (const [name, algorithm] of [['rsa', 'RS256'], ['p256', 'ES256'], ['p384', 'ES384'], ['ed', 'EdDSA']] as const) {
    t.same(readConfig({ ...testEnvironment(), ...file(name) }).JWT_ALGORITHMS, [algorithm], name)
  }
  t.same(readConfig({ ...testEnvironment(), JWT_SECRET: undefined, JWT_JWKS_URL: 'https://id.test/jwks' }).JWT_ALGORITHMS, [
    'RS256',
    'ES256'
  ])
  refuses(t, file('nowhere'), 'JWT_PUBLIC_KEY_FILE', /cannot be read/)
  refuses(t, file('text'), 'JWT_PUBLIC_KEY_FILE', /is not a PEM public key/)
  refuses(t, file('broken'), 'JWT_PUBLIC_KEY_FILE', /does not parse/)
  refuses(t, file('small'), 'JWT_PUBLIC_KEY_FILE', /less than 2048 bits/)
  for (const name of ['koblitz', 'x25519']) refuses(t, file(name), 'JWT_PUBLIC_KEY_FILE', /is neither RSA/)
  refuses(t, file('rsa', { JWT_SECRET: SECRET }), 'JWT_PUBLIC_KEY_FILE', /is set, and JWT_SECRET too/)
  refuses(t, { JWT_JWKS_URL: 'https://id.test/jwks' }, 'JWT_JWKS_URL', /is set, and JWT_SECRET too/)
  for (const algorithms of ['HS256', 'RS256,HS256', 'HS512']) {
    refuses(t, file('rsa', { JWT_ALGORITHMS: algorithms }), 'JWT_ALGORITHMS', /must not be HS/)
  }
  refuses(
    t,
    { JWT_SECRET: undefined, JWT_JWKS_URL: 'https://id.test/jwks', JWT_ALGORITHMS: 'RS256,HS256' },
    'JWT_ALGORITHMS',
    /must not be HS/
  )
  for (const algorithms of ['RS256', 'HS256,ES256']) refuses(t, { JWT_ALGORITHMS: algorithms }, 'JWT_ALGORITHMS', /must be HS/)
  for (const [name, algorithms] of [['rsa', 'ES256'], ['rsa', 'RS256,ES256'], ['p256', 'ES384'], ['ed', 'ES256']] as const) {
    refuses(t, file(name, { JWT_ALGORITHMS: algorithms }), 'JWT_ALGORITHMS', /does not fit/)
  }
  for (const algorithms of ['none', 'HS256,none', 'hs256', 'HS256,']) {
    refuses(t, { JWT_ALGORITHMS: algorithms }, 'JWT_ALGORITHMS', /is none of/)
  }
  t.end()
})

t.test('a login session is not told by a time', t => {
  for (const claim of ['auth_time', 'iat', 'exp', 'nbf']) {
    refuses(t, { JWT_SESSION_CLAIM: claim }, 'JWT_SESSION_CLAIM', /names a time, .* or leave it out, and no second factor is remembered$/)
  }
  t.same(readConfig({ ...testEnvironment(), JWT_SESSION_CLAIM: 'session_id' }).ISSUERS[0]?.sessionClaims, ['session_id'])
  t.end()
})

t.test('each cost of hashing that is taken can work', async t => {
  for (const NODE_ENV of [undefined, 'development', 'production']) {
    refuses(t, { ...PRODUCTION, NODE_ENV, BCRYPT_COST: '9' }, 'BCRYPT_COST', /is under 10: the database takes no cheaper hash/)
  }
  refuses(t, { BCRYPT_COST: '13' }, 'BCRYPT_COST', /from 4 to 12/)
  for (const BCRYPT_COST of ['10', '12']) t.equal(messageOf({ ...testEnvironment(), NODE_ENV: 'development', BCRYPT_COST }), 'accepted')
  refuses(t, { TOTP_ISSUER_NAME: 'Acme: Prod' }, 'TOTP_ISSUER_NAME', /holds a colon/)
})

t.test('in production the embedded database, weaker throttles and cheaper hashes are refused', t => {
  refuses(t, { ...PRODUCTION, DATABASE_URL: undefined }, 'DATABASE_URL', /not for production/)
  const floors: Array<[string, string, string]> = [
    ['THROTTLE_LOCK', '31', '30'],
    ['THROTTLE_DAY', '21', '20'],
    ['THROTTLE_MONTH', '31', '30'],
    ['THROTTLE_WAITS', '0,0,0,0,29', '0,0,0,0,30'],
    ['THROTTLE_WAITS', '0', '30'],
    ['THROTTLE_WAITS', '0,0,0,0,0,30', '0,0,30'],
    ['THROTTLE_WAITS', '30,0', '1,30']
  ]
  for (const [name, weak, good] of floors) {
    refuses(t, { ...PRODUCTION, [name]: weak }, name, /the floor in production/)
    t.equal(messageOf({ ...testEnvironment(), ...PRODUCTION, [name]: good }), 'accepted', `${name} ${good}`)
    t.equal(messageOf({ ...testEnvironment(), [name]: weak }), 'accepted', `${name} ${weak} in a test`)
  }
  for (const name of ['prod', 'Production', 'staging']) refuses(t, { NODE_ENV: name, BCRYPT_COST: '10' }, 'NODE_ENV', /is none of/)
  t.end()
})

t.test('a bad configuration ends the process before it listens, with a line for each', async t => {
  const good: Env = { ...testEnvironment(), ...PRODUCTION }
  const cases: Array<[Env, RegExp]> = [
    [{ NODE_ENV: 'production' }, /^(configuration: [A-Z_]+ is missing[^\n]*\n){9}$/],
    [
      { NODE_ENV: 'prod' },
      /^configuration: NODE_ENV is none of production, development, test\n(configuration: [A-Z_]+ is missing[^\n]*\n){9}$/
    ],
    [{ ...good, JWT_SECRET: 'changemechangemechangemechangeme' }, /^configuration: JWT_SECRET contains the word [^\n]*\n$/],
    [{ HOST: '0.0.0.0' }, /^configuration: HOST is not an address of this machine alone[^\n]*\n$/],
    [{ JWT_ISUER: 'x' }, /^configuration: JWT_ISUER is not known; did you mean JWT_ISSUER\?\n$/],
    [{ ...good, DATABASE_URL: undefined }, /^configuration: DATABASE_URL is missing: the embedded database is not for production\n$/],
    [{ ...good, MFA_ENCRYPTION_KEYS: good.MFA_PEPPERS }, /^configuration: MFA_PEPPERS holds a key of MFA_ENCRYPTION_KEYS too: [^\n]*\n$/]
  ]
  await Promise.all(cases.map(async ([env, line]) => {
    const child = spawn(process.execPath, nodeArguments('src/server.ts'), { env: { PATH: process.env.PATH, ...env } as NodeJS.ProcessEnv })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', data => { stdout += data })
    child.stderr.on('data', data => { stderr += data })
    const [code] = await once(child, 'close')
    t.equal(code, 1, line.source)
    t.match(stderr, line)
    t.equal(stdout, '', 'it had not begun')
  }))
})

t.test('no key stands in the sources, the documents or the migrations', t => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const roots = [
    'src',
    'prisma',
    'docs',
    'scripts',
    '.env.example',
    'README.md',
    'SECURITY.md',
    'CONTRIBUTING.md',
    'Dockerfile',
    'openapi.yaml',
    'package.json'
  ]
  const files = roots.flatMap(name =>
    statSync(root + name).isDirectory()
      ? readdirSync(root + name, { recursive: true, encoding: 'utf8' }).map(file => `${name}/${file}`)
      : [name]
  ).filter(name => statSync(root + name).isFile())
  t.ok(files.length > 100)
  // A private PEM or JWK, a ring of 32 bytes, a webhook secret.
  const KEYS =
    /-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/]{16}|"d":\s*"[A-Za-z0-9_-]{43}"|\b[A-Za-z0-9._-]{1,32}:[A-Za-z0-9+/]{43}=|whsec_[A-Za-z0-9+/]{32}/
  t.same(files.filter(name => KEYS.test(readFileSync(root + name, 'utf8'))), [])
  t.end()
})

t.test('.env.example has every variable, with its default, and no secret', t => {
  const text = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8')
  const entries = [...text.matchAll(/^#?([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name, value]) => [name, value] as [string, string])
  t.same(entries.map(([name]) => name).sort(), Object.keys(variables).sort())
  for (const [name, value] of entries) t.equal(value, (variables as Record<string, { fallback?: string }>)[name]?.fallback ?? '', name)
  for (const [name, { isSecret }] of Object.entries(variables) as Array<[string, { isSecret?: true }]>) {
    if (isSecret) t.ok(text.includes(`${name}_FILE`), `${name}_FILE is told of`)
  }
  t.match(
    messageOf(Object.fromEntries(entries.filter(([, value]) => value !== ''))),
    /^([A-Z_]+ is missing.*\n?)+$/,
    'what it says of values is accepted'
  )
  t.end()
})
