import { type Static, Type } from 'typebox'
import type { FactorKinds } from '../../factors/registry.ts'
import { GivenTime, NullableTime, Reason, Time, Uuid } from '../../http/schema.ts'

export const UserParams = Type.Object({ userId: Uuid }, { additionalProperties: false })
export type UserParams = Static<typeof UserParams>

const Lock = Type.Object({
  failures: Type.Integer({ description: 'Wrong codes in a row' }),
  waitUntil: NullableTime,
  lockedAt: NullableTime
})

export const Exemption = Type.Union([
  Type.Object({
    since: Time,
    until: NullableTime,
    reason: Type.String(),
    by: Type.String({ description: 'The `userId` of an administrator' })
  }),
  Type.Null()
], {
  $id: 'Exemption',
  description: 'Null if there is none, or it is over',
  examples: [{
    since: '2026-11-24T12:00:00.000Z',
    until: '2026-11-30T12:00:00.000Z',
    reason: 'New phone on Monday',
    by: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3'
  }]
})

const User = ({ throttled: kinds }: FactorKinds) => Type.Object({
  userId: Uuid,
  subject: Type.String(),
  account: Type.String({ description: 'The name to show. Never an identity' }),
  namespace: Type.String(),
  tenant: Type.String(),
  groups: Type.Array(Type.String()),
  accounts: Type.Array(Type.Enum(['local', 'sso'])),
  enrolled: Type.Boolean(),
  factors: Type.Array(Type.Ref('Factor')),
  recoveryCodes: Type.Union([Type.Object({ total: Type.Integer(), remaining: Type.Integer(), acknowledgedAt: NullableTime }), Type.Null()]),
  devices: Type.Array(Type.Ref('Device'), { description: 'That the user trusts' }),
  locks: Type.Object(Object.fromEntries(kinds.map(kind => [kind, Lock])), { description: 'By the kinds of factor that wrong codes lock' }),
  exemption: Type.Ref('Exemption'),
  graceUntil: NullableTime,
  disabled: Type.Boolean(),
  createdAt: Time,
  decision: Type.Ref('Decision')
}, {
  $id: 'User',
  examples: [{
    userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
    subject: 'alice',
    account: 'alice@example.com',
    namespace: 'https://id.example.com',
    tenant: 'acme',
    groups: ['staff'],
    accounts: ['local'],
    enrolled: false,
    factors: [],
    recoveryCodes: null,
    devices: [],
    locks: Object.fromEntries(kinds.map(kind => [kind, { failures: 0, waitUntil: null, lockedAt: null }])),
    exemption: null,
    graceUntil: '2026-12-08T12:00:00.000Z',
    disabled: false,
    createdAt: '2026-11-24T12:00:00.000Z',
    decision: { action: 'allow', reason: 'grace', deadline: '2026-12-08T12:00:00.000Z' }
  }]
})

export const ExemptionChange = Type.Object({
  exempt: Type.Boolean(),
  reason: Reason,
  until: Type.Optional(GivenTime)
}, {
  $id: 'ExemptionChange',
  additionalProperties: false,
  examples: [{ exempt: true, reason: 'New phone on Monday', until: '2030-01-07T12:00:00Z' }]
})
export type ExemptionChange = Static<typeof ExemptionChange>

export const GraceChange = Type.Object({ until: GivenTime, reason: Reason }, {
  $id: 'GraceChange', additionalProperties: false, examples: [{ until: '2030-01-07T12:00:00Z', reason: 'On parental leave' }]
})
export type GraceChange = Static<typeof GraceChange>

export const usersSchemas = (kinds: FactorKinds) => [Exemption, User(kinds), ExemptionChange, GraceChange]
