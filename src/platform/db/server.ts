import pg from 'pg'
import { UnavailableError } from '../unavailable.ts'
import { readDatabaseUrl, type SessionAttributes } from './database-url.ts'

export interface Server {
  /** Which of the URL's hosts it is. */
  host: number
  /** Tells one running server from another: each began at a moment of its own. */
  identity: string
  /** A standby, or one that takes no writes because an operator set it so. */
  isReadOnly: boolean
  isStandby: boolean
  /** It ends no statement of this role by itself, however long that takes. */
  isUnbounded: boolean
}

/** A server's address would not tell it apart: one server has several, and behind a pooler or a proxy several have one. */
export const IDENTITY = 'extract(epoch FROM pg_postmaster_start_time())::text'
const ASK = `SELECT ${IDENTITY} AS identity, current_setting('transaction_read_only') = 'on' AS "isReadOnly",
  pg_is_in_recovery() AS "isStandby", current_setting('statement_timeout') = '0' AS "isUnbounded"`

const FITS: Record<SessionAttributes, (server: Server) => boolean> = {
  any: () => true,
  'read-write': ({ isReadOnly }) => !isReadOnly,
  'read-only': ({ isReadOnly }) => isReadOnly,
  primary: ({ isStandby }) => !isStandby,
  standby: ({ isStandby }) => isStandby,
  'prefer-standby': ({ isStandby }) => isStandby
}

/**
 * Asks the hosts of a URL, in their order and over a connection that is new, until one is what `target_session_attrs` wants. A host
 * has an even share of the time that is left, so that one that is gone without a word leaves some to those behind it.
 * @throws UnavailableError that says of each host why it was not taken
 */
export async function findServer (databaseUrl: string, withinMs: number): Promise<Server> {
  const { hosts, urls, attributes } = readDatabaseUrl(databaseUrl)
  const deadline = performance.now() + withinMs
  const others: Server[] = []
  const reasons: string[] = []
  let cause: unknown
  for (const [index, url] of urls.entries()) {
    try {
      const server = { host: index, ...await ask(url, Math.max(1, (deadline - performance.now()) / (urls.length - index))) }
      if (FITS[attributes](server)) return server
      others.push(server)
      reasons.push(`${hosts[index]} is not ${attributes}`)
    } catch (error) {
      cause = error
      reasons.push(`${hosts[index]} does not answer (${(error as { code?: string }).code ?? (error as Error).message})`)
    }
  }
  if (attributes === 'prefer-standby' && others[0] !== undefined) return others[0]
  throw new UnavailableError(`the database is not there: ${reasons.join('; ')}`, {
    code: (cause as { code?: string } | undefined)?.code,
    cause
  })
}

async function ask (url: string, withinMs: number): Promise<Omit<Server, 'host'>> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: withinMs,
    query_timeout: withinMs,
    application_name: 'headless-mfa'
  })
  client.on('error', () => {}) // what waits for an answer hears of it
  try {
    await client.connect()
    return (await client.query<Omit<Server, 'host'>>(ASK)).rows[0] as Omit<Server, 'host'>
  } finally {
    await client.end()
  }
}

/** Of a URL of several hosts that of the one to talk to: for what talks to one server, once, from beginning to end. */
export async function chooseHost (databaseUrl: string): Promise<string> {
  const { urls, isChoice } = readDatabaseUrl(databaseUrl)
  return isChoice ? urls[(await findServer(databaseUrl, 10_000)).host] as string : databaseUrl
}
