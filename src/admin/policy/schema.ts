import { type Static, Type } from 'typebox'
import { MAX_LENGTH, Name, NullableGivenTime, NullableTime } from '../../mfa/schema.ts'

const Enforcement = Type.Enum(['optional', 'report_only', 'required'], { description: '`required`: whoever is covered and has no factor must enroll; `report_only`: nobody must, and each decision says what `required` would ask' })
const SsoRule = Type.Enum(['exempt_sso_only', 'exempt_sso_session', 'none'], { description: '`exempt_sso_only`: whoever has an SSO account and no local one is left to the identity provider; `exempt_sso_session`: whichever session came in by SSO is; `none`: nobody is' })
const Group = Name(MAX_LENGTH.group, 'As tokens name it')
const Groups = Type.Union([Type.Array(Group), Type.Null()], { description: 'Whom it covers: who is in one of them; null: all users' })
const GracePeriodDays = Type.Integer({ minimum: 0, maximum: 365, description: 'From when the policy first meets a user; each has it once' })
const MaxExemptionDays = Type.Integer({ description: 'How long an exemption may be' })

const changes = {
  enforcement: Type.Optional(Enforcement),
  groups: Type.Optional(Type.Union([Type.Array(Group, { minItems: 1, maxItems: 500, uniqueItems: true }), Type.Null()], { description: 'Null: all users', 'x-message': 'must be a list of 1 to 500 different groups, or null' })),
  gracePeriodDays: Type.Optional(GracePeriodDays),
  enforceFrom: Type.Optional({ ...NullableGivenTime, description: 'Nobody must enroll before' }),
  ssoRule: Type.Optional(SsoRule)
}

export const PolicyChange = Type.Object(changes, { $id: 'PolicyChange', additionalProperties: false, minProperties: 1, examples: [{ enforcement: 'report_only', gracePeriodDays: 14 }] })
export type PolicyChange = Static<typeof PolicyChange>

export const PolicyDraft = Type.Object(changes, { $id: 'PolicyDraft', additionalProperties: false, examples: [{ enforcement: 'required', groups: ['staff'] }] })

export const PolicyFloor = Type.Object({
  enforcement: Type.Optional(Enforcement),
  groups: Type.Optional(Groups),
  gracePeriodDays: Type.Optional(GracePeriodDays),
  enforceFrom: Type.Optional(NullableTime),
  ssoRule: Type.Optional(SsoRule),
  maxExemptionDays: Type.Optional(MaxExemptionDays)
}, { $id: 'PolicyFloor', description: 'What the deployment asks at least; a field that is left out binds nothing. The stricter of the two decisions counts.', examples: [{ enforcement: 'required', groups: ['admins'], maxExemptionDays: 30 }] })

export const Policy = Type.Object({
  enforcement: Enforcement,
  groups: Groups,
  gracePeriodDays: GracePeriodDays,
  enforceFrom: NullableTime,
  ssoRule: SsoRule,
  version: Type.Integer({ description: 'Its `ETag`; 0 until somebody changes it' }),
  updatedAt: NullableTime,
  updatedBy: Type.Union([Type.String(), Type.Null()], { description: 'The `userId` of an administrator, or `operator`' }),
  floor: Type.Union([Type.Ref('PolicyFloor'), Type.Null()])
}, {
  $id: 'Policy',
  examples: [{ enforcement: 'required', groups: ['staff'], gracePeriodDays: 14, enforceFrom: null, ssoRule: 'exempt_sso_only', version: 1, updatedAt: '2026-11-24T12:00:00.000Z', updatedBy: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3', floor: null }]
})

export const POLICY_SCHEMAS = [PolicyFloor, Policy, PolicyChange, PolicyDraft]

export const IfMatch = Type.Object({ 'if-match': Type.Optional(Type.String({ maxLength: 64, description: 'The `ETag` that was read', examples: ['"1"'] })) })
