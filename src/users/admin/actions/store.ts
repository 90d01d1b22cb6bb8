import sql from 'sql-template-tag'
import type { By } from '../../../audit/record.sql.ts'
import type { Database } from '../../../platform/db/client.ts'
import type { Settled } from '../../../platform/db/settlements.ts'
import type { Tombstone } from '../../tombstone.ts'

/** For which user, why, by which actor; `isSupport`: no users who ever had an `mfa:` role. Else `forbidden`; `gone` without such a user. */
export interface AdminAction { tenant: string, userId: string, reason: string, isSupport: boolean, by: By }

/** A code as it is kept, for so long. */
export interface NewBypass { id: string, hash: string, tag: number, pepperId: string, seconds: number }

/**
 * Decides the race of resets: `reset` once, with how many factors it took and when the bypass ends, if one goes with it;
 * `nothing` to all others.
 */
export const settleReset = (
  db: Database,
  { tenant, userId, reason, isSupport, by }: AdminAction,
  bypass: NewBypass | null
): Promise<Settled<'reset_user'>> =>
  db.settle('reset_user', sql`${tenant}, ${userId}::uuid, ${reason}, ${bypass}::jsonb, ${isSupport}, ${by}::jsonb`)

/** `unlocked`, whether or not there was something to clear. */
export const settleUnlocked = (db: Database, { tenant, userId, reason, isSupport, by }: AdminAction): Promise<Settled<'unlock_user'>> =>
  db.settle('unlock_user', sql`${tenant}, ${userId}::uuid, ${reason}, ${isSupport}, ${by}::jsonb`)

/** `issued`, with when it ends; of parallel ones the last stands. */
export const settleIssued = (
  db: Database,
  { tenant, userId, reason, isSupport, by }: AdminAction,
  bypass: NewBypass
): Promise<Settled<'issue_bypass'>> =>
  db.settle('issue_bypass', sql`${tenant}, ${userId}::uuid, ${reason}, ${bypass}::jsonb, ${isSupport}, ${by}::jsonb`)

/** `signed_out`, whatever the epoch was. */
export const settleSignOut = (db: Database, { tenant, userId, reason, isSupport, by }: AdminAction): Promise<Settled<'sign_out_user'>> =>
  db.settle('sign_out_user', sql`${tenant}, ${userId}::uuid, ${reason}, ${isSupport}, ${by}::jsonb`)

/** A device, or all where none is named: `removed`, with what it has lifted, or `nothing`. */
export const settleRevoked = (
  db: Database,
  { tenant, userId, reason, isSupport, by }: AdminAction,
  deviceId: string | null
): Promise<Settled<'revoke_devices'>> =>
  db.settle('revoke_devices', sql`${tenant}, ${userId}::uuid, ${deviceId}::uuid, ${reason}, ${isSupport}, ${by}::jsonb`)

/** `enabled` if the user was disabled, else `nothing`. */
export const settleEnabled = (
  db: Database,
  { tenant, userId, reason, by }: Omit<AdminAction, 'isSupport'>
): Promise<Settled<'enable_user'>> => db.settle('enable_user', sql`${tenant}, ${userId}::uuid, ${reason}, ${by}::jsonb`)

/** `erased`; `now` is the replica's, by whose clock tokens were issued. */
export const settleErased = (
  db: Database,
  { tenant, userId, reason, by }: Omit<AdminAction, 'isSupport'>,
  tombstone: Tombstone,
  now: Date
): Promise<Settled<'erase_user'>> =>
  db.settle('erase_user', sql`${tenant}, ${userId}::uuid, ${reason}, ${{ ...tombstone, at: now.toISOString() }}::jsonb, ${by}::jsonb`)
