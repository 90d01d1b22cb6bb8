import type { Database } from '../platform/db/client.ts'
import { DEFAULT_POLICY, type Policy, type PolicyRow } from './policy.ts'

const date = (value: string | null): Date | null => value === null ? null : new Date(value)

export const toPolicy = (row: PolicyRow | null): Policy => row === null
  ? DEFAULT_POLICY
  : {
      ...row,
      enforceFrom: date(row.enforceFrom),
      phishingResistantFrom: date(row.phishingResistantFrom),
      updatedAt: date(row.updatedAt)
    }

/** The tenant's policy, for a machine, which has no user to read it with. */
export async function findPolicy (db: Database, tenant: string): Promise<Policy> {
  const [{ policy }] = await db.rows`SELECT find_policy(${tenant}) AS policy` as [{ policy: PolicyRow | null }]
  return toPolicy(policy)
}
