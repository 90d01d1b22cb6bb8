import t from 'tap'
import { isOnThisMachine, requireThisMachine, requireTls } from '../../src/config/database.ts'
import { readConfig } from '../../src/config/config.ts'
import { testEnvironment } from '../helpers/service.ts'

t.test('in production the way to a database elsewhere is encrypted and checked, or the URL says that it need not be', async t => {
  const good = [
    'postgresql://mfa:x@db.example/mfa?sslmode=verify-full',
    'postgresql://mfa:x@db.example/mfa?sslmode=verify-full&sslrootcert=/run/secrets/ca',
    'postgresql://mfa:x@10.0.0.7/mfa?sslmode=disable',
    'postgresql://mfa@127.0.0.1/mfa',
    'postgres://mfa@localhost:5433/mfa?sslmode=prefer',
    'postgresql://mfa@[::1]/mfa',
    'postgresql:///mfa',
    'postgresql://mfa@%2Fvar%2Frun%2Fpostgresql/mfa',
    'postgresql:///mfa?host=/var/run/postgresql',
    'postgresql://mfa:x@one.example:5433,two.example/mfa?sslmode=verify-full&target_session_attrs=read-write',
    'postgresql://mfa@localhost:5433,[::1],127.0.0.1/mfa'
  ]
  for (const url of good) t.doesNotThrow(() => { requireTls('DATABASE_URL', url) }, url)
  const bad = [
    ...[
      '',
      '?sslmode=require',
      '?sslmode=prefer',
      '?sslmode=allow',
      '?sslmode=no-verify',
      '?sslmode=verify-ca',
      '?ssl=true',
      '?sslmode=verify-full&sslmode=no-verify',
      '?sslmode=',
      '?sslrootcert=/run/secrets/ca'
    ].map(query => `postgresql://mfa:x@db.example/mfa${query}`),
    'postgresql://mfa@127.0.0.1.example/mfa',
    'postgresql://mfa@localhost/mfa?host=db.example',
    'postgresql://mfa@127.0.0.1/mfa?host=127.0.0.1&host=db.example',
    'postgresql://mfa@localhost,db.example/mfa',
    'postgresql:///mfa?host=/run/postgresql,db.example',
    'postgresql://mfa@one.example,two.example/mfa?sslmode=require'
  ]
  for (const url of bad) {
    t.throws(
      () => {
        requireTls('DATABASE_URL', url)
      },
      { name: 'ConfigError', message: /^DATABASE_URL must say sslmode=verify-full in production/ },
      url
    )
  }
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
  t.equal(isOnThisMachine('postgresql://localhost,db.example/mfa'), false, 'all of several are')
})

t.test('the owner\'s way too', async t => {
  const production = { ...testEnvironment(), NODE_ENV: 'production', BCRYPT_COST: '10' }
  const plain = 'postgresql://mfa:x@db.example/mfa'
  t.throws(() => readConfig({ ...production, DATABASE_URL: plain }), /^DATABASE_URL must say/)
  t.throws(() => readConfig({ ...production, DATABASE_OWNER_URL: plain }), /^DATABASE_OWNER_URL must say/)
})

t.test('a URL that cannot be read stops the start, and is named without what it holds', async t => {
  for (
    const [url, why] of [['postgresql://u:canary@one,two/mfa?port=1,2,3', 'lists 3 ports for 2 hosts'], [
      'http://user:canary@host/db',
      'must begin with postgres: or postgresql:, and two slashes'
    ]] as const
  ) {
    for (const name of ['DATABASE_URL', 'DATABASE_OWNER_URL']) {
      t.throws(() => readConfig({ ...testEnvironment(), [name]: url }), { name: 'ConfigError', message: `${name} ${why}` })
    }
  }
})
