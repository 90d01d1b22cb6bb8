import { isName, MAX_LENGTH } from '../core/text.ts'
import { parseRfc3339 } from '../core/time.ts'
import { ConfigError, type Reader } from './readers.ts'

/** As core/floor.ts has it; what is left out binds nothing. */
interface PolicyFloor {
  enforcement?: 'optional' | 'report_only' | 'required'
  groups?: string[] | null
  gracePeriodDays?: number
  enforceFrom?: Date | null
  ssoRule?: 'exempt_sso_only' | 'exempt_sso_session' | 'none'
  maxExemptionDays?: number
}

type Check = (value: unknown) => boolean

const oneOf = (...values: string[]): Check => value => values.includes(value as string)
const days = (max: number): Check => value => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max
const isTime: Check = value => typeof value === 'string' && parseRfc3339(value) !== undefined
const isGroup: Check = value => typeof value === 'string' && isName(value, MAX_LENGTH.group)

const FIELDS: Record<keyof PolicyFloor, Check> = {
  enforcement: oneOf('optional', 'report_only', 'required'),
  groups: value => value === null || (Array.isArray(value) && value.length > 0 && value.every(isGroup)),
  gracePeriodDays: days(365),
  enforceFrom: value => value === null || isTime(value),
  ssoRule: oneOf('exempt_sso_only', 'exempt_sso_session', 'none'),
  maxExemptionDays: days(3650)
}

/** A JSON object of a policy's fields. Anything else in it stops the start: a floor that does not bind is worse than none. */
export const parsePolicyFloor: Reader<PolicyFloor> = (name, raw) => {
  let value: unknown
  try { value = JSON.parse(raw) } catch { throw new ConfigError(name, 'is not JSON') }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ConfigError(name, 'is not a JSON object')
  for (const [field, given] of Object.entries(value)) {
    if (!Object.hasOwn(FIELDS, field)) throw new ConfigError(name, 'has a member that no policy has')
    if (!FIELDS[field as keyof PolicyFloor](given)) throw new ConfigError(name, `has a ${field} that no policy may have`)
  }
  const floor = value as PolicyFloor
  return { ...floor, ...(typeof floor.enforceFrom === 'string' && { enforceFrom: parseRfc3339(floor.enforceFrom) as Date }) }
}

/** What closes the fields by which a tenant could take all out of a floor that requires MFA. */
const CLOSED = { groups: null, gracePeriodDays: 0, enforceFrom: null, ssoRule: 'exempt_sso_only', maxExemptionDays: 30 }

/** What an operator should know of a floor that requires MFA, and leaves a field to the tenants. */
export function looseEnds (floor: PolicyFloor): string[] {
  const open = Object.entries(CLOSED).filter(([field]) => !Object.hasOwn(floor, field))
  if (floor.enforcement !== 'required' || open.length === 0) return []
  return [`requires MFA, but leaves ${open.map(([field]) => field).join(', ')} to each tenant, whose administrators could exempt everyone with them. To close them add ${JSON.stringify(Object.fromEntries(open)).slice(1, -1)}`]
}
