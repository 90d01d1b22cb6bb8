import type { Database } from '../platform/db/client.ts'

/** Who did it and from where; a user with the epoch that was read with their token, without which they act no more. */
export interface By { actor: string, address: string | null, requestId: string | null, epoch?: number }

/** Someone with a shell where the service runs, or who changes its configuration. */
export const OPERATOR: By = { actor: 'operator', address: null, requestId: null }

export interface Event {
  tenant: string
  subject: string
  action: 'access.refused' | 'secret.unreadable'
  outcome: 'success' | 'failure'
  kind?: string
  by: By
  details?: Record<string, unknown>
}

/** An audit row of something that changes nothing else; what changes something writes its row itself. */
export async function recordEvent (db: Database, { tenant, subject, action, outcome, kind, by, details = {} }: Event): Promise<void> {
  await db.rows`SELECT audit(${tenant}, ${subject}, ${action}, ${outcome}, ${kind ?? null}, ${by}::jsonb, ${details}::jsonb)::text`
}

/** A secret that does not open is an attack or a lost key: an operator must look at it. */
export const recordUnreadable = (
  db: Database,
  { tenant, userId }: { tenant: string, userId: string },
  by: By,
  kind: string,
  details: Record<string, unknown>
): Promise<void> => recordEvent(db, { tenant, subject: userId, action: 'secret.unreadable', outcome: 'failure', kind, by, details })
