import { postgresUrl } from './database.ts'
import { Faults } from './faults.ts'
import { readText } from './files.ts'
import { readFirstFactor, refusePlainIssuer } from './first-factor.ts'
import { ALGORITHMS, readIssuers, ROLES, sessionClaim } from './issuers.ts'
import { issuerSecrets, parsePeppers, parseSealingKeys, refuseReused } from './keys.ts'
import { findUnknown, isGivenIn, isOfPlatform, unknown } from './names.ts'
import { placeholder } from './placeholder.ts'
import { checkPlaces, isProductive, refuseConfusion } from './places.ts'
import { passkeyVariables, readPasskeys, type RelyingParty } from './passkeys.ts'
import { looseEnds, parsePolicyFloor } from './policy-floor.ts'
import { requireProduction } from './production.ts'
import { parseSigningKeys, type SigningKey } from './signing-keys.ts'
import { checkWebhook, parseWebhookSecrets, webhookUrl } from './webhook.ts'
import {
  boolean, choice, ConfigError, cidrs, hosts, integer, integers, list, names, origins, page, secret, status, text, totpIssuer, url, type Reader
} from './readers.ts'
import type { Issuer } from '../http/auth/issuer.ts'
import { MAX_TOKEN_SECONDS } from '../http/auth/mfa-claims.ts'

/** One variable: how it is read, its default, whether it can come from a `_FILE`, and what it does, for the table in docs/configuration.md. */
interface Variable { read: Reader<unknown>, fallback?: string, isSecret?: true, about: string }

