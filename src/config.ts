import { ALGORITHMS, readIssuers, ROLES, sessionClaim } from './config/issuers.ts'
import { postgresUrl } from './config/database.ts'
import { Faults } from './config/faults.ts'
import { readText } from './config/files.ts'
import { readFirstFactor, refusePlainIssuer } from './config/first-factor.ts'
import { issuerSecrets, parsePeppers, parseSealingKeys, refuseReused } from './config/keys.ts'
import { findUnknown, isGivenIn, isOfPlatform, unknown } from './config/names.ts'
import { placeholder } from './config/placeholder.ts'
import { looseEnds, parsePolicyFloor } from './config/policy-floor.ts'
import { checkPlaces, isProductive, refuseConfusion } from './config/places.ts'
import { requireProduction } from './config/production.ts'
import { checkReceiver, parseWebhookSecrets, receiver } from './config/webhook.ts'
import { parseSigningKeys, type SigningKey } from './config/signing-keys.ts'
import {
  boolean, choice, ConfigError, cidrs, hosts, integer, integers, list, names, origins, page, secret, status, text, totpIssuer, url, type Reader
} from './config/readers.ts'
import type { Issuer } from './core/issuer.ts'
import { MAX_TOKEN_SECONDS } from './core/mfa-token.ts'

/** One variable: how it is read, and what it is without a value. `required` is of production; `isSecret` has a `_FILE`. */
interface Variable { read: Reader<unknown>, fallback?: string, isSecret?: true, about: string }

/** Every variable of the service. `.env.example` and the README hold the same names; a test says so. */
export const variables = {
  HOST: { read: text(255), fallback: '127.0.0.1', about: 'address to listen on; another than loopback in production alone' },
  PORT: { read: integer(0, 65535), fallback: '3000', about: 'port to listen on' },
  ADMIN_HOST: { read: text(255), fallback: '127.0.0.1', about: 'address of the second listener' },
  ADMIN_PORT: { read: integer(0, 65535), about: 'its port; with it `/admin` and `/metrics` answer there alone' },
  PRE_STOP_SECONDS: { read: integer(0, 300), about: 'how long it goes on serving after it was told to stop, when it is not ready any more: until load balancers have noticed. 0, in production 5' },
  DATABASE_URL: { read: postgresUrl, isSecret: true, about: 'PostgreSQL, perhaps several hosts; in production with `sslmode=verify-full`' },
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
  JWT_LOGIN_TYPE: { read: choice('local', 'sso', 'api'), fallback: 'local', about: 'login type of this issuer: `local`, `sso` or `api`' },
  JWT_SESSION_CLAIM: { read: sessionClaim, about: 'claim that identifies the login session; never a time' },
  JWT_IAT_IS_LOGIN: { read: boolean, fallback: 'false', about: 'each token is a login, so `iat` may stand for `auth_time`' },
  JWT_GRANTS: { read: list(choice(...ROLES)), fallback: 'mfa:admin,mfa:support,mfa:auditor,mfa:sync', about: '`mfa:` roles that its tokens may carry' },
  HTTPS_PROXY: { read: url(['http:', 'https:']), about: 'proxy through which the keys of issuers are fetched; `https_proxy` too' },
  NO_PROXY: { read: text(4096), about: 'hosts whose keys are fetched without it, with what is below them: `id.internal,.example.com`, or `*`; `no_proxy` too' },
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
  TOTP_ISSUER_NAME: { read: totpIssuer, fallback: 'Headless MFA', about: 'the name that the authenticator app shows' },
  TOTP_WINDOW: { read: choice('1', 'past'), fallback: '1', about: '`1`: one step each side; `past`: the last one only' },
  BCRYPT_COST: { read: integer(4, 12), fallback: '10', about: 'of recovery codes, from 10 to 12' },
  THROTTLE_WAITS: { read: integers(0, 3600), fallback: '0,0,0,0,30', about: 'seconds to wait after each failure in a row, then doubling up to an hour' },
  THROTTLE_LOCK: { read: integer(1, 100), fallback: '30', about: 'failures in a row that lock' },
  THROTTLE_DAY: { read: integer(1, 100), fallback: '20', about: 'failures in 24 hours; success does not reset them' },
  THROTTLE_MONTH: { read: integer(1, 300), fallback: '30', about: 'failures in 30 days' },
  POLICY_FLOOR: { read: parsePolicyFloor, about: 'a JSON policy that no tenant can go below, and `maxExemptionDays`; a field that is left out binds nothing' },
  RATE_LIMIT_PER_MINUTE: { read: integer(0, 1000000), fallback: '600', about: 'requests of one address, beyond which it is refused after half a second. Eight are answered at a time, a hundred wait for it, others are 503 at once; 0 turns all of it off, as behind a load balancer that hides who asks' },
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
  DOCS: { read: boolean, about: 'the OpenAPI console at /docs' },
  OTEL_EXPORTER_OTLP_ENDPOINT: { read: url(['http:', 'https:']), about: 'collector of traces, by OTLP over HTTP' },
  LOG_LEVEL: { read: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), fallback: 'info', about: '`trace` to `fatal`, or `silent`' },
  NODE_ENV: { read: choice('production', 'development', 'test'), fallback: 'development', about: '`development` and `test` serve this machine alone; `production` refuses what is only good for them' }
} as const satisfies Record<string, Variable>

