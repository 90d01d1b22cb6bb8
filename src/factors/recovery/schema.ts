import { type Static, Type } from 'typebox'
import { Audience, recoveryCodesExample, RecoveryCodes, STORABLE, Time, tokenExample, tokenFields } from '../../http/schema.ts'

/** The answer to a code that can't be one, before it is looked up. */
export const NOT_A_CODE = 'must be the 16 characters of a recovery code, as a string'

export const RecoverRequest = Type.Object({
  code: Type.String({
    minLength: 16,
    maxLength: 64,
    pattern: STORABLE,
    description:
      "Upper or lower case. Dashes, spaces, full-width characters and other scripts' digits are fine. `O` is read as `0`, `I` and `L` " +
      'as `1`',
    'x-message': NOT_A_CODE,
    examples: ['0K7M-2Q9R-WX4T-BN3C', '0k7m 2q9r wx4t bn3c']
  }),
  audience: Audience
}, { $id: 'RecoverRequest', additionalProperties: false, examples: [{ code: '0K7M-2Q9R-WX4T-BN3C' }] })

export type RecoverRequest = Static<typeof RecoverRequest>

export const RecoverAnswer = Type.Object({
  ...tokenFields,
  remaining: Type.Integer({ description: 'How many recovery codes are left. Offer new ones at 3 or fewer' })
}, {
  $id: 'RecoverAnswer', examples: [{ ...tokenExample, acr: 'mfa-recovery', amr: ['pwd', 'recovery', 'mfa'], remaining: 9 }]
})

export const RecoveryStatus = Type.Object({
  total: Type.Integer(),
  remaining: Type.Integer(),
  generatedAt: Time,
  acknowledgedAt: Type.Union([Time, Type.Null()], { description: 'When the user said that they saved them' })
}, { $id: 'RecoveryStatus', examples: [{ total: 10, remaining: 9, generatedAt: '2026-11-24T12:00:31.000Z', acknowledgedAt: null }] })

export const NewRecoveryCodes = Type.Object({ recoveryCodes: RecoveryCodes }, {
  $id: 'NewRecoveryCodes',
  examples: [{ recoveryCodes: recoveryCodesExample }]
})

export const RECOVERY_SCHEMAS = [RecoverRequest, RecoverAnswer, RecoveryStatus, NewRecoveryCodes]