/** Every variable of the service. `.env.example` and docs/configuration.md have the same names; test/config/config.test.ts compares them. */
export const variables = {
  HOST: { read: text(255), fallback: '127.0.0.1', about: 'address to listen on. Outside production only a loopback address' },
  PORT: { read: integer(0, 65535), fallback: '3000', about: 'port to listen on' },
  ADMIN_HOST: { read: text(255), fallback: '127.0.0.1', about: 'address of the second listener' },
  ADMIN_PORT: { read: integer(0, 65535), about: 'port of a second listener. If you set it, `/admin` and `/metrics` answer there and nowhere else' },
  PRE_STOP_SECONDS: { read: integer(0, 300), about: 'at a stop: how long it keeps serving after it says that it is not ready, so that load balancers notice. 0, in production 5' },
  DATABASE_URL: { read: postgresUrl, isSecret: true, about: 'PostgreSQL. It can name several hosts. In production it must say `sslmode=verify-full`' },
  DATABASE_POOL: { read: integer(1, 200), fallback: '10', about: 'connections of one replica' },
  DATABASE_OWNER_URL: { read: postgresUrl, isSecret: true, about: 'the role that owns the tables. Only `migrate` and `maintain` use it' },
  CITUS: { read: choice('auto', 'on', 'off'), fallback: 'auto', about: 'whether `migrate` distributes the tables by tenant. `auto`: if the database has Citus; `on`: always; `off`: never. See [Scaling](scaling.md#on-citus)' },
  AUDIT_RETENTION_DAYS: { read: integer(30, 36500), fallback: '400', about: 'how long audit events stay' },
  JWT_ISSUER: { read: text(512), about: '`iss` of the first-factor tokens, exact to the last slash' },
  JWT_AUDIENCE: { read: text(512), about: '`aud` of the first-factor tokens' },
  JWT_SECRET: { read: secret(32), isSecret: true, about: 'the HS256 secret of the first-factor tokens, at least 32 bytes. Set exactly one of this and the next two' },
  JWT_PUBLIC_KEY_FILE: { read: text(4096), about: 'a PEM file with their public key' },
  JWT_JWKS_URL: { read: url(['https:'], { isLoopbackHttpAllowed: true }), about: 'the URL of their JWK set. It must be https, unless it is on this machine' },
  JWT_ALGORITHMS: { read: list(choice(...ALGORITHMS)), about: 'algorithms that the tokens may be signed with. By default the one that fits the key (HS256, RS256, ES256 or EdDSA); with a JWK set RS256 and ES256' },
  JWT_LOGIN_TYPE: { read: choice('local', 'sso', 'api'), fallback: 'local', about: 'how users sign in at this issuer: `local` (a password), `sso`, or `api` (personal tokens)' },
  JWT_SESSION_CLAIM: { read: sessionClaim, about: 'the claim that identifies the login session, so that one code counts for the whole session. It can\'t be a time' },
  JWT_IAT_IS_LOGIN: { read: boolean, fallback: 'false', about: 'the issuer makes a token only at a login, so `iat` can stand for `auth_time`' },
  JWT_GRANTS: { read: list(choice(...ROLES)), fallback: 'mfa:admin,mfa:support,mfa:auditor,mfa:sync', about: '`mfa:` roles that this issuer\'s tokens may carry. Others are ignored' },
  HTTPS_PROXY: { read: url(['http:', 'https:']), about: 'proxy for fetching the keys of issuers. `https_proxy` works too' },
  NO_PROXY: { read: text(4096), about: 'hosts to reach without that proxy, with their subdomains: `id.internal,.example.com`, or `*` for all. `no_proxy` works too' },
  TRUSTED_ISSUERS_FILE: { read: text(4096), about: 'a JSON file with several issuers. It replaces the `JWT_…` variables. See [Issuers](issuers.md)' },
  MFA_ISSUER: { read: text(512), about: '`iss` of the tokens that the service issues' },
  MFA_AUDIENCE: { read: text(512), about: '`aud` of the tokens that the service issues for itself' },
  MFA_APPLICATION_AUDIENCES: { read: names, fallback: '', about: 'applications that can have tokens of their own, by `aud`. See [Back end](back-end.md)' },
  MFA_SIGNING_KEYS: { read: parseSigningKeys, isSecret: true, about: 'JWK set with private keys. The first signs MFA tokens; all are published' },
  MFA_ENCRYPTION_KEYS: { read: parseSealingKeys, isSecret: true, about: '`id:base64,…`, 32 bytes each. The first seals TOTP secrets; all open them' },
  MFA_PEPPERS: { read: parsePeppers, isSecret: true, about: '`id:base64,…`, 32 bytes each. The first hashes new recovery codes; all check them' },
  MFA_TOKEN_SECONDS: { read: integer(60, MAX_TOKEN_SECONDS), fallback: '900', about: 'how long an MFA token counts' },
  MFA_SESSION_MAX_AGE_SECONDS: { read: integer(60, 2592000), fallback: '43200', about: 'how long one code counts for its login session' },
  LOGIN_FRESH_SECONDS: { read: integer(60, 3600), fallback: '900', about: 'how old a login may be to start the first enrollment' },
  MFA_FRESH_SECONDS: { read: integer(60, 3600), fallback: '900', about: 'how old a second factor may be to change factors or to administer' },
  ADMIN_FACTOR_AGE_SECONDS: { read: integer(0, 2592000), fallback: '86400', about: 'how long a factor that was set up after a recovery can\'t be used to administer' },
  ENROLL_REQUIRES_CODE: { read: choice('never', 'roles', 'always'), fallback: 'roles', about: 'who needs a bypass code for their first enrollment. `never`: no one; `roles`: users with an `mfa:` role, once their tenant has an enrolled administrator; `always`: everyone. See [Help a user](administration.md#add-a-second-administrator)' },
  TOTP_ISSUER_NAME: { read: totpIssuer, fallback: 'Headless MFA', about: 'the name that the authenticator app shows' },
  TOTP_WINDOW: { read: choice('1', 'past'), fallback: '1', about: 'which codes are accepted. `1`: the present one, one before and one after; `past`: the present one and one before' },
  ...passkeyVariables,
  BCRYPT_COST: { read: integer(4, 12), fallback: '10', about: 'bcrypt cost of recovery codes, from 10 to 12' },
  THROTTLE_WAITS: { read: integers(0, 3600), fallback: '0,0,0,0,30', about: 'seconds to wait after each wrong code in a row. After the last number they double, up to an hour' },
  THROTTLE_LOCK: { read: integer(1, 100), fallback: '30', about: 'how many wrong codes in a row lock the authenticators' },
  THROTTLE_DAY: { read: integer(1, 100), fallback: '20', about: 'how many wrong codes a user may have in 24 hours. A right code does not reset this' },
  THROTTLE_MONTH: { read: integer(1, 300), fallback: '30', about: 'how many wrong codes a user may have in 30 days. A right code does not reset this' },
  POLICY_FLOOR: { read: parsePolicyFloor, about: 'JSON: a policy that no tenant can go below, and `maxExemptionDays`. Only the fields that you name bind. See [Policy](policy.md#set-a-floor-for-all-tenants)' },
  RATE_LIMIT_PER_MINUTE: { read: integer(0, 1000000), fallback: '600', about: 'requests per minute from one IP address. More get 429, after half a second. Eight run at a time, a hundred wait, more get 503. 0 turns all of this off, for a load balancer that hides the client\'s address' },
  TRUSTED_PROXIES: { read: cidrs, fallback: '', about: 'CIDRs of proxies. The service believes their `X-Forwarded-*`' },
  ENROLL_PAGE_URL: { read: page, about: 'your page that sets up a factor, for `X-MFA-Location`' },
  VERIFY_PAGE_URL: { read: page, about: 'your page that asks for a code, for `X-MFA-Location`' },
  LOGIN_PAGE_URL: { read: page, about: 'your log-in page, for tokens whose issuer has no `loginUrl`' },
  RETURN_HOSTS: { read: hosts, fallback: '', about: 'hosts that `return_to` may lead to, as `host` or `host:port`' },
  GATEWAY_ENROLL_STATUS: { read: status(401, 403), fallback: '403', about: 'what a gateway gets for a user who must enroll: `403` or `401`' },
  AUTHORIZE_STALE_SECONDS: { read: integer(1, 60), fallback: '2', about: 'how old a replica\'s list of revoked tokens may be. If it is older, gateways get 503' },
  WEBHOOK_URL: { read: webhookUrl, about: 'the endpoint that webhook events are sent to, https. See [Webhooks](webhooks.md)' },
  WEBHOOK_SECRET: { read: parseWebhookSecrets, isSecret: true, about: '`whsec_…`, 24 to 64 bytes: signs the webhook events. To change it, set the new and the old one with a comma between' },
  WEBHOOK_ALLOW_PRIVATE: { read: boolean, fallback: 'false', about: 'allows a webhook endpoint with a private address, and http' },
  CORS_ORIGINS: { read: origins, fallback: '', about: 'origins whose pages may call the API, as `https://app.example.com`' },
  DOCS: { read: boolean, about: 'the API console at /docs' },
  OTEL_EXPORTER_OTLP_ENDPOINT: { read: url(['http:', 'https:']), about: 'collector for traces, by OTLP over HTTP' },
  LOG_LEVEL: { read: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), fallback: 'info', about: '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`' },
  NODE_ENV: { read: choice('production', 'development', 'test'), fallback: 'development', about: '`development` and `test` are for this machine only. `production` refuses what is only safe there' }
} as const satisfies Record<string, Variable>

