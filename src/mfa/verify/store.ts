import type { By } from '../../db/audit.ts'
import type { Database, Settlement } from '../../db/client.ts'
import { each, inOrder } from '../../db/together.ts'

export interface Acceptance { tenant: string, userId: string, epoch: number, factorId: string, step: number, act: object | null, by: By }

/**
 * Decides the race for one step: `accepted` once, over every call and replica; `spent` to all others. Codes of a tenant that
 * come at the same moment are settled in one call and one commit, each by itself.
 */
export const settleAccepted = (db: Database, { tenant, ...acceptance }: Acceptance): Promise<Settlement> =>
  db.settleTogether('accept_totp', tenant, acceptance, acceptances => acceptTogether(db, tenant, acceptances))

type OfTenant = Omit<Acceptance, 'tenant'>

const acceptTogether = ({ value }: Database, tenant: string, acceptances: OfTenant[]): Promise<Array<Settlement | null>> => inOrder(acceptances, {
  alone: ({ userId, epoch, factorId, step, act, by }) => value<Settlement>`SELECT accept_totp(${tenant}, ${userId}::uuid, ${epoch}::int, ${factorId}::uuid, ${step}::bigint, ${act}::jsonb, ${by}::jsonb) AS result`,
  all: sorted => value<Settlement[]>`SELECT accept_totps(${tenant}, ${each(sorted, 'userId')}::uuid[], ${each(sorted, 'epoch')}::int[], ${each(sorted, 'factorId')}::uuid[], ${each(sorted, 'step')}::bigint[], ${each(sorted, 'act')}::jsonb[], ${each(sorted, 'by')}::jsonb[]) AS results`
})
