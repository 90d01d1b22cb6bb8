import type { Issuer } from '../http/auth/issuer.ts'
import { Faults } from './faults.ts'
import { readText } from './files.ts'
import { readFirstFactor, refusePlainIssuer } from './first-factor.ts'
import { readIssuers } from './issuers.ts'
import { issuerSecrets, refuseReused } from './keys.ts'
import { findUnknown, isGivenIn, isOfPlatform, unknown } from './names.ts'
import { passkeyVariables, readPasskeys, type RelyingParty } from './passkeys.ts'
import { placeholder } from './placeholder.ts'
import { checkPlaces, isProductive, refuseConfusion } from './places.ts'
import { checkProvable, looseEnds } from './policy-floor.ts'
import { requireProduction } from './production.ts'
import { ConfigError } from './readers.ts'
import type { SigningKey } from './signing-keys.ts'
import { type Variable, variables } from './variables.ts'
import { checkWebhook } from './webhook.ts'

type Name = keyof typeof variables
type Value<N extends Name> = ReturnType<typeof variables[N]['read']>
type Optional =
  | 'WEBHOOK_URL'
  | 'WEBHOOK_SECRET'
  | 'OTEL_EXPORTER_OTLP_ENDPOINT'
  | 'HTTPS_PROXY'
  | 'NO_PROXY'
  | 'ADMIN_PORT'
  | 'DATABASE_URL'
  | 'DATABASE_OWNER_URL'
  | 'JWT_ISSUER'
  | 'JWT_AUDIENCE'
  | 'JWT_SECRET'
  | 'JWT_PUBLIC_KEY_FILE'
  | 'JWT_JWKS_URL'
  | 'JWT_ALGORITHMS'
  | 'JWT_SESSION_CLAIM'
  | 'TRUSTED_ISSUERS_FILE'
  | 'POLICY_FLOOR'
  | 'ENROLL_PAGE_URL'
  | 'VERIFY_PAGE_URL'
  | 'LOGIN_PAGE_URL'
  | keyof typeof passkeyVariables
type Derived = 'JWT_PUBLIC_KEY_FILE' | 'TRUSTED_ISSUERS_FILE' | keyof typeof passkeyVariables

/**
 * The whole configuration, frozen: the variables under their own names, whose first-factor tokens are accepted, and what
 * passkeys are made for.
 */
export type Config = Readonly<{ [N in Exclude<Name, Optional>]: Value<N> }> &
  Readonly<{ [N in Exclude<Optional, Derived>]: Value<N> | undefined }> &
  Readonly<{
    JWT_PUBLIC_KEY: string | undefined
    ISSUERS: readonly Issuer[]
    PASSKEYS: readonly RelyingParty[]
    WARNINGS: readonly string[]
  }>

export type { SigningKey }
export { ConfigError }

type Partly = { [N in Exclude<Name, Optional>]: Value<N> } & { [N in Optional]: Value<N> | undefined }
type Env = Record<string, string | undefined>

/** Every name that means something here: the variables, and the files that secrets may come from. */
export const NAMES: readonly string[] = (Object.keys(variables) as Name[]).flatMap(name =>
  (variables[name] as Variable).isSecret === true ? [name, `${name}_FILE`] : [name]
)

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
  const { POLICY_FLOOR: floor, PASSKEYS: parties, ISSUERS: issuers } = values
  if (floor !== undefined && parties !== undefined && issuers !== undefined) faults.try(() => { checkProvable(floor, parties, issuers) })
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
  for (const name of [...(areSeveral ? [] : ['JWT_ISSUER', 'JWT_AUDIENCE']), 'MFA_ISSUER', 'MFA_AUDIENCE']) {
    if (!isGiven(name)) faults.add(name, 'is missing')
  }
  values.ISSUERS = faults.try(() => areSeveral
    ? readIssuers(values.TRUSTED_ISSUERS_FILE, { ownIssuer: values.MFA_ISSUER, trustedProxies: values.TRUSTED_PROXIES ?? [] }, faults)
    : readFirstFactor(values, isGiven, faults))
  refuseConfusion(values, faults)
  return values
}

const TOKEN_NAMES = [
  'JWT_ISSUER', 'JWT_AUDIENCE', 'JWT_SECRET', 'JWT_PUBLIC_KEY_FILE', 'JWT_JWKS_URL', 'JWT_ALGORITHMS', 'JWT_LOGIN_TYPE',
  'JWT_SESSION_CLAIM', 'JWT_IAT_IS_LOGIN', 'JWT_GRANTS', 'TRUSTED_ISSUERS_FILE', 'TRUSTED_PROXIES', 'HTTPS_PROXY', 'NO_PROXY',
  'MFA_ISSUER', 'MFA_AUDIENCE', 'MFA_SIGNING_KEYS', 'MFA_PEPPERS', 'POLICY_FLOOR', 'LOGIN_FRESH_SECONDS', 'DATABASE_URL',
  'NODE_ENV', 'TOTP_ISSUER_NAME', ...Object.keys(passkeyVariables) as Array<keyof typeof passkeyVariables>
] as const

/** What a token is held against, and what the decision takes besides; our own keys and the database as far as they are there. */
export type TokenRules =
  & Pick<
    Config,
    | 'ISSUERS'
    | 'HTTPS_PROXY'
    | 'NO_PROXY'
    | 'MFA_ISSUER'
    | 'MFA_AUDIENCE'
    | 'POLICY_FLOOR'
    | 'PASSKEYS'
    | 'LOGIN_FRESH_SECONDS'
    | 'DATABASE_URL'
  >
  & { [N in 'MFA_SIGNING_KEYS' | 'MFA_PEPPERS']: Config[N] | undefined }

/** As `readConfig`, of what concerns tokens alone: a configuration may be tried that is not whole. @throws ConfigError */
export function readTokenRules (env: Env): TokenRules {
  const faults = new Faults()
  const values = readTrusting(env, TOKEN_NAMES, faults)
  values.PASSKEYS = faults.try(() => readPasskeys(values, isGivenIn(env), faults))
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
  const given = (['HTTPS_PROXY', 'NO_PROXY'] as const).map(name => [name, env[name.toLowerCase()]] as const).filter(([, value]) =>
    value !== undefined && value.trim() !== ''
  )
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
  if (raw === undefined || isOfPlatform(name, raw)) {
    return variable.fallback === undefined
      ? undefined
      : variable.read(name, variable.fallback)
  }
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
