import t from 'tap'
import { NAMES, readConfig } from '../../src/config/config.ts'
import { findMisspelt, findUnknown, unknown } from '../../src/config/names.ts'
import { testEnvironment } from '../helpers/service.ts'

t.test('every variable begins in a way that a typing error behind it is seen, but for those that others begin like, too', async t => {
  const missed = NAMES.filter(name => findUnknown({ [`${name}X`]: 'x' }, NAMES).length === 0)
  t.same(missed, ['HOST', 'PORT', 'CITUS', 'HTTPS_PROXY', 'NO_PROXY', 'DOCS', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'LOG_LEVEL', 'NODE_ENV'])
})

t.test('a name that begins like ours and is none stops the start, with the one that is meant', async t => {
  const refuses = (env: Record<string, string>, ...lines: string[]): void => {
    t.throws(() => readConfig({ ...testEnvironment(), ...env }), { name: 'ConfigError', message: lines.join('\n') })
  }
  refuses({ JWT_ISUER: 'https://id.test' }, 'JWT_ISUER is not known; did you mean JWT_ISSUER?')
  refuses(
    { MFA_ENCRYPTION_KEY: 'x', THROTTLE_LOCKS: '3' },
    'MFA_ENCRYPTION_KEY is not known; did you mean MFA_ENCRYPTION_KEYS?',
    'THROTTLE_LOCKS is not known; did you mean THROTTLE_LOCK?'
  )
  refuses({ JWT_SECRET_FIL: '/run/x' }, 'JWT_SECRET_FIL is not known; did you mean JWT_SECRET_FILE?')
  refuses({ MFA_ISSUER_FILE: '/run/x' }, 'MFA_ISSUER_FILE is not known: MFA_ISSUER comes from no file')
  refuses({ ADMIN_EMAIL: 'root@localhost' }, 'ADMIN_EMAIL is not known: .env.example has all names')
  refuses({ PASSKEY_RP: 'x' }, 'PASSKEY_RP is not known: .env.example has all names')
})

t.test('what a platform makes of the names of services stops nothing', async t => {
  const OF_KUBERNETES = {
    KUBERNETES_PORT: 'tcp://10.96.0.1:443',
    DATABASE_SERVICE_HOST: '10.0.0.5',
    DATABASE_SERVICE_PORT: '5432',
    DATABASE_SERVICE_PORT_POSTGRES: '5432',
    DATABASE_PORT: 'tcp://10.0.0.5:5432',
    DATABASE_PORT_5432_TCP: 'tcp://10.0.0.5:5432',
    DATABASE_PORT_5432_TCP_PROTO: 'tcp',
    DATABASE_PORT_5432_TCP_PORT: '5432',
    DATABASE_PORT_5432_TCP_ADDR: '10.0.0.5',
    MFA_SERVICE_HOST: '10.0.0.6',
    MFA_SERVICE_PORT: '3500',
    MFA_SERVICE_PORT_HTTP: '3500',
    MFA_PORT: 'tcp://10.0.0.6:3500',
    MFA_PORT_3500_TCP_ADDR: '10.0.0.6',
    MFA_TOKEN_SERVICE_HOST: '10.0.0.8',
    // One called admin: our own name, with a value that no operator gives it.
    ADMIN_SERVICE_HOST: '10.0.0.7',
    ADMIN_PORT: 'tcp://10.0.0.7:80'
  }
  t.equal(readConfig({ ...testEnvironment(), ...OF_KUBERNETES }).ADMIN_PORT, undefined)
  t.equal(
    readConfig({
      ...testEnvironment(),
      MFA_TEST_URL: 'http://127.0.0.1:1',
      MFA_TEST_TOKEN_SECRET: 'x',
      MFA_TEST_ISSUER: 'x',
      MFA_TEST_AUDIENCE: 'x',
      LOG_FORMAT: 'json',
      PORTAL: 'x',
      NODE_OPTIONS: '',
      HOSTNAME: 'x',
      OTEL_SERVICE_NAME: 'x',
      MFA_UNSET: undefined
    }).NODE_ENV,
    'test'
  )
  t.throws(() => readConfig({ ...testEnvironment(), MFA_PORT: '3500' }), { message: /^MFA_PORT is not known/ })
})

t.test('in a file of our own any name is seen that hardly differs from one', async t => {
  t.same(findMisspelt(['LOG_LEVLE', 'LOGLEVEL', 'PORTS', 'JWT_ISUER', 'PATH', 'LOG_LEVEL', 'COMPOSE_PROJECT_NAME'], NAMES), [
    'LOG_LEVLE',
    'LOGLEVEL',
    'PORTS',
    'JWT_ISUER'
  ])
  t.equal(unknown('LOG_LEVLE', NAMES), 'is not known; did you mean LOG_LEVEL?')
})
