import { createECDH } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { ConfigError, NAMES } from './config.ts'
import { DEVELOPMENT_ID, DEVELOPMENT_KID, makeDevelopmentKey } from './development-key.ts'
import { Faults } from './faults.ts'
import { readText } from './files.ts'
import { findMisspelt, isGivenIn, unknown } from './names.ts'

/** The folder of the embedded database and the development keys. */
export const DATA_DIR = fileURLToPath(new URL('../../.data/', import.meta.url))
const DOT_ENV = fileURLToPath(new URL('../../.env', import.meta.url))

/** The issuer whose first-factor tokens `npm run token` makes. */
export const DEV_ISSUER = 'http://localhost/development-issuer'
export const DEV_AUDIENCE = 'headless-mfa'

/** Keys for one machine, under the names of the variables. Production refuses them, by their mark. */
export const makeDevelopmentKeys = (): Record<string, string> => ({
  JWT_SECRET: makeDevelopmentKey().toString('base64'),
  MFA_SIGNING_KEYS: JSON.stringify({ keys: [makeSigningKey()] }),
  MFA_ENCRYPTION_KEYS: `${DEVELOPMENT_ID}:${makeDevelopmentKey().toString('base64')}`,
  MFA_PEPPERS: `${DEVELOPMENT_ID}:${makeDevelopmentKey().toString('base64')}`
})

/** Those of this machine: made once and kept (mode 0600). */
export function developmentKeys (dataDir = DATA_DIR): Record<string, string> {
  const path = join(dataDir, 'keys.json')
  mkdirSync(dataDir, { recursive: true })
  if (!existsSync(path)) {
    // wx: of two starts at once, one makes the keys and the other reads them.
    try { writeFileSync(path, `${JSON.stringify(makeDevelopmentKeys(), null, 2)}\n`, { mode: 0o600, flag: 'wx' }) } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600)
  try { return JSON.parse(readFileSync(path, 'utf8')) as Record<string, string> } catch (error) {
    throw error instanceof SyntaxError
      ? new ConfigError('.data/keys.json', 'is not JSON: put back what it held, or begin anew (npm run reset)')
      : error
  }
}

function makeSigningKey (): Record<string, string> {
  const d = makeDevelopmentKey()
  const pair = createECDH('prime256v1')
  pair.setPrivateKey(d)
  const point = pair.getPublicKey()
  return {
    kty: 'EC',
    crv: 'P-256',
    d: d.toString('base64url'),
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
    kid: DEVELOPMENT_KID
  }
}

/** What the environment leaves open, filled with what is good on a developer's machine. Where it leaves no key open, none is made. */
export function developmentEnvironment (env: NodeJS.ProcessEnv, dataDir = DATA_DIR): NodeJS.ProcessEnv {
  const isGiven = isGivenIn(env)
  const areSeveral = env.TRUSTED_ISSUERS_FILE !== undefined
  const hasIssuerKey = areSeveral || isGiven('JWT_SECRET') || isGiven('JWT_PUBLIC_KEY') || isGiven('JWT_JWKS_URL')
  const host = env.HOST ?? '127.0.0.1'
  const wanted = [
    ...(hasIssuerKey ? [] : ['JWT_SECRET']),
    ...['MFA_SIGNING_KEYS', 'MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS'].filter(name => !isGiven(name))
  ]
  const keys = wanted.length > 0 ? developmentKeys(dataDir) : {}
  return {
    ...Object.fromEntries(wanted.map(name => [name, keys[name]])),
    ...(!areSeveral && { JWT_ISSUER: DEV_ISSUER, JWT_AUDIENCE: DEV_AUDIENCE }),
    MFA_ISSUER: `http://${isIPv6(host) ? `[${host}]` : host}:${env.PORT ?? '3000'}`,
    MFA_AUDIENCE: 'headless-mfa',
    ...env
  }
}

/** Development's own is what no other is said to be; what is neither is judged as production. */
export const isDevelopment = ({ NODE_ENV }: NodeJS.ProcessEnv): boolean =>
  NODE_ENV === undefined || NODE_ENV === 'development' || NODE_ENV === 'test'

/**
 * What a process is configured by. In production its environment alone; in development with `.env` beside package.json, and
 * with what is good on a developer's machine.
 */
export const environmentOf = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  isDevelopment(env) ? developmentEnvironment(withDotEnv(env)) : env

/** The environment goes before `.env`. A test's is its own alone. */
export function withDotEnv (env: NodeJS.ProcessEnv, path = DOT_ENV): NodeJS.ProcessEnv {
  if (!isDevelopment(env) || env.NODE_ENV === 'test') return env
  const values = Object.entries(readDotEnv(path))
  const isSet = (name: string): boolean => [name, `${name}_FILE`, name.replace(/_FILE$/, '')].some(each => env[each] !== undefined)
  return { ...Object.fromEntries(values.filter(([name]) => !isSet(name))), ...env }
}

function readDotEnv (path: string): Record<string, string | undefined> {
  if (!existsSync(path)) return {}
  const values = readEnvFile('.env', path)
  if (!isDevelopment(values)) {
    throw new ConfigError('NODE_ENV', 'stands in .env, which is read in development alone: set it in the environment')
  }
  return values
}

/** The variables in a file of NAME=value lines, all of them or none. @throws ConfigError that begins with `name` */
export function readEnvFile (name: string, path: string): Record<string, string | undefined> {
  const text = readText(name, path)
  // The parser drops what it cannot read, and at times what follows.
  const withoutQuoted = text.replace(
    /^(\s*(?:export\s+)?\w+\s*=)\s*("[^"]*"|'[^']*'|`[^`]*`)/gm,
    (all, name: string) => name + all.slice(name.length).replace(/[^\n]/g, '')
  )
  const bad = withoutQuoted.split('\n').findIndex(line => !/^\s*(#|$)|^\s*(export\s+)?[A-Za-z_]\w*\s*=/.test(line))
  if (bad !== -1) throw new ConfigError(name, `has a line ${bad + 1} that is not NAME=value`)
  const values = parseEnv(text)
  const faults = new Faults()
  for (const name of findMisspelt(Object.keys(values), NAMES)) faults.add(name, unknown(name, NAMES))
  faults.throwAny()
  return values
}
