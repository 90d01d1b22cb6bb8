import type { ThrottleLimits } from '../core/throttle.ts'
import type { By } from './audit.ts'
import type { Database, Settlement } from './client.ts'
import { each, inOrder } from './together.ts'

export interface Refusal {
  tenant: string
  userId: string
  kind: 'recovery' | 'bypass'
  limits: ThrottleLimits
  by: By
}

/**
 * Counts a refused code: `refused`, or `waiting`/`locked` where others' failures closed the door first and this one was
 * not looked at. Decides the race of parallel guesses. Those of a tenant that come at the same moment are counted in one call.
 */
export const settleRefused = (db: Database, { tenant, kind, limits, ...refusal }: Refusal): Promise<Settlement> =>
  db.settleTogether('refuse_code', JSON.stringify([tenant, kind]), refusal, refusals => refuseTogether(db, { tenant, kind, limits }, refusals))

type Common = Pick<Refusal, 'tenant' | 'kind' | 'limits'>
type Own = Omit<Refusal, keyof Common>

const refuseTogether = ({ value }: Database, { tenant, kind, limits }: Common, refusals: Own[]): Promise<Array<Settlement | null>> => inOrder(refusals, {
  alone: ({ userId, by }) => value<Settlement>`SELECT refuse_code(${tenant}, ${userId}::uuid, ${kind}, 1, ${limits}::jsonb, NULL::uuid, ${by}::jsonb, '{}'::jsonb) AS result`,
  all: sorted => value<Settlement[]>`SELECT refuse_codes(${tenant}, ${kind}, ${limits}::jsonb, ${each(sorted, 'userId')}::uuid[], ${sorted.map(() => 1)}::int[],
    ${sorted.map(() => null)}::uuid[], ${each(sorted, 'by')}::jsonb[]) AS results`
})
