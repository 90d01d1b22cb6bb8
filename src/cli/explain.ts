import { DATA_DIR } from '../config/development.ts'
import { isGivenIn } from '../config/names.ts'
import { ConfigError } from '../config/readers.ts'
import { UnavailableError } from '../platform/unavailable.ts'

interface Known extends Error {
  code?: unknown
  syscall?: string
  path?: string
  port?: number
  hostname?: string
  severity?: string
  errors?: unknown[]
}

type Env = Record<string, string | undefined>

const ENCODE = 'In the user name and the password write @ as %40, / as %2F, : as %3A, # as %23, ? as %3F and % as %25'
const CA = 'Name its CA: sslrootcert=/path/of/ca.pem'

/** What the server or the way to it says, by its code (SQLSTATE, the system's, TLS's), and what to do. */
export const DATABASE: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there. Start PostgreSQL, or correct the host and the port',
  ENOTFOUND: `there is no host of that name. Correct it. ${ENCODE}`,
  EAI_AGAIN: 'the name of the host cannot be looked up now. See whether this machine has a network and a DNS server',
  ETIMEDOUT: 'the host does not answer. Correct the host and the port, or let a firewall between pass it',
  EHOSTUNREACH: 'no way leads to the host. Correct it, or the network',
  ENETUNREACH: 'no way leads to the host. Correct it, or the network',
  ECONNRESET: 'the connection was cut. See whether it is a PostgreSQL that listens there, and its log',
  ENOENT: 'there is no such socket. Start PostgreSQL, or correct the directory',
  EACCES: 'this user may not use the socket',
  '28P01': `the server takes this user and password for wrong. Correct them. ${ENCODE}`,
  28000: 'the server does not let this user in from here. See whether the role exists, and the server\'s pg_hba.conf',
  '3D000': 'the server has no database of that name. Make it (createdb), or correct the name',
  53300: 'the server has no connection left. Raise its max_connections, or lower DATABASE_POOL',
  '57P03': 'the server starts, or stops. Try again in a moment',
  42501: 'the role may not do that. What changes tables needs their owner (DATABASE_OWNER_URL); the service needs GRANT headless_mfa',
  '42P01': 'a table is missing. Apply the migrations: npm run migrate',
  42883: 'a function is missing. Apply the migrations: npm run migrate',
  25006: 'the server takes no writes. Name the primary, or add target_session_attrs=read-write',
  DEPTH_ZERO_SELF_SIGNED_CERT: `the server's certificate is signed by itself. ${CA}`,
  SELF_SIGNED_CERT_IN_CHAIN: `the server's certificate is of a CA that is not known here. ${CA}`,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: `the server's certificate is of a CA that is not known here. ${CA}`,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `the server's certificate is of a CA that is not known here. ${CA}`,
  ERR_TLS_CERT_ALTNAME_INVALID: 'the server\'s certificate is for another name. Use the name in the certificate',
  CERT_HAS_EXPIRED: 'the server\'s certificate has expired. Renew it'
}

/** What the driver says without a code. */
const DRIVER: Array<[RegExp, string]> = [
  [
    /^(timeout expired|timeout exceeded when trying to connect|Connection terminated due to connection timeout)/,
    DATABASE.ETIMEDOUT as string
  ],
  [/^Connection terminated unexpectedly/, DATABASE.ECONNRESET as string],
  [
    /^The server does not support SSL connections/,
    'the server speaks no TLS. Turn on its ssl, or say sslmode=disable if no one can listen in on the way'
  ],
  [/^SASL: .*password must be a/, `it has no password, and the server wants one. ${ENCODE}`]
]

/** Which of the variables leads to the database, also for a program that connects as the owner of its tables. */
export function databaseVariable (env: Env, isOwner = false): string {
  const isGiven = isGivenIn(env)
  if (isOwner && isGiven('DATABASE_OWNER_URL')) return 'DATABASE_OWNER_URL'
  return isGiven('DATABASE_URL') ? 'DATABASE_URL' : 'The embedded database'
}

/**
 * Why a program of ours stops, for the operator: what is wrong, which variable it is, and what to do. Never a value, as what
 * stands in a URL may be a piece of a password; and a stack only where the fault is ours.
 */
