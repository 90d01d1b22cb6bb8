import type { PolicyFields } from '../../core/floor.ts'
import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'

interface Change { tenant: string, expected: number | null, change: Partial<PolicyFields>, reason: string | null, by: By }

/** Decides the race of two changes of one version: `changed`, with the policy that it made, or `stale`. `expected` null: whatever it is now. */
export const settlePolicy = (db: Database, { tenant, expected, change, reason, by }: Change): Promise<Settlement> =>
  db.settle`SELECT put_policy(${tenant}, ${expected}::int, ${change}::jsonb, ${reason}, ${by}::jsonb) AS result`
