// Any users under any policy, for properties that hold of all of them; written by SQL and then counted.
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import type { DecisionSettings } from '../../src/policy/decide.ts'
import type { Floor } from '../../src/policy/floor.ts'
import type { SourceClaims } from '../../src/users/user.ts'
import type { Policy } from '../../src/policy/policy.ts'
import type { Database } from '../../src/platform/db/client.ts'
import { recount } from './service.ts'

export interface Drawn {
  sources: Record<string, SourceClaims>
  isDisabled: boolean
  isEnrolled: boolean
  isLocked: boolean
  isAdministrator: boolean
  /** The relying parties of their passkeys, besides what makes them enrolled. */
  passkeys: string[]
  met: { at: number, until: number } | null
  exempt: { since: number, until: number | null } | null
}

// Days from now, never close to it: the two are asked at different moments.
export const day = fc.constantFrom(-40, -9, -2, 2, 5, 40)
const source = fc.record({ local: fc.boolean(), sso: fc.boolean(), groups: fc.subarray(['x', 'y', 'z']), groupsUnknown: fc.boolean() }, {
  requiredKeys: []
})
export const oneIn = (count: number): fc.Arbitrary<boolean> => fc.integer({ min: 0, max: count - 1 }).map(number => number === 0)

/** Of whose passkeys some can be used. */
export const RP_ID = 'example.com'
export const canProve: DecisionSettings['canProve'] = (_acr, { factors }) => factors.some(({ credential }) => credential?.rpId === RP_ID)

/** With a factor of any kind. */
export const hasFactor = ({ isEnrolled, passkeys }: Drawn): boolean => isEnrolled || passkeys.length > 0

export const anyUser: fc.Arbitrary<Drawn> = fc.record({
  sources: fc.dictionary(fc.constantFrom('a', 'b', 'gone', ''), source, { maxKeys: 3 }) as fc.Arbitrary<Record<string, SourceClaims>>,
  isDisabled: oneIn(10),
  isEnrolled: oneIn(4),
  isLocked: oneIn(4),
  isAdministrator: oneIn(4),
  passkeys: fc.constantFrom([], [], [], [RP_ID], [RP_ID], ['old.example'], ['old.example', RP_ID]),
  met: fc.option(fc.record({ at: fc.constantFrom(-30, -9, -2), until: day })),
  exempt: fc.option(fc.record({ since: fc.constantFrom(-60, -10, -1), until: fc.option(day) }))
})

/** The sources that count of those that are drawn. */
export const SOURCES = ['', 'a', 'b']

const enforcement = fc.constantFrom('optional', 'report_only', 'required', 'required', 'required') as fc.Arbitrary<Policy['enforcement']>
const ssoRule = fc.constantFrom('exempt_sso_only', 'exempt_sso_session', 'none') as fc.Arbitrary<Policy['ssoRule']>
const groups = fc.option(fc.subarray(['x', 'y', 'z', 'w'], { minLength: 1 }))
const gracePeriodDays = fc.constantFrom(0, 7, 30)
const enforceFrom = fc.option(day.map(days => new Date(Date.now() + days * 86_400_000)))
const phishingResistant = fc.constantFrom('off', 'administrators', 'required', 'required') as fc.Arbitrary<Policy['phishingResistant']>
const fields = { enforcement, ssoRule, groups, gracePeriodDays, enforceFrom, phishingResistant, phishingResistantFrom: enforceFrom }
export const policies = fc.record(fields)
export const floors: fc.Arbitrary<Floor | null> = fc.option(
  fc.record({ ...fields, maxExemptionDays: fc.constantFrom(0, 5, 30) }, { requiredKeys: [] })
)

export async function settle<T extends Drawn> (db: Database, tenant: string, users: T[]): Promise<Array<T & { id: string }>> {
  const rows = users.map((user, index) => ({ ...user, id: randomUUID(), index }))
  await db
    .rows`INSERT INTO users (tenant, id, namespace, subject, account, sources, disabled_at, policy_met_at, grace_until, exempt_since,
      exempt_until, exempt_reason, exempt_by, administrator_at)
    SELECT ${tenant}, (p->>'id')::uuid, 'n', p->>'index', 'a', p->'sources', CASE WHEN (p->>'isDisabled')::boolean THEN now() END,
      now() + (p->'met'->>'at')::int * interval '24 hours', now() + (p->'met'->>'until')::int * interval '24 hours',
      now() + (p->'exempt'->>'since')::int * interval '24 hours', now() + (p->'exempt'->>'until')::int * interval '24 hours',
      CASE WHEN p->'exempt'->>'since' IS NOT NULL THEN 'r' END, CASE WHEN p->'exempt'->>'since' IS NOT NULL THEN 'b' END,
      CASE WHEN (p->>'isAdministrator')::boolean THEN now() END
    FROM jsonb_array_elements(${JSON.stringify(rows)}::jsonb) AS p`
  await db
    .rows`INSERT INTO factors (tenant, id, user_id, kind, label, sealed, key_id, algorithm, digits, period, counter, created_at,
      confirmed_at)
    SELECT ${tenant}, gen_random_uuid(), (p->>'id')::uuid, 'totp', l, '\\x00', 'k', 'SHA1', 6, 30, 1, now(), now()
    FROM jsonb_array_elements(${JSON.stringify(rows)}::jsonb) AS p, unnest(ARRAY['one', 'two']) AS l WHERE (p->>'isEnrolled')::boolean`
  await db
    .rows`INSERT INTO factors (tenant, id, user_id, kind, label, sealed, key_id, counter, created_at, confirmed_at, credential_id, rp_id,
      backup_eligible, aaguid, transports)
    SELECT ${tenant}, gen_random_uuid(), (p->>'id')::uuid, 'passkey', r, '\\x00', 'k', 1, now(), now(), decode(md5(p->>'id' || r), 'hex'), r,
      false, gen_random_uuid(), '{}'
    FROM jsonb_array_elements(${JSON.stringify(rows)}::jsonb) AS p, jsonb_array_elements_text(p->'passkeys') AS r`
  await db.rows`INSERT INTO throttles (tenant, user_id, kind, locked_at)
    SELECT ${tenant}, (p->>'id')::uuid, 'totp', now() FROM jsonb_array_elements(${
    JSON.stringify(rows)
  }::jsonb) AS p WHERE (p->>'isLocked')::boolean`
  await recount(db, tenant)
  return rows
}
