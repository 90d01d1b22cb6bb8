import { Type } from 'typebox'
import { NullableTime } from '../../mfa/schema.ts'

const Enforcement = Type.Enum(['optional', 'required'], { description: '`required`: whoever is covered and has no factor must enroll' })
const SsoRule = Type.Enum(['exempt_sso_only'], { description: 'Whoever has an SSO account and no local one is left to the identity provider' })

export const PolicyChange = Type.Object({ enforcement: Type.Optional(Enforcement), ssoRule: Type.Optional(SsoRule) }, {
  $id: 'PolicyChange', additionalProperties: false, minProperties: 1, examples: [{ enforcement: 'required' }]
})

export const Policy = Type.Object({
  enforcement: Enforcement,
  groups: Type.Null({ description: 'All users' }),
  gracePeriodDays: Type.Literal(0),
  enforceFrom: Type.Null(),
  ssoRule: SsoRule,
  version: Type.Integer({ description: 'Its `ETag`; 0 until somebody changes it' }),
  updatedAt: NullableTime,
  updatedBy: Type.Union([Type.String(), Type.Null()], { description: 'The `userId` of an administrator' }),
  floor: Type.Null({ description: 'What the deployment asks at least' })
}, {
  $id: 'Policy',
  examples: [{ enforcement: 'required', groups: null, gracePeriodDays: 0, enforceFrom: null, ssoRule: 'exempt_sso_only', version: 1, updatedAt: '2026-11-24T12:00:00.000Z', updatedBy: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3', floor: null }]
})

export const IfMatch = Type.Object({ 'if-match': Type.Optional(Type.String({ maxLength: 64, description: 'The `ETag` that was read', examples: ['"1"'] })) })
