import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { MAX_LENGTH, NAME } from '../platform/text.ts'
import { parseRfc3339 } from '../platform/time.ts'
import type { Floor } from '../policy/floor.ts'
import { ConfigError, type Reader } from './readers.ts'

const Group = Type.String({ minLength: 1, maxLength: MAX_LENGTH.group, pattern: NAME })
const Time = Type.Refine(Type.String(), text => parseRfc3339(text) !== undefined)

const FIELDS = {
  enforcement: Type.Enum(['optional', 'report_only', 'required']),
  groups: Type.Union([Type.Array(Group, { minItems: 1 }), Type.Null()]),
  gracePeriodDays: Type.Integer({ minimum: 0, maximum: 365 }),
  enforceFrom: Type.Union([Time, Type.Null()]),
  ssoRule: Type.Enum(['exempt_sso_only', 'exempt_sso_session', 'none']),
  maxExemptionDays: Type.Integer({ minimum: 0, maximum: 3650 })
} satisfies Record<keyof Floor, unknown>

/** A JSON object of a policy's fields. Anything else in it stops the start: a floor that does not bind is worse than none. */
export const parsePolicyFloor: Reader<Floor> = (name, raw) => {
  let value: unknown
  try { value = JSON.parse(raw) } catch { throw new ConfigError(name, 'is not JSON') }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ConfigError(name, 'is not a JSON object')
  for (const [field, given] of Object.entries(value)) {
    if (!Object.hasOwn(FIELDS, field)) throw new ConfigError(name, 'has a member that no policy has')
    if (!Value.Check(FIELDS[field as keyof Floor], given)) throw new ConfigError(name, `has a ${field} that no policy may have`)
  }
  const floor = value as Omit<Floor, 'enforceFrom'> & { enforceFrom?: string | null }
  const { enforceFrom, ...others } = floor
  if (enforceFrom === undefined) return others
  return { ...others, enforceFrom: enforceFrom === null ? null : parseRfc3339(enforceFrom) as Date }
}

/** What closes the fields by which a tenant could take all out of a floor that requires MFA. */
const CLOSED = { groups: null, gracePeriodDays: 0, enforceFrom: null, ssoRule: 'exempt_sso_only', maxExemptionDays: 30 }

/** What an operator should know of a floor that requires MFA, and leaves a field to the tenants. */
export function looseEnds (floor: Floor): string[] {
  const open = Object.entries(CLOSED).filter(([field]) => !Object.hasOwn(floor, field))
  if (floor.enforcement !== 'required' || open.length === 0) return []
  return [
    `requires MFA, but leaves ${open.map(([field]) => field).join(', ')} to each tenant, whose administrators could exempt everyone ` +
    `with them. To close them add ${JSON.stringify(Object.fromEntries(open)).slice(1, -1)}`
  ]
}
