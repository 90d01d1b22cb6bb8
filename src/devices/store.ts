import sql from 'sql-template-tag'
import type { By } from '../audit/record.sql.ts'
import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'

/** How many a user has at most: a newer one takes the place of the oldest. */
const MOST = 10

interface Of { tenant: string, userId: string, by: By }

/** Decides, by the epoch, whether what earned it counts still: `trusted`, or `stale`. */
export const settleTrusted = (
  db: Database,
  { tenant, userId, epoch, deviceId, mac, name, factorId, earnedAt, by }: Of & {
    epoch: number,
    deviceId: string,
    mac: Buffer,
    name: string | null,
    factorId: string,
    earnedAt: number
  }
): Promise<Settled<'trust_device'>> =>
  db.settle(
    'trust_device',
    sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${deviceId}::uuid, ${mac}::bytea, ${name}, ${factorId}::uuid,
    to_timestamp(${earnedAt}::float8), ${MOST}::int, ${by}::jsonb`
  )

/**
 * Decides the race with a removal: `accepted`, with the session's generation; `gone` where it lifts nothing any more; `kept` where
 * something was proved in the session meanwhile.
 */
export const settleUsed = (
  db: Database,
  { tenant, userId, epoch, deviceId, mac, days, authentication, by }: Of & {
    epoch: number,
    deviceId: string,
    mac: Buffer,
    days: number,
    authentication: object
  }
): Promise<Settled<'use_device'>> =>
  db.settle(
    'use_device',
    sql`${tenant}, ${userId}::uuid, ${epoch}::int, ${deviceId}::uuid, ${mac}::bytea, ${days}::int, ${authentication}::jsonb, ${by}::jsonb`
  )

/** Removes one, or all where none is named, and ends what they lifted. */
export const settleForgotten = (
  db: Database,
  { tenant, userId, deviceId, by }: Of & { deviceId: string | null }
): Promise<Settled<'forget_devices'>> => db.settle('forget_devices', sql`${tenant}, ${userId}::uuid, ${deviceId}::uuid, ${by}::jsonb`)
