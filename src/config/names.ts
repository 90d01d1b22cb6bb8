import { closest, distance } from 'fastest-levenshtein'

/** Names of ours begin like this. Others use `HOST_`, `LOG_`, `NODE_` or `OTEL_` too. */
const PREFIXES = [
  'ADMIN_', 'AUDIT_', 'AUTHORIZE_', 'BCRYPT_', 'CORS_', 'DATABASE_', 'ENROLL_', 'GATEWAY_', 'JWT_', 'LOGIN_', 'MFA_', 'PASSKEY', 'POLICY_',
  'PRE_STOP_', 'RATE_LIMIT_', 'RETURN_', 'THROTTLE_', 'TOTP_', 'TRUSTED_', 'VERIFY_', 'WEBHOOK_'
]

/** What `headless-mfa --test` tells the command that it runs. */
const TOLD = ['MFA_TEST_URL', 'MFA_TEST_TOKEN_SECRET', 'MFA_TEST_ISSUER', 'MFA_TEST_AUDIENCE']

/** Is a variable there, by its value or by a file that holds it? */
export const isGivenIn = (env: Record<string, string | undefined>) => (name: string): boolean =>
  env[name] !== undefined || env[`${name}_FILE`] !== undefined

/** What Kubernetes, and Docker's links, make of a service's name: of one called `mfa`, MFA_SERVICE_HOST and its like. */
const OF_SERVICE = /_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/

/** The same for one called `admin`: ADMIN_PORT=tcp://10.0.0.7:80, which no operator has set. */
export const isOfPlatform = (name: string, value: string): boolean =>
  OF_SERVICE.test(name) || (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value))

/** Why a name is none of ours, and which one may be meant. */
export function unknown (name: string, known: readonly string[]): string {
  const base = name.replace(/_FILE$/, '')
  if (base !== name && known.includes(base)) return `is not known: ${base} comes from no file`
  const likely = closest(name, known)
  return distance(name, likely) <= 2 ? `is not known; did you mean ${likely}?` : 'is not known: .env.example has all names'
}

/** The variables that begin like ours and are none. */
export const findUnknown = (env: Record<string, string | undefined>, known: readonly string[]): string[] => Object.entries(env)
  .filter(([name, value]) => value !== undefined && PREFIXES.some(prefix => name.startsWith(prefix)) && !isOfPlatform(name, value))
  .map(([name]) => name)
  .filter(name => !known.includes(name) && !TOLD.includes(name))

/** In a file of our own, also those that do not begin like ours, but hardly differ from one. */
export const findMisspelt = (names: readonly string[], known: readonly string[]): string[] => names
  .filter(name => !known.includes(name) && distance(name, closest(name, known)) <= (name.length < 6 ? 1 : 2))