type Name = keyof typeof variables
type Value<N extends Name> = ReturnType<typeof variables[N]['read']>
type Optional = 'WEBHOOK_URL' | 'WEBHOOK_SECRET' | 'OTEL_EXPORTER_OTLP_ENDPOINT' | 'HTTPS_PROXY' | 'NO_PROXY' | 'ADMIN_PORT' | 'DATABASE_URL' | 'DATABASE_OWNER_URL' | 'JWT_ISSUER' | 'JWT_AUDIENCE' | 'JWT_SECRET' | 'JWT_PUBLIC_KEY_FILE' | 'JWT_JWKS_URL' | 'JWT_ALGORITHMS' | 'JWT_SESSION_CLAIM' | 'TRUSTED_ISSUERS_FILE' | 'POLICY_FLOOR' | 'ENROLL_PAGE_URL' | 'VERIFY_PAGE_URL' | 'LOGIN_PAGE_URL' | keyof typeof passkeyVariables
type Derived = 'JWT_PUBLIC_KEY_FILE' | 'TRUSTED_ISSUERS_FILE' | keyof typeof passkeyVariables

/** The whole configuration, frozen: the variables under their own names, whose first-factor tokens are accepted, and what passkeys are made for. */
export type Config = Readonly<{ [N in Exclude<Name, Optional>]: Value<N> }> &
  Readonly<{ [N in Exclude<Optional, Derived>]: Value<N> | undefined }> &
  Readonly<{ JWT_PUBLIC_KEY: string | undefined, ISSUERS: readonly Issuer[], PASSKEYS: readonly RelyingParty[], WARNINGS: readonly string[] }>

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
  values.PASSKEYS = faults.try(() => readPasskeys(values, isGiven, faults))
  for (const name of ['JWT_PUBLIC_KEY_FILE', 'TRUSTED_ISSUERS_FILE', ...Object.keys(passkeyVariables)]) delete values[name]
  faults.try(() => { checkWebhook(values) })
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
