import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Issuer } from '../http/auth/issuer.ts'
import { MAX_LENGTH, NAME } from '../platform/text.ts'
import { parseRfc3339 } from '../platform/time.ts'
import type { Floor } from '../policy/floor.ts'
import type { RelyingParty } from './passkeys.ts'
import { ConfigError, type Reader } from './readers.ts'

const Group = Type.String({ minLength: 1, maxLength: MAX_LENGTH.group, pattern: NAME })
const Time = Type.Refine(Type.String(), text => parseRfc3339(text) !== undefined)

const FIELDS = {
  enforcement: Type.Enum(['optional', 'report_only', 'required']),
  groups: Type.Union([Type.Array(Group, { minItems: 1 }), Type.Null()]),
  gracePeriodDays: Type.Integer({ minimum: 0, maximum: 365 }),
  enforceFrom: Type.Union([Time, Type.Null()]),
  ssoRule: Type.Enum(['exempt_sso_only', 'exempt_sso_session', 'none']),
  phishingResistant: Type.Enum(['off', 'administrators', 'required']),
  phishingResistantFrom: Type.Union([Time, Type.Null()]),
  trustedDeviceDays: Type.Integer({ minimum: 0, maximum: 30 }),
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
  return Object.fromEntries(
    Object.entries(value).map(([field, given]) => [field, isTime(field, given) ? parseRfc3339(given) : given])
  )
}

const TIMES = ['enforceFrom', 'phishingResistantFrom']
const isTime = (field: string, given: unknown): given is string => TIMES.includes(field) && given !== null

/** What a floor asks for, the users of every tenant that the issuers speak for must be able to set up. */
export function checkProvable (
  { phishingResistant = 'off' }: Floor,
  parties: readonly Pick<RelyingParty, 'tenants'>[],
  issuers: readonly Pick<Issuer, 'tenants'>[]
): void {
  if (phishingResistant === 'off') return
  const fail = (why: string): never => { throw new ConfigError('POLICY_FLOOR', `asks for passkeys, and ${why}`) }
  if (parties.length === 0) fail('PASSKEY_RP_ID is not set: name the domain that they are bound to, or leave phishingResistant out')
  const named = parties.flatMap(({ tenants }) => tenants)
  const isOffered = (tenant: string): boolean => named.includes('*') || named.includes(tenant)
  if (!issuers.flatMap(({ tenants }) => tenants).every(isOffered)) {
    fail('PASSKEYS_FILE has none for some of the tenants: end it with an entry for the tenants "*", or leave phishingResistant out')
  }
}

/** What closes the fields by which a tenant could take all out of a floor that requires MFA. */
const CLOSED = { groups: null, gracePeriodDays: 0, enforceFrom: null, ssoRule: 'exempt_sso_only', maxExemptionDays: 30 }

/** What an operator should know of a floor that requires MFA or a passkey, and leaves a field to the tenants. */
export function looseEnds (floor: Floor): string[] {
  const { enforcement, phishingResistant = 'off' } = floor
  const closed = {
    ...(phishingResistant === 'required' && { enforcement: 'required' }),
    ...((enforcement === 'required' || phishingResistant === 'required') && CLOSED),
    ...(phishingResistant !== 'off' && { phishingResistantFrom: null })
  }
  const isClosed = (field: string): boolean => field === 'enforcement' ? enforcement === 'required' : Object.hasOwn(floor, field)
  const open = Object.entries(closed).filter(([field]) => !isClosed(field))
  if (open.length === 0) return []
  return [
    `requires ${phishingResistant === 'off' ? 'MFA' : 'passkeys'}, but leaves ${open.map(([field]) => field).join(', ')} to each tenant, ` +
    `whose administrators could exempt everyone with them. To close them add ${JSON.stringify(Object.fromEntries(open)).slice(1, -1)}`
  ]
}
