import { type Static, Type } from 'typebox'
import { Audience, NullableTime, tokenExample, tokenFields, TotpCode, Uuid } from '../schema.ts'

export const VerifyRequest = Type.Object({
  code: TotpCode,
  factorId: Type.Optional(Uuid),
  audience: Audience
}, { $id: 'VerifyRequest', additionalProperties: false, examples: [{ code: '492039' }] })

export type VerifyRequest = Static<typeof VerifyRequest>

export const VerifyAnswer = Type.Object({ ...tokenFields, factorId: Uuid, nextCodeAt: NullableTime }, {
  $id: 'VerifyAnswer',
  examples: [{ ...tokenExample, factorId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11', nextCodeAt: '2026-11-24T12:00:30.000Z' }]
})
