import { type Static, Type } from 'typebox'
import { Reason, Time, Uuid } from '../../../http/schema.ts'

const example = { reason: 'Lost their phone, ticket 4711' }

export const UserAction = Type.Object({ reason: Reason }, { $id: 'UserAction', additionalProperties: false, examples: [example] })
export type UserAction = Static<typeof UserAction>

export const ResetRequest = Type.Object({
  reason: Reason,
  requireCode: Type.Optional(
    Type.Boolean({ description: 'The user can only set up a new factor with the code in the answer, or with a later bypass code' })
  )
}, { $id: 'ResetRequest', additionalProperties: false, examples: [example, { ...example, requireCode: true }] })
export type ResetRequest = Static<typeof ResetRequest>

export const BypassRequest = Type.Object({
  reason: Reason,
  expiresInSeconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 900, description: 'How long the code works. 900 by default' }))
}, { $id: 'BypassRequest', additionalProperties: false, examples: [{ ...example, expiresInSeconds: 600 }] })
export type BypassRequest = Static<typeof BypassRequest>

export const BypassAnswer = Type.Object({
  code: Type.String({
    pattern: '^B[0-9A-HJKMNP-TV-Z]{3}(-[0-9A-HJKMNP-TV-Z]{4}){3}$',
    description: 'For `POST /mfa/recovery`, once. It is shown only now'
  }),
  expiresAt: Time
}, { $id: 'BypassAnswer', examples: [{ code: 'B7KM-2Q9R-WX4T-BN3C', expiresAt: '2026-11-24T12:15:00.000Z' }] })

export const DeviceParams = Type.Object({ userId: Uuid, deviceId: Uuid }, { additionalProperties: false })
export type DeviceParams = Static<typeof DeviceParams>

export const ACTION_SCHEMAS = [UserAction, ResetRequest, BypassRequest, BypassAnswer]
