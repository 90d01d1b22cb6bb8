import { readDatabaseUrl } from '../platform/db/database-url.ts'
import { ConfigError, isLoopback, type Reader } from './readers.ts'

/** A URL as libpq has it, perhaps of several hosts. */
export const postgresUrl: Reader<string> = (name, raw) => {
  try {
    readDatabaseUrl(raw)
  } catch (error) {
    throw new ConfigError(name, (error as Error).message)
  }
  return raw
}

/**
 * By loopback, or by a socket in the file system, with all of its hosts. Without any the driver takes what PostgreSQL's own
 * variable says.
 */
export const isOnThisMachine = (databaseUrl: string): boolean => readDatabaseUrl(databaseUrl).hosts
  .map(host => host || process.env.PGHOST || 'localhost')
  .every(host => host.startsWith('/') || isLoopback(host))

/**
 * In production no one can listen in or pretend to be the database: the server shows a certificate of a known CA for its own
 * name. On this machine no one is on the way, and where that is so elsewhere the URL says it.
 */
export function requireTls (name: string, databaseUrl: string): void {
  if (isOnThisMachine(databaseUrl) || ['verify-full', 'disable'].includes(readDatabaseUrl(databaseUrl).sslMode)) return
  throw new ConfigError(
    name,
    'must say sslmode=verify-full in production (and sslrootcert, if the CA is your own), or sslmode=disable if no one can listen in ' +
    'on the way'
  )
}

/** The keys of a developer's machine must open nothing that is worth stealing. */
export function requireThisMachine (name: string, databaseUrl: string): void {
  if (!isOnThisMachine(databaseUrl)) {
    throw new ConfigError(name, 'is not on this machine, and development takes no other: set NODE_ENV=production, with keys of your own')
  }
}
