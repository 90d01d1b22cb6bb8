import type { ThrottleLimits } from '../core/throttle.ts'
import type { By } from './audit.ts'
import type { Database, Settlement } from './client.ts'

export interface Refusal {
  tenant: string
  userId: string
  kind: 'totp' | 'recovery' | 'bypass'
  /** How many factors the code was tried against. */
  weight: number
  limits: ThrottleLimits
  /** The pending factor whose confirmation failed. */
  pendingId?: string
  by: By
}

/**
 * Counts a refused code: `refused`, or `waiting`/`locked` where others' failures closed the door first and this one was
 * not looked at. Decides the race of parallel guesses.
 */
export const settleRefused = (db: Database, { tenant, userId, kind, weight, limits, pendingId, by }: Refusal): Promise<Settlement> =>
  db.settle`SELECT refuse_code_v1(${tenant}, ${userId}::uuid, ${kind}, ${weight}::int, ${limits}::jsonb, ${pendingId ?? null}::uuid, ${by}::jsonb, '{}'::jsonb) AS result`
