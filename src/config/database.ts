import { ConfigError, isLoopback } from './readers.ts'

/**
 * In production nobody reads along or stands in for the database: the server shows a certificate of a known CA for its own
 * name. On this machine there is nobody on the way, and where that is so elsewhere the URL says it.
 */
export function requireTls (name: string, databaseUrl: string): void {
  const { hostname, searchParams } = new URL(databaseUrl)
  // Of two, the driver takes the last.
  const host = searchParams.getAll('host').at(-1) ?? hostname
  const mode = searchParams.getAll('sslmode').at(-1)
  const isHere = host === '' || /^(\/|%2f)/i.test(host) || isLoopback(host)
  if (isHere || mode === 'verify-full' || mode === 'disable') return
  throw new ConfigError(name, 'must say sslmode=verify-full in production (and sslrootcert, if the CA is your own), or sslmode=disable where nobody can be on the way')
}
