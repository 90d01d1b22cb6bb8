import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'

interface Named { tenant: string, userId: string, epoch: number, factorId: string, by: By }

/** `renamed`, `taken` if another factor has the label by then, `gone` if this one is not there any more. */
export const settleRenamed = (db: Database, { tenant, userId, epoch, factorId, label, by }: Named & { label: string }): Promise<Settlement> =>
  db.settle`SELECT rename_factor(${tenant}, ${userId}::uuid, ${epoch}::int, ${factorId}::uuid, ${label}, ${by}::jsonb) AS result`

/** Decides the race of removals and confirmations: `removed`, or `stale` if the set of factors is not the decision's. `act` carries the acting session on. */
export const settleRemoved = (db: Database, { tenant, userId, epoch, revision, factorId, act, by }: Named & { revision: number, act: object | null }): Promise<Settlement> =>
  db.settle`SELECT remove_factor(${tenant}, ${userId}::uuid, ${epoch}::int, ${revision}::int, ${factorId}::uuid, ${act}::jsonb, ${by}::jsonb) AS result`

export const settlePendingRemoved = (db: Database, { tenant, userId, factorId, by }: Omit<Named, 'epoch'>): Promise<Settlement> =>
  db.settle`SELECT remove_pending(${tenant}, ${userId}::uuid, ${factorId}::uuid, ${by}::jsonb) AS result`
