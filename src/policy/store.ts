import sql from 'sql-template-tag'
import type { By } from '../audit/record.sql.ts'
import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'
import type { PolicyFields } from './floor.ts'

interface Change { tenant: string, expected: number | null, change: Partial<PolicyFields>, reason: string | null, by: By }

/**
 * Decides the race of two changes of one version: `changed`, with the policy that it made, or `stale`. `expected` null: whatever
 * it is now.
 */
export const settlePolicy = (db: Database, { tenant, expected, change, reason, by }: Change): Promise<Settled<'put_policy'>> =>
  db.settle('put_policy', sql`${tenant}, ${expected}::int, ${change}::jsonb, ${reason}, ${by}::jsonb`)
