import { type Static, Type } from 'typebox'
import {
  Audience,
  Label,
  NullableTime,
  recoveryCodesExample,
  RecoveryCodes,
  Time,
  tokenExample,
  tokenFields,
  Uuid
} from '../../http/schema.ts'
import { SEPARATOR } from '../typed-code.ts'

/** Six digits of any script, however they are spaced. A decision reads them before it compares or counts anything. */
export const TotpCode = Type.String({
  pattern: `^${SEPARATOR}*(\\p{Nd}${SEPARATOR}*){6}$`,
  maxLength: 64,
  description: 'Six digits in a string, as the authenticator shows them. Spaces, dashes and other scripts\' digits are fine',
  'x-message': 'must be six digits, as a string',
  examples: ['492039', '492 039']
})

const EnrollRequest = Type.Object({ label: Type.Optional(Label) }, {
  $id: 'EnrollRequest', additionalProperties: false, examples: [{ label: 'My phone' }]
})

const EnrollAnswer = Type.Object({
  factorId: Uuid,
  secret: Type.String({ description: 'Base32 without padding, for typing. It is shown only now' }),
  otpauthUri: Type.String({ description: 'The key URI that authenticator apps read' }),
  qrCode: Type.String({ description: 'The same as a PNG image, in a `data:` URL' }),
  expiresAt: Time
}, {
  $id: 'EnrollAnswer',
  examples: [{
    factorId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11',
    secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
    otpauthUri:
      'otpauth://totp/Headless%20MFA:alice?issuer=Headless%20MFA&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&period=30',
    qrCode: 'data:image/png;base64,iVBORw0KGgo=',
    expiresAt: '2026-11-24T12:10:00.000Z'
  }]
})

export const ConfirmRequest = Type.Object({ factorId: Uuid, code: TotpCode, audience: Audience }, {
  $id: 'ConfirmRequest', additionalProperties: false, examples: [{ factorId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11', code: '492039' }]
})

export type ConfirmRequest = Static<typeof ConfirmRequest>

const ConfirmAnswer = Type.Object({
  factorId: Uuid,
  recoveryCodes: Type.Union([RecoveryCodes, Type.Null()], { description: 'Ten with the first authenticator. Null with a further one' }),
  ...tokenFields,
  nextCodeAt: NullableTime
}, {
  $id: 'ConfirmAnswer',
  examples: [{
    factorId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11',
    recoveryCodes: recoveryCodesExample,
    ...tokenExample,
    nextCodeAt: '2026-11-24T12:00:30.000Z'
  }]
})

export const VerifyRequest = Type.Object({
  code: TotpCode,
  factorId: Type.Optional(Uuid),
  audience: Audience
}, { $id: 'VerifyRequest', additionalProperties: false, examples: [{ code: '492039' }] })

export type VerifyRequest = Static<typeof VerifyRequest>

const VerifyAnswer = Type.Object({ ...tokenFields, factorId: Uuid, nextCodeAt: NullableTime }, {
  $id: 'VerifyAnswer',
  examples: [{ ...tokenExample, factorId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11', nextCodeAt: '2026-11-24T12:00:30.000Z' }]
})

export const TOTP_SCHEMAS = [EnrollRequest, EnrollAnswer, ConfirmRequest, ConfirmAnswer, VerifyRequest, VerifyAnswer]
