import { readFileSync } from 'node:fs'
import { ALGORITHMS, type IssuerEntry, readIssuers, ROLES, sessionClaim, toIssuer } from './config/issuers.ts'
import { algorithmsOf, defaultAlgorithms, parsePublicKey } from './config/public-key.ts'
import { parsePeppers, parseSealingKeys, refuseReused } from './config/keys.ts'
import { requireTls } from './config/database.ts'
import { parsePolicyFloor } from './config/policy-floor.ts'
import { checkReceiver, parseWebhookSecrets, receiver } from './config/webhook.ts'
import { parseSigningKeys, type SigningKey } from './config/signing-keys.ts'
import {
  boolean, choice, ConfigError, cidrs, hosts, integer, integers, list, names, origins, page, postgresUrl, secret, status, text, url, type Reader
} from './config/readers.ts'
import type { Issuer } from './core/issuer.ts'
import { MAX_TOKEN_SECONDS } from './core/mfa-token.ts'

/** One variable: how it is read, and what it is without a value. `required` is of production; `isSecret` has a `_FILE`. */
interface Variable { read: Reader<unknown>, fallback?: string, isSecret?: true, about: string }

/** Every variable of the service. `.env.example` and the README hold the same names; a test says so. */
export const variables = {
  HOST: { read: text(255), fallback: '127.0.0.1', about: 'address to listen on' },
  PORT: { read: integer(0, 65535), fallback: '3000', about: 'port to listen on' },
  ADMIN_HOST: { read: text(255), fallback: '127.0.0.1', about: 'address of the second listener' },
  ADMIN_PORT: { read: integer(0, 65535), about: 'its port; with it `/admin` and `/metrics` answer there alone' },
  DATABASE_URL: { read: postgresUrl, isSecret: true, about: 'PostgreSQL, in production with `sslmode=verify-full`; without it the embedded one, never in production' },
  DATABASE_POOL: { read: integer(1, 200), fallback: '10', about: 'connections of one replica' },
  DATABASE_OWNER_URL: { read: postgresUrl, isSecret: true, about: 'the owner\'s role, for `migrate` and `maintain` alone' },
  CITUS: { read: choice('auto', 'on', 'off'), fallback: 'auto', about: 'whether `migrate` distributes the tables by tenant: where the database is one of Citus, always, or never: [docs/scaling.md](docs/scaling.md)' },
  AUDIT_RETENTION_DAYS: { read: integer(30, 36500), fallback: '400', about: 'how long audit events stay' },
  JWT_ISSUER: { read: text(512), about: '`iss` of first-factor tokens, exact' },
  JWT_AUDIENCE: { read: text(512), about: '`aud` of first-factor tokens' },
  JWT_SECRET: { read: secret(32), isSecret: true, about: 'their HS256 secret, 32 bytes or more (or one of the two below)' },
  JWT_PUBLIC_KEY_FILE: { read: text(4096), about: 'PEM file of their public key' },
  JWT_JWKS_URL: { read: url(['https:'], { isLoopbackHttpAllowed: true }), about: 'their JWK set, https unless loopback' },
  JWT_ALGORITHMS: { read: list(choice(...ALGORITHMS)), about: 'allowed algorithms; without it by the key: HS256, RS256, ES256 or EdDSA, of a key set RS256 and ES256' },
  JWT_DOOR: { read: choice('local', 'sso', 'api'), fallback: 'local', about: 'how the first factor was done: `local`, `sso` or `api`' },
  JWT_SESSION_CLAIM: { read: sessionClaim, about: 'claim that identifies the login session; never a time' },
  JWT_IAT_IS_LOGIN: { read: boolean, fallback: 'false', about: 'each token is a login, so `iat` may stand for `auth_time`' },
  JWT_GRANTS: { read: list(choice(...ROLES)), fallback: 'mfa:admin,mfa:support,mfa:auditor,mfa:sync', about: '`mfa:` roles that its tokens may carry' },
  TRUSTED_ISSUERS_FILE: { read: text(4096), about: 'JSON file of several issuers instead of the `JWT_…` variables: [docs/issuers.md](docs/issuers.md)' },
  MFA_ISSUER: { read: text(512), about: 'our `iss`' },
  MFA_AUDIENCE: { read: text(512), about: 'our own `aud`' },
  MFA_APPLICATION_AUDIENCES: { read: names, fallback: '', about: 'applications that a token may be for instead of us' },
  MFA_SIGNING_KEYS: { read: parseSigningKeys, isSecret: true, about: 'JWK set with private keys: the first signs, all are published' },
  MFA_ENCRYPTION_KEYS: { read: parseSealingKeys, isSecret: true, about: '`id:base64,…`, 32 bytes each: the first seals, all open' },
  MFA_PEPPERS: { read: parsePeppers, isSecret: true, about: '`id:base64,…`, 32 bytes each: the first hashes new recovery codes' },
  MFA_TOKEN_SECONDS: { read: integer(60, MAX_TOKEN_SECONDS), fallback: '900', about: 'how long an MFA token counts' },
  MFA_SESSION_MAX_AGE_SECONDS: { read: integer(60, 2592000), fallback: '43200', about: 'how long a second factor counts for the login session that it was done in' },
  LOGIN_FRESH_SECONDS: { read: integer(60, 3600), fallback: '900', about: 'how old a login may be that starts the first enrollment' },
  MFA_FRESH_SECONDS: { read: integer(60, 3600), fallback: '900', about: 'how old a second factor may be that changes factors or administers' },
  ADMIN_FACTOR_AGE_SECONDS: { read: integer(0, 2592000), fallback: '86400', about: 'how long a factor set up after a recovery opens no admin call' },
  ENROLL_REQUIRES_CODE: { read: choice('never', 'roles', 'always'), fallback: 'roles', about: 'whose first enrollment needs a bypass code of an administrator: `never` anybody\'s, `roles` that of users with an `mfa:` role once their tenant has an enrolled administrator, `always` everybody\'s' },
  TOTP_ISSUER_NAME: { read: text(64), fallback: 'Headless MFA', about: 'the name that the authenticator app shows' },
  TOTP_WINDOW: { read: choice('1', 'past'), fallback: '1', about: '`1`: one step each side; `past`: the last one only' },
  BCRYPT_COST: { read: integer(4, 14), fallback: '10', about: 'of recovery codes' },
  THROTTLE_WAITS: { read: integers(0, 3600), fallback: '0,0,0,0,30', about: 'seconds to wait after each failure in a row, then doubling up to an hour' },
  THROTTLE_LOCK: { read: integer(1, 100), fallback: '30', about: 'failures in a row that lock' },
  THROTTLE_DAY: { read: integer(1, 100), fallback: '20', about: 'failures in 24 hours; success does not reset them' },
  THROTTLE_MONTH: { read: integer(1, 300), fallback: '30', about: 'failures in 30 days' },
  POLICY_FLOOR: { read: parsePolicyFloor, about: 'a JSON policy that no tenant can go below, and `maxExemptionDays`; a field that is left out binds nothing' },
  RATE_LIMIT_PER_MINUTE: { read: integer(0, 1000000), fallback: '600', about: 'requests of one address, answered eight at a time, beyond which it is refused after half a second; 0 is off' },
  TRUSTED_PROXIES: { read: cidrs, fallback: '', about: 'CIDRs whose `X-Forwarded-*` are believed' },
  ENROLL_PAGE_URL: { read: page, about: 'the page that sets a factor up, for `X-MFA-Location`' },
  VERIFY_PAGE_URL: { read: page, about: 'the page that asks for a code' },
  LOGIN_PAGE_URL: { read: page, about: 'the log-in page, for whom no issuer\'s `loginUrl` is known' },
  RETURN_HOSTS: { read: hosts, fallback: '', about: 'hosts, with a port that is not the usual one, that `return_to` may lead to' },
  GATEWAY_ENROLL_STATUS: { read: status(401, 403), fallback: '403', about: '`403` or `401`: what a gateway is told of somebody who must enroll' },
  AUTHORIZE_STALE_SECONDS: { read: integer(1, 60), fallback: '2', about: 'how old what is known of ended tokens may be before a gateway is told 503' },
  WEBHOOK_URL: { read: receiver, about: 'where notices are sent, https: [docs/notices.md](docs/notices.md)' },
  WEBHOOK_SECRET: { read: parseWebhookSecrets, isSecret: true, about: '`whsec_…`, 24 to 64 bytes: signs them; while it is changed two, with a comma between' },
  WEBHOOK_ALLOW_PRIVATE: { read: boolean, fallback: 'false', about: 'the receiver may have a private address, and speak http' },
  CORS_ORIGINS: { read: origins, fallback: '', about: 'pages of other origins that may call' },
  DOCS: { read: boolean, about: 'the OpenAPI console at /docs; on, off in production' },
  OTEL_EXPORTER_OTLP_ENDPOINT: { read: url(['http:', 'https:']), about: 'collector of traces, by OTLP over HTTP' },
  LOG_LEVEL: { read: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), fallback: 'info', about: '`trace` to `fatal`, or `silent`' },
  NODE_ENV: { read: choice('production', 'development', 'test'), fallback: 'development', about: '`production` refuses what is only good for development' }
} as const satisfies Record<string, Variable>

