import { type Static, Type } from 'typebox'
import { MAX_LENGTH, Name, NullableGivenTime, NullableTime } from '../http/schema.ts'

const Enforcement = Type.Enum(['optional', 'report_only', 'required'], {
  description:
    '`required`: users that the policy covers must enroll. `report_only`: no one must, and each decision says what `required` would ' +
    'ask. `optional`: no one must'
})
const SsoRule = Type.Enum(['exempt_sso_only', 'exempt_sso_session', 'none'], {
  description:
    'Which users are left to the identity provider. `exempt_sso_only`: users who can only sign in by SSO. ' +
    '`exempt_sso_session`: every session that came in by SSO. `none`: no one'
})
const Group = Name(MAX_LENGTH.group, 'A group, as tokens name it')
const Groups = Type.Union([Type.Array(Group), Type.Null()], {
  description: 'Only users in one of these groups are covered. Null: everyone'
})
const GracePeriodDays = Type.Integer({
  minimum: 0,
  maximum: 365,
  description: 'Days to enroll, counted from the first time the policy applies to a user. Each user gets them once'
})
const PhishingResistant = Type.Enum(['off', 'administrators', 'required'], {
  description:
    'Who needs a passkey, or MFA of an identity provider whose issuer is configured to be phishing-resistant. `administrators`: ' +
    'everyone who ever had an `mfa:` role, whatever the other fields say. `required`: everyone who must have MFA by `enforcement` ' +
    '`required`, once their grace is over. `off`: no one'
})
const PHISHING_RESISTANT_FROM = 'No one needs a passkey before this time, which decisions have as their `deadline`'
const TrustedDeviceDays = Type.Integer({
  minimum: 0,
  maximum: 30,
  description: 'For how many days users may trust a device: it is not asked again. 0: not at all. It counts for devices that are there, too'
})
const MaxExemptionDays = Type.Integer({ description: 'How many days an exemption may last' })

const changes = {
  enforcement: Type.Optional(Enforcement),
  groups: Type.Optional(
    Type.Union([Type.Array(Group, { minItems: 1, maxItems: 500, uniqueItems: true }), Type.Null()], {
      description: 'Only users in one of these groups are covered. Null: everyone',
      'x-message': 'must be a list of 1 to 500 different groups, or null'
    })
  ),
  gracePeriodDays: Type.Optional(GracePeriodDays),
  enforceFrom: Type.Optional({ ...NullableGivenTime, description: 'No one must enroll before this time' }),
  ssoRule: Type.Optional(SsoRule),
  phishingResistant: Type.Optional(PhishingResistant),
  phishingResistantFrom: Type.Optional({ ...NullableGivenTime, description: PHISHING_RESISTANT_FROM }),
  trustedDeviceDays: Type.Optional(TrustedDeviceDays)
}

export const PolicyChange = Type.Object(changes, {
  $id: 'PolicyChange',
  additionalProperties: false,
  minProperties: 1,
  examples: [{ enforcement: 'report_only', gracePeriodDays: 14 }]
})
export type PolicyChange = Static<typeof PolicyChange>

export const PolicyDraft = Type.Object(changes, {
  $id: 'PolicyDraft',
  additionalProperties: false,
  examples: [{ enforcement: 'required', groups: ['staff'] }]
})

export const PolicyFloor = Type.Object({
  enforcement: Type.Optional(Enforcement),
  groups: Type.Optional(Groups),
  gracePeriodDays: Type.Optional(GracePeriodDays),
  enforceFrom: Type.Optional(NullableTime),
  ssoRule: Type.Optional(SsoRule),
  phishingResistant: Type.Optional(PhishingResistant),
  phishingResistantFrom: Type.Optional(NullableTime),
  trustedDeviceDays: Type.Optional(TrustedDeviceDays),
  maxExemptionDays: Type.Optional(MaxExemptionDays)
}, {
  $id: 'PolicyFloor',
  description: 'What the deployment requires at least. Only the fields it has are enforced. The stricter of the two decisions counts.',
  examples: [{ enforcement: 'required', groups: ['admins'], maxExemptionDays: 30 }]
})

export const Policy = Type.Object({
  enforcement: Enforcement,
  groups: Groups,
  gracePeriodDays: GracePeriodDays,
  enforceFrom: NullableTime,
  ssoRule: SsoRule,
  phishingResistant: PhishingResistant,
  phishingResistantFrom: NullableTime,
  trustedDeviceDays: TrustedDeviceDays,
  version: Type.Integer({ description: 'The `ETag`. 0 until the first change' }),
  updatedAt: NullableTime,
  updatedBy: Type.Union([Type.String(), Type.Null()], { description: 'The `userId` of an administrator, or `operator`' }),
  floor: Type.Union([Type.Ref('PolicyFloor'), Type.Null()])
}, {
  $id: 'Policy',
  examples: [{
    enforcement: 'required',
    groups: ['staff'],
    gracePeriodDays: 14,
    enforceFrom: null,
    ssoRule: 'exempt_sso_only',
    phishingResistant: 'administrators',
    phishingResistantFrom: '2026-12-24T12:00:00.000Z',
    trustedDeviceDays: 0,
    version: 1,
    updatedAt: '2026-11-24T12:00:00.000Z',
    updatedBy: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
    floor: null
  }]
})

export const POLICY_SCHEMAS = [PolicyFloor, Policy, PolicyChange, PolicyDraft]

export const IfMatch = Type.Object({
  'if-match': Type.Optional(Type.String({ maxLength: 64, description: 'The `ETag` that you read', examples: ['"1"'] }))
})