type Name = keyof typeof variables
type Value<N extends Name> = ReturnType<typeof variables[N]['read']>
type Optional = 'WEBHOOK_URL' | 'WEBHOOK_SECRET' | 'OTEL_EXPORTER_OTLP_ENDPOINT' | 'HTTPS_PROXY' | 'NO_PROXY' | 'ADMIN_PORT' | 'DATABASE_URL' | 'DATABASE_OWNER_URL' | 'JWT_ISSUER' | 'JWT_AUDIENCE' | 'JWT_SECRET' | 'JWT_PUBLIC_KEY_FILE' | 'JWT_JWKS_URL' | 'JWT_ALGORITHMS' | 'JWT_SESSION_CLAIM' | 'TRUSTED_ISSUERS_FILE' | 'POLICY_FLOOR' | 'ENROLL_PAGE_URL' | 'VERIFY_PAGE_URL' | 'LOGIN_PAGE_URL'
type Derived = 'JWT_PUBLIC_KEY_FILE' | 'TRUSTED_ISSUERS_FILE'

/** The whole configuration, frozen: the variables under their own names, and whose first-factor tokens are accepted. */
export type Config = Readonly<{ [N in Exclude<Name, Optional>]: Value<N> }> &
  Readonly<{ [N in Exclude<Optional, Derived>]: Value<N> | undefined }> &
  Readonly<{ JWT_PUBLIC_KEY: string | undefined, ISSUERS: readonly Issuer[], WARNINGS: readonly string[] }>

export type { SigningKey }
export { ConfigError }

type Partly = { [N in Exclude<Name, Optional>]: Value<N> } & { [N in Optional]: Value<N> | undefined }
type Env = Record<string, string | undefined>

/** Every name that means something here: the variables, and the files that secrets may come from. */
export const NAMES: readonly string[] = (Object.keys(variables) as Name[]).flatMap(name => (variables[name] as Variable).isSecret === true ? [name, `${name}_FILE`] : [name])

/**
 * Reads the configuration from the environment. A blank or bad value is an error and never becomes the default, and so is a
 * name that nearly is one of ours.
 * @throws ConfigError with one line for each variable, that names it and the cause, never the value
 */
export function readConfig (env: Env): Config {
  const faults = new Faults()
  const isGiven = isGivenIn(env)
  const values = readTrusting(env, Object.keys(variables) as Name[], faults)
  for (const name of ['MFA_SIGNING_KEYS', 'MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS']) if (!isGiven(name)) faults.add(name, 'is missing')
  for (const name of ['JWT_PUBLIC_KEY_FILE', 'TRUSTED_ISSUERS_FILE']) delete values[name]
  faults.try(() => { checkReceiver(values) })
  refuseReused(values, faults)
  values.WARNINGS = judge(values, isGiven, faults)
  faults.throwAny()
  return Object.freeze(values) as Config
}

/** These variables, and whose tokens are accepted: ours, and those of the issuers, which become `ISSUERS`. */
function readTrusting (env: Env, names: readonly Name[], faults: Faults): Record<string, any> {
  const isGiven = isGivenIn(env)
  if (env.TRUSTED_ISSUERS_FILE?.trim()) refusePlainIssuer(env, faults)
  const values = readAll(withLowerCase(env), names, faults)
  const areSeveral = isGiven('TRUSTED_ISSUERS_FILE')
  for (const name of [...(areSeveral ? [] : ['JWT_ISSUER', 'JWT_AUDIENCE']), 'MFA_ISSUER', 'MFA_AUDIENCE']) if (!isGiven(name)) faults.add(name, 'is missing')
  values.ISSUERS = faults.try(() => areSeveral
    ? readIssuers(values.TRUSTED_ISSUERS_FILE, { ownIssuer: values.MFA_ISSUER, trustedProxies: values.TRUSTED_PROXIES ?? [] }, faults)
    : readFirstFactor(values, isGiven, faults))
  refuseConfusion(values, faults)
  return values
}

const TOKEN_NAMES = [
  'JWT_ISSUER', 'JWT_AUDIENCE', 'JWT_SECRET', 'JWT_PUBLIC_KEY_FILE', 'JWT_JWKS_URL', 'JWT_ALGORITHMS', 'JWT_LOGIN_TYPE', 'JWT_SESSION_CLAIM', 'JWT_IAT_IS_LOGIN', 'JWT_GRANTS', 'TRUSTED_ISSUERS_FILE',
  'TRUSTED_PROXIES', 'HTTPS_PROXY', 'NO_PROXY', 'MFA_ISSUER', 'MFA_AUDIENCE', 'MFA_SIGNING_KEYS', 'MFA_PEPPERS', 'POLICY_FLOOR', 'LOGIN_FRESH_SECONDS', 'DATABASE_URL'
] as const

