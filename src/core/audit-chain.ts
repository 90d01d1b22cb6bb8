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

/** SHA-256 of the digest before and the event: whoever changes one event changes every digest after it. */
export const link = (previous: string, event: ChainedEvent): string =>
  createHash('sha256').update(Buffer.from(previous, 'hex')).update(canonical(event)).digest('hex')
