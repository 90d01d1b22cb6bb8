import t from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { Secrets } from '../../src/config/secrets.ts'
import { testEnvironment } from '../helpers/service.ts'

const read = (env: Record<string, string | undefined>): ReturnType<typeof readConfig> => readConfig({ ...testEnvironment(), ...env })

t.test('what is taken over are keys; another database, and issuers that are others, wait for a restart', async t => {
  const first = read({ DATABASE_URL: 'postgresql://a:b@localhost/mfa' })
  const secrets = new Secrets(first)
  const cases: Array<[Record<string, string | undefined>, string[], string | undefined]> = [
    [{ DATABASE_URL: 'postgresql://c:d@localhost/mfa' }, [], 'postgresql://c:d@localhost/mfa'],
    [{ DATABASE_URL: 'postgresql://c:d@127.0.0.1/mfa' }, ['DATABASE_URL'], 'postgresql://c:d@localhost/mfa'],
    [{ DATABASE_URL: 'postgresql://c:d@localhost/mfa?sslmode=disable' }, ['DATABASE_URL'], 'postgresql://c:d@localhost/mfa'],
    [{ DATABASE_URL: undefined }, ['DATABASE_URL'], 'postgresql://c:d@localhost/mfa'],
    [
      { DATABASE_URL: 'postgresql://c:d@localhost/mfa', JWT_SECRET: undefined, JWT_JWKS_URL: 'https://id.test/jwks' },
      ['the issuers'],
      'postgresql://c:d@localhost/mfa'
    ],
    [
      { DATABASE_URL: 'postgresql://c:d@localhost/mfa', PASSKEY_RP_ID: 'example.com', PASSKEY_ORIGINS: 'https://example.com' },
      ['PASSKEYS_FILE'],
      'postgresql://c:d@localhost/mfa'
    ]
  ]
  for (const [env, left, url] of cases) {
    const next = read(env)
    t.same(secrets.use(next), left)
    t.equal(secrets.databaseUrl, url)
    t.equal(secrets.sealing, next.MFA_ENCRYPTION_KEYS)
    t.equal(secrets.issuerKey(0), first.ISSUERS[0]?.key)
  }
  t.same(new Secrets(read({ JWT_SECRET: undefined, JWT_JWKS_URL: 'https://id.test/jwks' })).use(first), ['the issuers', 'DATABASE_URL'])
})

t.test('keys that were not checked against the database open nothing', async t => {
  const secrets = new Secrets(read({}), false)
  for (const name of ['sealing', 'peppers'] as const) t.throws(() => secrets[name], { name: 'UnavailableError' })
  t.notOk(secrets.areProved)
  secrets.use(read({}))
  t.equal(secrets.peppers.primary, 'p1')
  t.same(secrets.webhook, [], 'none signs webhook events where there is no endpoint')
})
