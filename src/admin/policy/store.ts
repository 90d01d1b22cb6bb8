import { DEFAULT_POLICY, type Policy } from '../../core/policy.ts'
import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'

/** What the tenant's administrators have set, or the default. */
export async function findPolicy (db: Database, tenant: string): Promise<Policy> {
  const row = await db.run(() => db.prisma.policy.findUnique({
    where: { tenant }, select: { enforcement: true, ssoRule: true, version: true, updatedAt: true, updatedBy: true }
  }))
  return row === null ? DEFAULT_POLICY : row as Policy
}

/** Decides the race of two changes of one version: `changed` or `stale`. `expected` null: whatever it is now. */
export const settlePolicy = (db: Database, tenant: string, expected: number | null, change: object, by: By): Promise<Settlement> =>
  db.settle`SELECT put_policy_v1(${tenant}, ${expected}::int, ${change}::jsonb, ${by}::jsonb) AS result`
