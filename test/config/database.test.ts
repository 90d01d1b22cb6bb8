import t from 'tap'
import { isOnThisMachine, requireThisMachine, requireTls } from '../../src/config/database.ts'
import { readConfig } from '../../src/config.ts'
import { testEnvironment } from '../helpers/service.ts'

t.test('in production the way to a database elsewhere is encrypted and checked, or the URL says that it need not be', async t => {
  const good = [
    'postgresql://mfa:x@db.example/mfa?sslmode=verify-full', 'postgresql://mfa:x@db.example/mfa?sslmode=verify-full&sslrootcert=/run/secrets/ca', 'postgresql://mfa:x@10.0.0.7/mfa?sslmode=disable',
    'postgresql://mfa@127.0.0.1/mfa', 'postgres://mfa@localhost:5433/mfa?sslmode=prefer', 'postgresql://mfa@[::1]/mfa', 'postgresql:///mfa', 'postgresql://mfa@%2Fvar%2Frun%2Fpostgresql/mfa', 'postgresql:///mfa?host=/var/run/postgresql'
  ]
  for (const url of good) t.doesNotThrow(() => { requireTls('DATABASE_URL', url) }, url)
  const bad = [
    ...['', '?sslmode=require', '?sslmode=prefer', '?sslmode=allow', '?sslmode=no-verify', '?sslmode=verify-ca', '?ssl=true', '?sslmode=verify-full&sslmode=no-verify', '?sslmode=', '?sslrootcert=/run/secrets/ca'].map(query => `postgresql://mfa:x@db.example/mfa${query}`),
    'postgresql://mfa@127.0.0.1.example/mfa', 'postgresql://mfa@localhost/mfa?host=db.example', 'postgresql://mfa@127.0.0.1/mfa?host=127.0.0.1&host=db.example'
  ]
  for (const url of bad) t.throws(() => { requireTls('DATABASE_URL', url) }, { name: 'ConfigError', message: /^DATABASE_URL must say sslmode=verify-full in production/ }, url)
})

t.test('a host that PostgreSQL\'s own variable names is where it is, and no host is none', async t => {
  const { PGHOST } = process.env
  t.teardown(() => { if (PGHOST === undefined) delete process.env.PGHOST; else process.env.PGHOST = PGHOST })
  process.env.PGHOST = 'db.example'
  for (const url of ['postgresql:///mfa', 'postgresql:///mfa?host=']) {
    t.throws(() => { requireTls('DATABASE_URL', url) }, /must say sslmode/, url)
    t.throws(() => { requireThisMachine('DATABASE_URL', url) }, /is not on this machine/, url)
  }
  t.equal(isOnThisMachine('postgresql:///mfa?host=::1'), true)
})

t.test('the owner\'s way too', async t => {
  const production = { ...testEnvironment(), NODE_ENV: 'production', BCRYPT_COST: '10' }
  const plain = 'postgresql://mfa:x@db.example/mfa'
  t.throws(() => readConfig({ ...production, DATABASE_URL: plain }), /^DATABASE_URL must say/)
  t.throws(() => readConfig({ ...production, DATABASE_OWNER_URL: plain }), /^DATABASE_OWNER_URL must say/)
})
