import type { Database } from '../platform/db/client.ts'
import { CHAINED, UTC } from './chain.sql.ts'
import { type ChainedEvent, digestEvent, type Head, link } from './chain.ts'

/** The first event at which a log is not what it was; what is not known of it is null. Times are UTC to the microsecond. */
export interface Break {
  position: number | null
  id: string | null
  at: string | null
  /** It is `changed` (it, or the order), `missing`, or was `added` from outside; or what was signed of it is gone, or does not open. */
  cause: 'changed' | 'missing' | 'added' | 'checkpoint'
}

export interface Walked { digest: string, until: string | null, broken: Break | null }

interface LinkRow extends Omit<ChainedEvent, 'action'> {
  action: string | null
  position: number
  digest: string
  eventDigest: string
  linkId: string
  linkAt: string
}

const PAGE = 1000

/**
 * Follows a chain from one event, of which the digest is known, to another, and computes each digest anew.
 * @param keptSince events that are older may be gone (the link has their digest and time, and is in the next one's)
 * @param signed digests that are known otherwise, by position
 */
export async function walkChain (
  db: Database,
  tenant: string,
  from: Head,
  to: number,
  keptSince: string,
  signed: ReadonlyMap<number, string>
): Promise<Walked> {
  let { count: position, digest } = from
  let until: string | null = null
  const stop = (cause: Break['cause'], row?: LinkRow): Walked =>
    ({ digest, until, broken: { position, id: row?.linkId ?? null, at: row?.linkAt ?? null, cause } })

  while (position < to) {
    const rows = await findLinks(db, tenant, position, to)
    if (rows.length === 0) {
      position++
      return stop('missing')
    }
    for (const row of rows) {
      position++
      if (row.position !== position) return stop('missing')
      if (row.action === null && row.linkAt >= keptSince) return stop('missing', row)
      const isOther = row.action !== null && digestEvent(row as ChainedEvent) !== row.eventDigest
      digest = link(digest, row.eventDigest, row.linkAt)
      if (isOther || digest !== row.digest || digest !== (signed.get(position) ?? digest)) return stop('changed', row)
      if (until === null || row.linkAt > until) until = row.linkAt
    }
  }
  return { digest, until, broken: null }
}

const findLinks = (db: Database, tenant: string, after: number, to: number): Promise<LinkRow[]> => db.reports<LinkRow>`
  SELECT c.position::float8, encode(c.hash, 'hex') AS digest, encode(c.event, 'hex') AS "eventDigest",
    c.id::text AS "linkId", to_char(c.at AT TIME ZONE 'UTC', ${UTC}) AS "linkAt", ${CHAINED}
  FROM (SELECT * FROM audit_chain WHERE tenant = ${tenant} AND position > ${after}::bigint AND position <= ${to}::bigint
    ORDER BY position LIMIT ${PAGE}::int) c
  LEFT JOIN audit_events e ON e.tenant = ${tenant} AND e.at = c.at AND e.id = c.id
  ORDER BY c.position`
