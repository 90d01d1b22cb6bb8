import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'

interface Named { tenant: string, userId: string, reason: string, by: By }

/** `set`, `past` for an end that has come, `gone` for nobody, `below` where it is longer than the floor's `maxDays` allow. */
export const settleExemption = (db: Database, { tenant, userId, isExempt, until, reason, maxDays, by }: Named & { isExempt: boolean, until: Date | null, maxDays: number | null }): Promise<Settlement> =>
  db.settle`SELECT exempt_user(${tenant}, ${userId}::uuid, ${isExempt}, ${until}::timestamptz, ${reason}, ${maxDays}::int, ${by}::jsonb) AS result`

/** The same of a deadline; the floor's days count from when a policy first met the user. */
export const settleGrace = (db: Database, { tenant, userId, until, reason, maxDays, by }: Named & { until: Date, maxDays: number | null }): Promise<Settlement> =>
  db.settle`SELECT set_grace(${tenant}, ${userId}::uuid, ${until}::timestamptz, ${reason}, ${maxDays}::int, ${by}::jsonb) AS result`
