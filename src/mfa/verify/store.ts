import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'

export interface Acceptance { tenant: string, userId: string, epoch: number, factorId: string, step: number, act: object | null, by: By }

/** Decides the race for one step: `accepted` once, over every call and replica; `spent` to all others. */
export const settleAccepted = (db: Database, { tenant, userId, epoch, factorId, step, act, by }: Acceptance): Promise<Settlement> =>
  db.settle`SELECT accept_totp_v1(${tenant}, ${userId}::uuid, ${epoch}::int, ${factorId}::uuid, ${step}::bigint, ${act}::jsonb, ${by}::jsonb) AS result`
