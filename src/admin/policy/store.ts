import type { PolicyFields } from '../../core/floor.ts'
import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'

/** Decides the race of two changes of one version: `changed`, with the policy that it made, or `stale`. `expected` null: whatever it is now. */
export const settlePolicy = (db: Database, tenant: string, expected: number | null, change: Partial<PolicyFields>, by: By): Promise<Settlement> =>
  db.settle`SELECT put_policy_v2(${tenant}, ${expected}::int, ${change}::jsonb, ${by}::jsonb) AS result`
