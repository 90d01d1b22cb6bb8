import sql from 'sql-template-tag'
import type { By } from '../../audit/record.sql.ts'
import type { Database } from '../../platform/db/client.ts'
import type { Settled } from '../../platform/db/settlements.ts'

interface Named { tenant: string, userId: string, reason: string, by: By }

/** `set`, `past` for an end that has come, `gone` without such a user, `below` where it is longer than the floor's `maxDays` allow. */
export const settleExemption = (
  db: Database,
  { tenant, userId, isExempt, until, reason, maxDays, by }: Named & { isExempt: boolean, until: Date | null, maxDays: number | null }
): Promise<Settled<'exempt_user'>> =>
  db.settle('exempt_user', sql`${tenant}, ${userId}::uuid, ${isExempt}, ${until}::timestamptz, ${reason}, ${maxDays}::int, ${by}::jsonb`)

/** The same of a deadline; the floor's days count from when a policy first met the user. */
export const settleGrace = (
  db: Database,
  { tenant, userId, until, reason, maxDays, by }: Named & { until: Date, maxDays: number | null }
): Promise<Settled<'set_grace'>> =>
  db.settle('set_grace', sql`${tenant}, ${userId}::uuid, ${until}::timestamptz, ${reason}, ${maxDays}::int, ${by}::jsonb`)