type Name = keyof typeof variables
type Value<N extends Name> = ReturnType<typeof variables[N]['read']>
type Optional = 'WEBHOOK_URL' | 'WEBHOOK_SECRET' | 'OTEL_EXPORTER_OTLP_ENDPOINT' | 'ADMIN_PORT' | 'DATABASE_URL' | 'DATABASE_OWNER_URL' | 'JWT_ISSUER' | 'JWT_AUDIENCE' | 'JWT_SECRET' | 'JWT_PUBLIC_KEY_FILE' | 'JWT_JWKS_URL' | 'JWT_ALGORITHMS' | 'JWT_SESSION_CLAIM' | 'TRUSTED_ISSUERS_FILE' | 'POLICY_FLOOR' | 'ENROLL_PAGE_URL' | 'VERIFY_PAGE_URL' | 'LOGIN_PAGE_URL'
type Derived = 'JWT_PUBLIC_KEY_FILE' | 'TRUSTED_ISSUERS_FILE'

/** The whole configuration, frozen: the variables under their own names, and whose first-factor tokens are accepted. */
export type Config = Readonly<{ [N in Exclude<Name, Optional>]: Value<N> }> &
  Readonly<{ [N in Exclude<Optional, Derived>]: Value<N> | undefined }> &
  Readonly<{ JWT_PUBLIC_KEY: string | undefined, ISSUERS: readonly Issuer[] }>

