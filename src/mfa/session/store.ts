import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'

/** Forgets the session's second factor and ends the MFA tokens that were issued for it so far. */
export const settleSessionEnded = (db: Database, { tenant, userId, issuer, session, by }: { tenant: string, userId: string, issuer: string, session: string, by: By }): Promise<Settlement> =>
  db.settle`SELECT end_session(${tenant}, ${userId}::uuid, ${issuer}, ${session}, ${by}::jsonb) AS result`

/** Moves the epoch: `signed_out`, or `stale` if it has moved meanwhile. */
export const settleSignedOut = (db: Database, { tenant, userId, epoch, by }: { tenant: string, userId: string, epoch: number, by: By }): Promise<Settlement> =>
  db.settle`SELECT sign_out(${tenant}, ${userId}::uuid, ${epoch}::int, ${by}::jsonb) AS result`
