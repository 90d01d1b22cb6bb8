import { Type } from 'typebox'
import { NullableTime, Uuid } from '../../http/schema.ts'

const decision = {
  action: Type.Enum(['allow', 'verify', 'enroll', 'deny']),
  reason: Type.Enum([
    'mfa_verified',
    'idp_mfa',
    'trusted_device',
    'not_required',
    'exempt_sso',
    'exempt_user',
    'grace',
    'report_only',
    'factor_enrolled',
    'required_by_policy',
    'phishing_resistant_required',
    'user_disabled'
  ]),
  acr: Type.Optional(Type.Literal('phr', { description: 'With `verify`: only a passkey counts. Do not ask for a code' })),
  deadline: Type.Optional(
    Type.String({
      format: 'date-time',
      description:
        'Until when it is so. With `grace`, the user must set up a factor by then. With any other reason, only a passkey counts from ' +
        'then on'
    })
  ),
  loginFirst: Type.Optional(Type.Literal(true, { description: 'With `enroll`: the login is too old. Sign the user in again first' })),
  loginTimeUnknown: Type.Optional(
    Type.Literal(true, {
      description:
        "With `enroll`: the token does not say when the login was, so the user can't enroll, and a new login would not help. Say so " +
        'and stop: the operator must change the issuer'
    })
  )
}

export const Decision = Type.Object({
  ...decision,
  wouldBe: Type.Optional(Type.Object(decision, {
    description: 'Where a policy only reports: what would be decided if it were `required`'
  }))
}, { $id: 'Decision', description: 'What must happen next', examples: [{ action: 'verify', reason: 'factor_enrolled' }] })

export const Status = (kinds: readonly string[]) => Type.Object({
  userId: Uuid,
  subject: Type.String(),
  account: Type.String({ description: 'The name to show. Never an identity' }),
  tenant: Type.String(),
  namespace: Type.String(),
  enrolled: Type.Boolean({ description: 'Whether there is an active authenticator' }),
  factors: Type.Array(Type.Ref('Factor')),
  offers: Type.Array(Type.Enum([...kinds]), { description: 'What can be set up here' }),
  recoveryCodes: Type.Union([
    Type.Object({ total: Type.Integer(), remaining: Type.Integer(), acknowledgedAt: NullableTime }),
    Type.Null()
  ]),
  trustedDeviceDays: Type.Integer({
    description: 'For how many days the user may trust a device (`POST /mfa/devices`). 0: do not offer it'
  }),
  decision: Type.Ref('Decision')
}, {
  $id: 'Status',
  examples: [{
    userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
    subject: 'alice',
    account: 'alice@example.com',
    tenant: 'acme',
    namespace: 'https://id.example.com',
    enrolled: false,
    factors: [],
    offers: [...kinds],
    recoveryCodes: null,
    trustedDeviceDays: 0,
    decision: { action: 'enroll', reason: 'required_by_policy' }
  }]
})