export function explain (error: unknown, env: Env, isOwner = false): string {
  if (error instanceof ConfigError) return error.message.replace(/^/gm, 'configuration: ')
  const root = rootOf(error as Known)
  const about = aboutPort(root, env) ?? aboutFolder(root) ?? aboutDatabase(root, databaseVariable(env, isOwner))
  if (about !== undefined) return about
  if (root.syscall !== undefined) return root.message
  if (error instanceof UnavailableError) return root === error ? `${error.message}.` : `${error.message}: ${lastLine(root)}`
  return isFault(error) ? `A fault of this program: ${error.stack as string}` : (error as Error).message
}

/** No sentence of ours, nor of a library that refuses something. */
const isFault = (error: unknown): error is Error => [TypeError, RangeError, ReferenceError, SyntaxError].some(type => error instanceof type)

/** What is behind what wraps it. Of several hosts or addresses that were tried, the first. */
function rootOf (error: Known): Known {
  const next = error.errors?.[0] ?? error.cause
  return next instanceof Error ? rootOf(next) : error
}

const lastLine = ({ message }: Error): string => `${message.trim().split('\n').at(-1) as string}.`

function aboutPort ({ code, syscall, port, hostname }: Known, env: Env): string | undefined {
  const isOf = (host: string): boolean => hostname !== undefined && env[host] === hostname
  if (syscall === 'getaddrinfo' && (isOf('HOST') || isOf('ADMIN_HOST'))) {
    return `${isOf('HOST') ? 'HOST' : 'ADMIN_HOST'} is no address of this machine (${code as string}).`
  }
  if (syscall !== 'listen') return undefined
  const isAdmin = String(port) === env.ADMIN_PORT
  const [host, variable] = isAdmin ? ['ADMIN_HOST', 'ADMIN_PORT'] : ['HOST', 'PORT']
  switch (code) {
    case 'EADDRINUSE': return `Port ${port as number} is taken (EADDRINUSE): stop what uses it, or set ${variable} to another.`
    case 'EACCES': return `This user may not listen on port ${port as number} (EACCES): set ${variable} to one from 1024 on.`
    case 'EADDRNOTAVAIL':
      return `${host} is no address of this machine (EADDRNOTAVAIL): set it to one, or to 0.0.0.0 for all in production.`
    default: return undefined
  }
}

/** Where development has its keys and its database. */
function aboutFolder ({ code, syscall, path }: Known): string | undefined {
  if (syscall === undefined || path === undefined || !`${path}/`.startsWith(DATA_DIR)) return undefined
  if (
    code === 'ENOSPC' || code === 'EDQUOT'
  ) { return `There is no room left for .data (${code}): make some on that disk, or set DATABASE_URL.` }
  return `.data cannot be written here (${code as string}): make the folder yours (sudo chown -R "$(id -u)" .data), or set ` +
         'DATABASE_URL and the keys (JWT_SECRET, MFA_SIGNING_KEYS, MFA_ENCRYPTION_KEYS, MFA_PEPPERS).'
}

function aboutDatabase ({ code, syscall, severity, path, message }: Known, variable: string): string | undefined {
  const isCertificate = /CERT|LEAF_SIGNATURE/.test(String(code))
  const isConnection = syscall === 'connect' || syscall === 'getaddrinfo' || syscall === 'read' || syscall === 'write'
  if (isConnection || isCertificate || severity !== undefined) {
    const why = DATABASE[String(code)]
    // Of what it refuses to do the server names the thing, which is ours.
    if (why !== undefined) {
      return `${variable}: ${why.replace(/\. |$/, rest => ` (${severity === 'ERROR' ? message : String(code)})${rest}`)}.`
    }
    if (severity !== undefined) return `${variable}: the server says: ${message} (${String(code)}).`
  }
  if (
    syscall === 'open' && /\.(pem|crt|cer|key)$/.test(String(path))
  ) { return `${variable}: sslrootcert, sslcert or sslkey names a file that cannot be read (${code as string}).` }
  // As the engine of the migrations has it, without its code.
  const denied = /^\s*ERROR: (permission denied for .*)/.exec(message)?.[1]
  if (denied !== undefined) return aboutDatabase(Object.assign(new Error(denied), { code: '42501', severity: 'ERROR' }), variable)
  const meaning = DRIVER.find(([pattern]) => pattern.test(message))?.[1]
  return meaning === undefined ? undefined : `${variable}: ${meaning}.`
}
