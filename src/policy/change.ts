import { DETAILS, Problem } from '../http/problem.ts'
import { readTime } from '../http/time.ts'
import { fieldsBelow, type Floor, type PolicyFields } from './floor.ts'
import type { PolicyChange } from './schema.ts'

/** The fields of a body, as a policy has them. */
export const readChange = ({ enforceFrom, ...fields }: PolicyChange): Partial<PolicyFields> => ({
  ...fields,
  ...(enforceFrom !== undefined && { enforceFrom: enforceFrom === null ? null : readTime('enforceFrom', enforceFrom) })
})

/** A tenant can only tighten what the deployment asks. */
export function refuseBelow (change: Partial<PolicyFields>, floor: Floor | null): void {
  const below = fieldsBelow(change, floor)
  if (below.length > 0) {
    throw new Problem('required_by_policy', {
      detail: DETAILS.floor,
      errors: below.map(field => ({ field, message: "asks less than the deployment's floor does" }))
    })
  }
}