export type { SigningKey }
export { ConfigError }

/**
 * Reads the configuration from the environment. A blank or bad value is an error and never becomes the default.
 * @throws ConfigError with one line that names the variable and the cause, never the value
 */
export function readConfig (env: Record<string, string | undefined>): Config {
  const issuersFile = readVariable('TRUSTED_ISSUERS_FILE', env) as string | undefined
  if (issuersFile !== undefined) refusePlainIssuer(env)
  const values: Record<string, unknown> = {}
  for (const name of Object.keys(variables) as Name[]) values[name] = readVariable(name, env)
  values.JWT_PUBLIC_KEY = readPublicKey(values.JWT_PUBLIC_KEY_FILE as string | undefined)
  for (const name of ['JWT_PUBLIC_KEY_FILE', 'TRUSTED_ISSUERS_FILE']) delete values[name]
  const isProduction = values.NODE_ENV === 'production'
  values.DOCS ??= !isProduction
  for (const name of [...(issuersFile === undefined ? ['JWT_ISSUER', 'JWT_AUDIENCE'] : []), 'MFA_ISSUER', 'MFA_AUDIENCE', 'MFA_SIGNING_KEYS', 'MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS']) {
    if (values[name] === undefined) throw new ConfigError(name, 'is missing')
  }
  if ((values.MFA_APPLICATION_AUDIENCES as string[]).includes(values.MFA_AUDIENCE as string)) throw new ConfigError('MFA_APPLICATION_AUDIENCES', 'holds MFA_AUDIENCE: a token for an application must not open this service')
  if (values.JWT_ISSUER === values.MFA_ISSUER) throw new ConfigError('MFA_ISSUER', 'equals JWT_ISSUER: a first-factor token must not look like ours')
  values.ISSUERS = issuersFile === undefined
    ? [readFirstFactor(values)]
    : readIssuers(issuersFile, { ownIssuer: values.MFA_ISSUER as string, trustedProxies: values.TRUSTED_PROXIES as string[] })
  checkReceiver(values)
  refuseReused(values)
  if (isProduction) requireProduction(values)
  return Object.freeze(values) as Config
}

/** The files that a start reads: those that may hold another secret a moment later. */
export const secretFiles = (env: Record<string, string | undefined>): string[] => (Object.keys(variables) as Name[])
  .flatMap(name => (variables[name] as Variable).isSecret ? [env[`${name}_FILE`]] : name.endsWith('_FILE') ? [env[name]] : [])
  .filter(path => path !== undefined)

function readVariable (name: Name, env: Record<string, string | undefined>): unknown {
  const variable: Variable = variables[name]
  const path = variable.isSecret ? env[`${name}_FILE`] : undefined
  if (path !== undefined && env[name] !== undefined) throw new ConfigError(name, `is set, and ${name}_FILE too: one of them`)
  let raw = env[name]
  if (path !== undefined) {
    try { raw = readFileSync(path, 'utf8').replace(/\r?\n$/, '') } catch { throw new ConfigError(`${name}_FILE`, 'cannot be read') }
  }
  if (raw === undefined) return variable.fallback === undefined ? undefined : variable.read(name, variable.fallback)
  if (raw.trim() === '') {
    if (variable.fallback === '') return variable.read(name, '')
    throw new ConfigError(name, 'is blank: give it a value or leave it out')
  }
  return variable.read(name, raw)
}

