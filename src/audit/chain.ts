import { createHash } from 'node:crypto'

/** An event as it is hashed: everything as text, `at` in UTC to the microsecond, `details` as PostgreSQL writes jsonb. */
export interface ChainedEvent {
  tenant: string
  at: string
  id: string
  actor: string | null
  subject: string | null
  action: string
  outcome: string
  factorKind: string | null
  address: string | null
  requestId: string | null
  details: string
}

/** Where a chain ends: so many events since its beginning, and the digest of the last one. */
export interface Head { count: number, digest: string }

/** What the first event of a tenant is linked to. Digests are hexadecimal. */
export const START = '0'.repeat(64)

/** An array of texts and nulls has one way to be written: no two events look alike. */
const canonical = ({ tenant, at, id, actor, subject, action, outcome, factorKind, address, requestId, details }: ChainedEvent): string =>
  JSON.stringify([tenant, at, id, actor, subject, action, outcome, factorKind, address, requestId, details])

const sha256 = (...parts: Array<Buffer | string>): string =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex')

/** What stays of an event in the chain when retention has removed it. */
export const digestEvent = (event: ChainedEvent): string => sha256(canonical(event))

/**
 * SHA-256 of the digest before, the event's digest and its time: a change of one event changes every digest after it. The
 * time stands there by itself, so that a link shows how old its event was when that is gone.
 */
export const link = (previous: string, eventDigest: string, at: string): string =>
  sha256(Buffer.from(previous, 'hex'), Buffer.from(eventDigest, 'hex'), at)
