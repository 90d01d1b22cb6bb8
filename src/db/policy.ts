import { DEFAULT_POLICY, type Policy } from '../core/policy.ts'

/** A policy as `policy_json_v1` and `person_v2` have it. */
export interface PolicyRow extends Omit<Policy, 'enforceFrom' | 'updatedAt'> { enforceFrom: string | null, updatedAt: string | null }

const date = (value: string | null): Date | null => value === null ? null : new Date(value)

export const toPolicy = (row: PolicyRow | null): Policy => row === null
  ? DEFAULT_POLICY
  : { ...row, enforceFrom: date(row.enforceFrom), updatedAt: date(row.updatedAt) }