function readPublicKey (path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  let text
  try { text = readFileSync(path, 'utf8') } catch { throw new ConfigError('JWT_PUBLIC_KEY_FILE', 'cannot be read') }
  return parsePublicKey('JWT_PUBLIC_KEY_FILE', text)
}

/** Two places that say whom to trust would leave one of them unread. */
function refusePlainIssuer (env: Record<string, string | undefined>): void {
  const plain = Object.keys(variables).filter(name => name.startsWith('JWT_')).flatMap(name => [name, `${name}_FILE`])
  const given = plain.find(name => env[name] !== undefined)
  if (given !== undefined) throw new ConfigError(given, 'is set, and TRUSTED_ISSUERS_FILE too: one of them')
}

/** Exactly one key of the first factor, and algorithms that go with it: a public key is never an HMAC secret. */
function readFirstFactor (values: Record<string, unknown>): Issuer {
  const given = [['JWT_SECRET', values.JWT_SECRET], ['JWT_PUBLIC_KEY_FILE', values.JWT_PUBLIC_KEY], ['JWT_JWKS_URL', values.JWT_JWKS_URL]]
    .filter(([, value]) => value !== undefined).map(([name]) => name as string)
  if (given.length === 0) throw new ConfigError('JWT_SECRET', 'is missing, and so are JWT_PUBLIC_KEY_FILE and JWT_JWKS_URL')
  if (given.length > 1) throw new ConfigError(given[1] as string, `is set, and ${given[0] as string} too: one of them`)
  const isSymmetric = given[0] === 'JWT_SECRET'
  const fitting = values.JWT_PUBLIC_KEY === undefined ? undefined : algorithmsOf(values.JWT_PUBLIC_KEY as string)
  values.JWT_ALGORITHMS ??= defaultAlgorithms(isSymmetric, fitting)
  const algorithms = values.JWT_ALGORITHMS as string[]
  if (algorithms.some(algorithm => algorithm.startsWith('HS') !== isSymmetric)) {
    throw new ConfigError('JWT_ALGORITHMS', isSymmetric ? 'must be HS… with JWT_SECRET' : 'must not be HS… with a public key')
  }
  if (fitting !== undefined && !algorithms.every(algorithm => fitting.includes(algorithm))) throw new ConfigError('JWT_ALGORITHMS', 'does not fit the key of JWT_PUBLIC_KEY_FILE')
  const entry = {
    issuer: values.JWT_ISSUER,
    audience: values.JWT_AUDIENCE,
    secret: values.JWT_SECRET,
    publicKey: values.JWT_PUBLIC_KEY,
    jwksUrl: values.JWT_JWKS_URL,
    door: values.JWT_DOOR,
    sessionClaim: values.JWT_SESSION_CLAIM,
    iatIsLogin: values.JWT_IAT_IS_LOGIN,
    grants: values.JWT_GRANTS
  }
  return toIssuer(entry as IssuerEntry, algorithms)
}

function requireProduction (values: Record<string, unknown>): void {
  if (values.DATABASE_URL === undefined) throw new ConfigError('DATABASE_URL', 'is missing: the embedded database is not for production')
  for (const name of ['DATABASE_URL', 'DATABASE_OWNER_URL'] as const) if (values[name] !== undefined) requireTls(name, values[name] as string)
  const floors: Array<[Name, boolean, string]> = [
    ['BCRYPT_COST', (values.BCRYPT_COST as number) < 10, 'is under 10'],
    ['THROTTLE_LOCK', (values.THROTTLE_LOCK as number) > 30, 'is over 30'],
    ['THROTTLE_DAY', (values.THROTTLE_DAY as number) > 20, 'is over 20'],
    ['THROTTLE_MONTH', (values.THROTTLE_MONTH as number) > 30, 'is over 30'],
    ['THROTTLE_WAITS', (values.THROTTLE_WAITS as number[]).length > 5 || ((values.THROTTLE_WAITS as number[]).at(-1) as number) < 30, 'must reach 30 seconds at the fifth failure']
  ]
  for (const [name, isBelow, why] of floors) if (isBelow) throw new ConfigError(name, `${why}, the floor in production`)
}
