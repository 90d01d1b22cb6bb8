// What passkeys are made for: an origin that no browser would let use them, or that is not below the domain, stops the start.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { isOriginOf, relyingPartyOf } from '../../src/factors/passkeys/relying-party.ts'
import { testEnvironment } from '../helpers/service.ts'

const PRODUCTION = { NODE_ENV: 'production', BCRYPT_COST: '10', DATABASE_URL: 'postgresql://mfa:x@db.example/mfa?sslmode=verify-full' }
const parties = (env: Record<string, string>) => readConfig({ ...testEnvironment(), ...env }).PASSKEYS
const ORIGINS = { PASSKEY_RP_ID: 'example.com', PASSKEY_ORIGINS: 'https://app.example.com' }
const HASH = 'android:apk-key-hash:5tJ0SsBNmCSkDsLSY1o6g6gcUNXsMyCg0oQQnqLYWuE'

function refuses (t: Test, env: Record<string, string>, message: RegExp): void {
  t.throws(() => { parties(env) }, { name: 'ConfigError', message }, JSON.stringify(env))
}

function file (t: Test, content: unknown): { PASSKEYS_FILE: string } {
  const path = join(t.testdir(), 'passkeys.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return { PASSKEYS_FILE: path }
}

t.test('without a domain there are none, and with one they are for all tenants', async t => {
  t.same(parties({}), [])
  t.same(parties(ORIGINS), [{
    tenants: '*',
    rpId: 'example.com',
    name: 'Headless MFA',
    origins: ['https://app.example.com'],
    userVerification: 'required'
  }])
  t.match(parties({ ...ORIGINS, TOTP_ISSUER_NAME: 'Acme' }), [{ name: 'Acme' }])
  t.same(parties({
    PASSKEY_RP_ID: 'example.com',
    PASSKEY_ORIGINS: `https://example.com, https://a.b.example.com:8443,${HASH}`,
    PASSKEY_RELATED_ORIGINS: 'https://example.org',
    PASSKEY_RP_NAME: 'Example',
    PASSKEY_USER_VERIFICATION: 'preferred'
  }),
  [{
    tenants: '*',
    rpId: 'example.com',
    name: 'Example',
    origins: ['https://example.com', 'https://a.b.example.com:8443', HASH, 'https://example.org'],
    userVerification: 'preferred'
  }]
  )
  t.match(parties({ ...ORIGINS, ...PRODUCTION }), [{ rpId: 'example.com' }])
})

t.test('what cannot be a domain is refused', async t => {
  for (
    const rpId of [
      'https://example.com',
      'example.com:443',
      'Example.com',
      'com',
      '127.0.0.1',
      '[::1]',
      '.example.com',
      'exa mple.com',
      'example..com',
      'example.com.',
      '*.example.com'
    ]
  ) {
    refuses(t, { ...ORIGINS, PASSKEY_RP_ID: rpId }, /^PASSKEY_RP_ID is not a domain in small letters/)
  }
  refuses(
    t,
    { ...PRODUCTION, PASSKEY_RP_ID: 'localhost', PASSKEY_ORIGINS: 'http://localhost:3000' },
    /^PASSKEY_RP_ID is localhost, which is not for production/
  )
  refuses(t, { ...ORIGINS, PASSKEY_RP_ID: ' ' }, /^PASSKEY_RP_ID is blank/)
})

t.test('an origin is exact, secure, and at the domain or below it', async t => {
  const bad: Array<[string, RegExp]> = [
    ['https://app.example.com/', /not an exact origin/],
    ['https://app.example.com:443', /not an exact origin/],
    ['https://*.example.com', /not an exact origin/],
    ['app.example.com', /not an exact origin/],
    ['null', /not an exact origin/],
    ['', /is blank/],
    ['https://app.example.com,', /not an exact origin/],
    ['android:apk-key-hash:short', /not an exact origin/],
    [`${HASH}A`, /not an exact origin/],
    ['http://localhost:*', /not an exact origin/],
    ['http://app.example.com', /is not https/],
    ['https://example.org', /neither the relying party's domain nor below it/],
    ['https://notexample.com', /neither/],
    ['https://example.com.evil.example', /neither/],
    ['http://localhost:3000', /neither/]
  ]
  for (const [origins, why] of bad) refuses(t, { ...ORIGINS, PASSKEY_ORIGINS: origins }, new RegExp(`^PASSKEY_ORIGINS .*${why.source}`))
  refuses(t, { ...ORIGINS, ...PRODUCTION, PASSKEY_ORIGINS: 'http://localhost:3000' }, /^PASSKEY_ORIGINS holds an origin that is not https/)
  const bads: Array<[string, RegExp]> = [['http://example.org', /exact https origin/], ['https://example.org/', /exact https origin/], [
    'https://www.example.com',
    /which is no related one/
  ]]
  for (const [origins, why] of bads) {
    refuses(t, { ...ORIGINS, PASSKEY_RELATED_ORIGINS: origins }, new RegExp(`^PASSKEY_RELATED_ORIGINS .*${why.source}`))
  }
})

t.test('half of it stops the start: origins have no default, and nothing is left unread', async t => {
  refuses(t, { PASSKEY_RP_ID: 'example.com' }, /^PASSKEY_ORIGINS is missing/)
  for (
    const [name, value] of [['PASSKEY_ORIGINS', 'https://app.example.com'], ['PASSKEY_RELATED_ORIGINS', 'https://example.org'], [
      'PASSKEY_RP_NAME',
      'Example'
    ]] as const
  ) {
    refuses(t, { [name]: value }, new RegExp(`^${name} is set, and PASSKEY_RP_ID is not`))
  }
  t.same(parties({ PASSKEY_USER_VERIFICATION: 'required' }), [], 'its default alone asks for nothing')
  refuses(t, { ...ORIGINS, PASSKEY_USER_VERIFICATION: 'discouraged' }, /^PASSKEY_USER_VERIFICATION is none of required, preferred/)
  refuses(
    t,
    { PASSKEY_RP_ID: 'example.com', PASSKEY_ORIGIN: 'https://app.example.com' },
    /^PASSKEY_ORIGIN is not known; did you mean PASSKEY_ORIGINS\?\nPASSKEY_ORIGINS is missing/
  )
})

t.test('outside production a page of this machine may use them, on any port if that is said', async t => {
  const [one] = parties({ PASSKEY_RP_ID: 'localhost', PASSKEY_ORIGINS: 'http://localhost:3000' })
  const [any] = parties({ PASSKEY_RP_ID: 'localhost', PASSKEY_ORIGINS: 'http://localhost:*' })
  const may = (party: typeof one, origin: unknown): boolean => isOriginOf(party as NonNullable<typeof one>, origin)
  t.ok(may(one, 'http://localhost:3000'))
  t.notOk(may(one, 'http://localhost:3001'))
  for (const origin of ['http://localhost', 'http://localhost:3000', 'http://localhost:65535']) t.ok(may(any, origin), origin)
  for (
    const origin of [
      'http://localhost:*',
      'http://localhost:123456',
      'https://localhost:1',
      'http://localhost.evil.example',
      'http://localhost:1/',
      'http://127.0.0.1:1',
      undefined,
      7
    ]
  ) t.notOk(may(any, origin), String(origin))
})

t.test('a file has several, and the first that names a tenant is its own', async t => {
  const several = parties(file(t, [
    {
      tenants: ['acme', 'globex'],
      rpId: 'acme.example',
      name: 'Acme',
      origins: ['https://acme.example'],
      relatedOrigins: ['https://acme.example.org'],
      userVerification: 'preferred'
    },
    { tenants: '*', rpId: 'example.com', origins: ['https://example.com'] }
  ]))
  t.match(relyingPartyOf(several, 'acme'), {
    rpId: 'acme.example',
    name: 'Acme',
    origins: ['https://acme.example', 'https://acme.example.org'],
    userVerification: 'preferred'
  })
  t.match(relyingPartyOf(several, 'initech'), { rpId: 'example.com', name: 'Headless MFA', userVerification: 'required' })
  t.equal(relyingPartyOf(several.slice(0, 1), 'initech'), undefined)
})

t.test('a file that is not as it must be is named by its entry and its member, never by what it holds', async t => {
  const entry = { tenants: '*', rpId: 'example.com', origins: ['https://example.com'] }
  const bad: Array<[unknown, RegExp]> = [
    ['{', /^PASSKEYS_FILE is not JSON/],
    [[], /^PASSKEYS_FILE is not an array with an entry/],
    [entry, /^PASSKEYS_FILE is not an array with an entry/],
    [[{ ...entry, tenants: undefined }], /^PASSKEYS_FILE \[0\]\.tenants is missing/],
    [[{ ...entry, tenants: [] }], /^PASSKEYS_FILE \[0\]\.tenants/],
    [[{ ...entry, rpid: 'x' }], /^PASSKEYS_FILE \[0\]\.rpid is unknown/],
    [[{ ...entry, origins: [] }], /^PASSKEYS_FILE \[0\]\.origins/],
    [[{ ...entry, userVerification: 'discouraged' }], /^PASSKEYS_FILE \[0\]\.userVerification must be one of required, preferred/],
    [
      [{ ...entry, rpId: 'canary.example', origins: ['https://example.com'] }],
      /^PASSKEYS_FILE \[0\]\.origins holds an origin that is neither/
    ],
    [[{ ...entry, rpId: 'CANARY' }], /^PASSKEYS_FILE \[0\]\.rpId is not a domain/],
    [[{ ...entry, relatedOrigins: ['https://a.example.com'] }], /^PASSKEYS_FILE \[0\]\.relatedOrigins holds/],
    [
      [entry, { ...entry, tenants: ['acme'] }],
      /^PASSKEYS_FILE \[0\]\.tenants is "\*", which leaves nothing to the entries below it: put it last/
    ]
  ]
  for (const [content, message] of bad) refuses(t, file(t, content), message)
  for (const [name, value] of Object.entries(ORIGINS)) {
    refuses(t, { ...file(t, [entry]), [name]: value }, new RegExp(`^${name} is set, and PASSKEYS_FILE too: one of them`))
  }
  refuses(t, { PASSKEYS_FILE: join(t.testdir(), 'nowhere') }, /^PASSKEYS_FILE cannot be read \(ENOENT\)/)
})
