import sql from 'sql-template-tag'
import type { By } from '../audit/record.sql.ts'
import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'

/** Forgets the session's second factor and ends the MFA tokens that were issued for it so far. */
export const settleSessionEnded = (
  db: Database,
  { tenant, userId, issuer, session, by }: { tenant: string, userId: string, issuer: string, session: string, by: By }
): Promise<Settled<'end_session'>> => db.settle('end_session', sql`${tenant}, ${userId}::uuid, ${issuer}, ${session}, ${by}::jsonb`)

/** Moves the epoch: `signed_out`, or `stale` if it has moved meanwhile. */
export const settleSignedOut = (
  db: Database,
  { tenant, userId, epoch, by }: { tenant: string, userId: string, epoch: number, by: By }
): Promise<Settled<'sign_out'>> => db.settle('sign_out', sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${by}::jsonb`)
