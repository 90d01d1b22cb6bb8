// What a developer's machine adds to the environment: keys, names, and what .env says.
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { readConfig } from '../../src/config/config.ts'
import { developmentEnvironment, environmentOf, withDotEnv } from '../../src/config/development.ts'

t.test('keys are made once, are the owner\'s alone, and fill what the environment leaves open', async t => {
  const dir = t.testdir()
  const first = developmentEnvironment({}, dir)
  t.same(developmentEnvironment({}, dir), first)
  t.equal(statSync(`${dir}/keys.json`).mode & 0o777, 0o600)
  t.match(readConfig(first), {
    MFA_ISSUER: 'http://127.0.0.1:3000',
    MFA_AUDIENCE: 'headless-mfa',
    JWT_ISSUER: 'http://localhost/development-issuer',
    JWT_AUDIENCE: 'headless-mfa'
  })
  t.equal(developmentEnvironment({ HOST: '::1', PORT: '3500' }, dir).MFA_ISSUER, 'http://[::1]:3500')
  t.equal(developmentEnvironment({ JWT_JWKS_URL: 'https://id.test/jwks' }, dir).JWT_SECRET, undefined, 'an issuer has one key')
  t.equal(developmentEnvironment({ MFA_PEPPERS_FILE: '/x' }, dir).MFA_PEPPERS, undefined)
  const several = developmentEnvironment({ TRUSTED_ISSUERS_FILE: '/x' }, dir)
  t.same([several.JWT_ISSUER, several.JWT_AUDIENCE, several.JWT_SECRET], [undefined, undefined, undefined])
})

t.test('in production, and where NODE_ENV is none, the environment is all there is', async t => {
  for (const NODE_ENV of ['production', 'prod', '']) {
    const env = { NODE_ENV, PORT: '1' }
    t.equal(environmentOf(env), env)
    t.equal(withDotEnv(env, '/nowhere/that/is/read'), env)
  }
  t.match(environmentOf({ NODE_ENV: 'test' }), { NODE_ENV: 'test', MFA_ENCRYPTION_KEYS: /^dev:/ })
})

t.test('.env fills what the environment leaves open, in development', async t => {
  const path = `${t.testdir()}/.env`
  const read = (text: string | Buffer, env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => {
    writeFileSync(path, text)
    return withDotEnv(env, path)
  }
  t.same(withDotEnv({ PORT: '1' }, path), { PORT: '1' }, 'there need not be one')
  const text =
    '\ufeff# Ours\r\nPORT=3500\r\nexport JWT_ISSUER = https://id.test\n\nJWT_PUBLIC_KEY_FILE="two\nlines" # ' +
    'so\nCORS_ORIGINS=\'https://a.test\'\nNODE_ENV=development\nMINE=x'
  const values = {
    PORT: '3500',
    JWT_ISSUER: 'https://id.test',
    JWT_PUBLIC_KEY_FILE: 'two\nlines',
    CORS_ORIGINS: 'https://a.test',
    NODE_ENV: 'development',
    MINE: 'x'
  }
  t.same(read(text), values)
  t.same(read(text, { PORT: '1', NODE_ENV: 'development' }), { ...values, PORT: '1' }, 'the environment goes before it')
  t.same(
    read('JWT_SECRET=x\nMFA_PEPPERS_FILE=y', { JWT_SECRET_FILE: '/x', MFA_PEPPERS: 'z' }),
    { JWT_SECRET_FILE: '/x', MFA_PEPPERS: 'z' },
    'in either form'
  )
  t.same(read(text, { NODE_ENV: 'test' }), { NODE_ENV: 'test' })
  t.same(read('JWT_AUDIENCE='), { JWT_AUDIENCE: '' }, 'what is blank is not left out')
  t.same(read(readFileSync(new URL('../../.env.example', import.meta.url))), {}, '.env.example, as it is, says nothing')
})

t.test('a .env that cannot be read whole stops the start', async t => {
  const path = `${t.testdir({ folder: {} })}/.env`
  const refuses = (text: string | Buffer, message: string): void => {
    writeFileSync(path, text)
    t.throws(() => withDotEnv({}, path), { name: 'ConfigError', message }, message)
  }
  for (const line of ['JWT_ISSUER: https://id.test', 'JWT_ISSUER https://id.test', '=x', '- PORT=1', 'PORT']) {
    refuses(`PORT=1\n${line}\nHOST=127.0.0.1`, '.env has a line 2 that is not NAME=value')
    refuses(`JWT_PUBLIC_KEY_FILE="a\nb"\nPORT=1\n${line}`, '.env has a line 4 that is not NAME=value')
  }
  refuses(Buffer.from('PORT=1', 'utf16le'), '.env has a line 1 that is not NAME=value')
  refuses(Buffer.from('\ufeffPORT=1', 'utf16le'), '.env is UTF-16: save it as UTF-8')
  refuses(Buffer.from('PORT=1\nTOTP_ISSUER_NAME=Zürich', 'latin1'), '.env is not UTF-8 at line 2, column 19')
  refuses('NODE_ENV=production', 'NODE_ENV stands in .env, which is read in development alone: set it in the environment')
  refuses('LOG_LEVLE=debug\nPORTS=3', 'LOG_LEVLE is not known; did you mean LOG_LEVEL?\nPORTS is not known; did you mean PORT?')
  t.throws(() => withDotEnv({}, t.testdir()), { name: 'ConfigError', message: '.env cannot be read (EISDIR)' })
})
