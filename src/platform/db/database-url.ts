/** What libpq's `target_session_attrs` asks of a server: https://www.postgresql.org/docs/current/libpq-connect.html */
const ATTRIBUTES = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const
export type SessionAttributes = typeof ATTRIBUTES[number]

export interface DatabaseUrl {
  /** In the order in which they are tried. A path is a socket's directory; one that is '' is what the driver takes without any. */
  hosts: string[]
  /** For each host a URL that names it alone, since the driver knows no lists. */
  urls: string[]
  attributes: SessionAttributes
  /** Which host it is must be found out: there are several, or it must be as `attributes` says. */
  isChoice: boolean
  sslMode: string
  /** A pooler in transaction mode stands between. */
  isPooled: boolean
}

/**
 * Reads `postgresql://user@host:5432,[::1]:5433/database?…` as libpq does: `host` and `port` may be lists, also as parameters, which
 * then count alone. One port counts for all hosts.
 * @throws Error with what the URL is or must be, and nothing of what it holds
 */
export function readDatabaseUrl (url: string): DatabaseUrl {
  const parts = /^(postgres(?:ql)?:\/\/)([^/?#]*)(.*)$/i.exec(url)
  if (parts === null) throw new Error('must begin with postgres: or postgresql:, and two slashes')
  const [, scheme, authority, rest] = parts as unknown as [string, string, string, string]
  const end = authority.lastIndexOf('@') + 1
  const servers = authority.slice(end).split(',').map(server =>
    /^(\[[^\]]*\]|(?:[^\s:[\]%<>^|\\]|%[0-7][0-9a-f])*)(?::(\d*))?$/i.exec(server)
  )
  // The driver wants to parse it too: with one host.
  const single = `${scheme}${authority.slice(0, end)}${end === 0 && authority === '' ? '' : 'localhost'}${rest}`
  if (servers.includes(null) || !URL.canParse(single)) {
    throw new Error('is not a URL: in the user name and the password write @ as %40, / as %2F, : as %3A, # as %23, ? as %3F and % as %25')
  }

  const { searchParams } = new URL(single)
  // Of two, the driver takes the last.
  const last = (name: string): string | undefined => searchParams.getAll(name).at(-1) || undefined
  const hosts = (last('host')?.split(',') ?? servers.map(server => decodeURIComponent((server as RegExpExecArray)[1] as string)))
    .map((host, _, { length }) => host === '' && length > 1 ? 'localhost' : host.replace(/^\[(.*)\]$/, '$1'))
  const ports = last('port')?.split(',') ?? servers.map(server => server?.[2] ?? '')
  if (ports.length !== 1 && ports.length !== hosts.length) throw new Error(`lists ${ports.length} ports for ${hosts.length} hosts`)
  if (ports.some(port => !/^\d*$/.test(port) || Number(port) > 65_535)) throw new Error('has a port that is not a number up to 65535')
  const attributes = ATTRIBUTES.find(each => each === (last('target_session_attrs') ?? 'any'))
  if (attributes === undefined) throw new Error(`has a target_session_attrs that is none of ${ATTRIBUTES.join(', ')}`)

  return {
    hosts,
    urls: hosts.length === 1
      ? [url]
      : hosts.map((host, index) => withHost(single, host, (ports.length === 1 ? ports[0] : ports[index]) as string)),
    attributes,
    isChoice: hosts.length > 1 || attributes !== 'any',
    sslMode: last('sslmode') ?? '',
    isPooled: last('pgbouncer') === 'true'
  }
}

function withHost (single: string, host: string, port: string): string {
  const url = new URL(single)
  for (const [name, value] of [['host', host], ['port', port]] as const) {
    url.searchParams.delete(name)
    if (value !== '') url.searchParams.set(name, value)
  }
  return url.href
}
