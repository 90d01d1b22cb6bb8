import { type Static, Type } from 'typebox'
import { Audience, Phr, tokenExample, tokenFields } from '../http/schema.ts'

export const TokenRequest = Type.Object({ audience: Audience, acr: Phr }, {
  $id: 'TokenRequest',
  additionalProperties: false,
  examples: [{}, { audience: 'billing' }]
})

export type TokenRequest = Static<typeof TokenRequest>

export const SessionToken = Type.Object({
  ...tokenFields,
  acr: Type.Enum(['mfa', 'mfa-recovery', 'mfa-device', 'phr', 'none', 'idp-mfa'], {
    description:
      '`phr`: a passkey; for an application only if you asked for it. `mfa-device`: a trusted device. `none` and `idp-mfa` are only in ' +
      'tokens for an application, for users who are allowed without a second factor here'
  })
}, { $id: 'SessionToken', examples: [tokenExample] })

export const SESSION_SCHEMAS = [TokenRequest, SessionToken]
