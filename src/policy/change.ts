import { DETAILS, Problem } from '../http/problem.ts'
import { readTime } from '../http/time.ts'
import { fieldsBelow, type Floor, type PolicyFields } from './floor.ts'
import type { Services } from '../services.ts'
import type { PolicyChange } from './schema.ts'

/** The fields of a body, as a policy has them. */
export const readChange = ({ enforceFrom, phishingResistantFrom, ...fields }: PolicyChange): Partial<PolicyFields> => ({
  ...fields,
  ...readFrom({ enforceFrom }),
  ...readFrom({ phishingResistantFrom })
})

/** The one time, by its name, unless it is left out. */
const readFrom = <Name extends string>(given: { [N in Name]: string | null | undefined }): { [N in Name]?: Date | null } =>
  Object.fromEntries(
    Object.entries<string | null | undefined>(given).flatMap(([name, text]) =>
      text === undefined ? [] : [[name, text === null ? null : readTime(name, text)]]
    )
  ) as { [N in Name]?: Date | null }

/** Only what can be set up here may be asked for: else no user of the tenant could come in any more. */
export function refuseUnprovable (
  { phishingResistant }: Pick<PolicyFields, 'phishingResistant'>,
  { config, kinds }: Pick<Services, 'config' | 'kinds'>,
  tenant: string
): void {
  if (phishingResistant === 'off' || kinds.offered(config, tenant).some(({ acr }) => acr === 'phr')) return
  throw new Problem('not_offered', {
    errors: [{ field: 'phishingResistant', message: 'asks for passkeys, and this deployment has none for this tenant' }]
  })
}

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
