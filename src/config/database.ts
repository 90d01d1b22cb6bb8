import { ConfigError, isLoopback } from './readers.ts'

/** Where the driver connects to: of two hosts in the query it takes the last, and without any what PostgreSQL's own variable says. */
export function hostOf (databaseUrl: string): string {
  const { hostname, searchParams } = new URL(databaseUrl)
  return searchParams.getAll('host').at(-1) || hostname || process.env.PGHOST || 'localhost'
}

/** By loopback, or by a socket in the file system. */
export const isOnThisMachine = (databaseUrl: string): boolean => {
  const host = hostOf(databaseUrl)
  return /^(\/|%2f)/i.test(host) || isLoopback(host)
}

/**
 * In production nobody reads along or stands in for the database: the server shows a certificate of a known CA for its own
 * name. On this machine there is nobody on the way, and where that is so elsewhere the URL says it.
 */
export function requireTls (name: string, databaseUrl: string): void {
  const mode = new URL(databaseUrl).searchParams.getAll('sslmode').at(-1)
  if (isOnThisMachine(databaseUrl) || mode === 'verify-full' || mode === 'disable') return
  throw new ConfigError(name, 'must say sslmode=verify-full in production (and sslrootcert, if the CA is your own), or sslmode=disable where nobody can be on the way')
}

/** Whoever has the keys of a developer's machine must find nothing that is worth it. */
export function requireThisMachine (name: string, databaseUrl: string): void {
  if (!isOnThisMachine(databaseUrl)) throw new ConfigError(name, 'is not on this machine, and development takes no other: set NODE_ENV=production, with keys of your own')
}