/** What a token is held against, and what the decision takes besides; our own keys and the database as far as they are there. */
export type TokenRules = Pick<Config, 'ISSUERS' | 'HTTPS_PROXY' | 'NO_PROXY' | 'MFA_ISSUER' | 'MFA_AUDIENCE' | 'POLICY_FLOOR' | 'LOGIN_FRESH_SECONDS' | 'DATABASE_URL'> &
  { [N in 'MFA_SIGNING_KEYS' | 'MFA_PEPPERS']: Config[N] | undefined }

/** As `readConfig`, of what concerns tokens alone: a configuration may be tried that is not whole. @throws ConfigError */
export function readTokenRules (env: Env): TokenRules {
  const faults = new Faults()
  const values = readTrusting(env, TOKEN_NAMES, faults)
  faults.throwAny()
  return values as TokenRules
}

/** Some of the variables, for what needs no more: with the checks of all. @throws ConfigError */
export function readSome<N extends Name> (env: Env, names: readonly N[]): Pick<Partly, N> {
  const faults = new Faults()
  const values = readAll(env, [...names, 'NODE_ENV'], faults)
  checkPlaces(values, faults)
  faults.throwAny()
  return values as Pick<Partly, N>
}

/** The files that a start reads: those that may hold another secret a moment later. */
export const secretFiles = (env: Env): string[] => (Object.keys(variables) as Name[])
  .flatMap(name => (variables[name] as Variable).isSecret ? [env[`${name}_FILE`]] : name.endsWith('_FILE') ? [env[name]] : [])
  .filter(path => path !== undefined)

/** As other programs know these, too. A blank one is none: it is not for us alone. */
function withLowerCase (env: Env): Env {
  const given = (['HTTPS_PROXY', 'NO_PROXY'] as const).map(name => [name, env[name.toLowerCase()]] as const).filter(([, value]) => value !== undefined && value.trim() !== '')
  return { ...Object.fromEntries(given), ...env }
}

// What is wrong of it is a fault, and undefined here: the checks that follow say nothing of it.
function readAll (env: Env, names: readonly Name[], faults: Faults): Record<string, any> {
  for (const name of findUnknown(env, NAMES)) faults.add(name, unknown(name, NAMES))
  return Object.fromEntries(names.map(name => [name, faults.try(() => readVariable(name, env))]))
}

function readVariable (name: Name, env: Env): unknown {
  const variable: Variable = variables[name]
  const path = variable.isSecret ? env[`${name}_FILE`] : undefined
  if (path !== undefined && env[name] !== undefined) throw new ConfigError(name, `is set, and ${name}_FILE too: one of them`)
  if (path?.trim() === '') throw new ConfigError(`${name}_FILE`, BLANK)
  const raw = path === undefined ? env[name] : readSecretFile(`${name}_FILE`, path)
  if (raw === undefined || isOfPlatform(name, raw)) return variable.fallback === undefined ? undefined : variable.read(name, variable.fallback)
  if (raw.trim() === '') throw new ConfigError(name, BLANK)
  // What Node puts in the place of bytes of the environment that are not UTF-8.
  if (path === undefined && raw.includes('\uFFFD')) throw new ConfigError(name, 'holds bytes that are not UTF-8')
  return variable.read(name, raw)
}

const BLANK = 'is blank: give it a value or leave it out'

const readSecretFile = (name: string, path: string): string => readText(name, path).replace(/\r?\n$/, '')

/** What one mode refuses and the other does not, or tells of alone. Answers what an operator should know. */
function judge (values: Record<string, any>, isGiven: (name: string) => boolean, faults: Faults): string[] {
  const warnings: string[] = []
  const isProduction = isProductive(values)
  values.DOCS ??= !isProduction
  values.PRE_STOP_SECONDS ??= isProduction ? 5 : 0
  if (isProduction && !isGiven('DATABASE_URL')) faults.add('DATABASE_URL', 'is missing: the embedded database is not for production')
  checkPlaces(values, faults)
  // Tests have a database that takes less.
  if (values.BCRYPT_COST < 10 && values.NODE_ENV !== 'test') faults.add('BCRYPT_COST', 'is under 10: the database takes no cheaper hash')
  if (isProduction) requireProduction(values, faults)
  for (const [name, secret] of issuerSecrets(values)) {
    const why = placeholder(secret)
    if (why === undefined) continue
    if (isProduction) faults.add(name, `${why}. Make one: openssl rand -base64 48`)
    else warnings.push(`${name} ${why}: good enough here, and refused in production. Make one: openssl rand -base64 48`)
  }
  if (values.POLICY_FLOOR !== undefined) warnings.push(...looseEnds(values.POLICY_FLOOR).map(why => `POLICY_FLOOR ${why}`))
  return warnings
}
