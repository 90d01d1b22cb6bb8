import sql from 'sql-template-tag'
import type { By } from '../../audit/record.sql.ts'
import type { Database } from '../../platform/db/client.ts'
import type { Settled } from '../../platform/db/settlements.ts'

interface Named { tenant: string, userId: string, epoch: number, factorId: string, by: By }

/** `renamed`, `taken` if another factor has the label by then, `gone` if this one is not there any more. */
export const settleRenamed = (
  db: Database,
  { tenant, userId, epoch, factorId, label, by }: Named & { label: string }
): Promise<Settled<'rename_factor'>> =>
  db.settle('rename_factor', sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${factorId}::uuid, ${label}, ${by}::jsonb`)

/**
 * Decides the race of removals and confirmations: `removed`, or `stale` if the set of factors is not the decision's. `authentication`
 * carries the acting session on.
 */
export const settleRemoved = (
  db: Database,
  { tenant, userId, epoch, revision, factorId, authentication, by }: Named & { revision: number, authentication: object | null }
): Promise<Settled<'remove_factor'>> =>
  db.settle(
    'remove_factor',
    sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${revision}::int, ${factorId}::uuid, ${authentication}::jsonb, ${by}::jsonb`
  )

export const settlePendingRemoved = (
  db: Database,
  { tenant, userId, factorId, by }: Omit<Named, 'epoch'>
): Promise<Settled<'remove_pending'>> => db.settle('remove_pending', sql`${tenant}, ${userId}::uuid, ${factorId}::uuid, ${by}::jsonb`)
