import { type Static, Type } from 'typebox'
import { Audience, tokenExample, tokenFields } from '../http/schema.ts'

export const TokenRequest = Type.Object({ audience: Audience }, { $id: 'TokenRequest', additionalProperties: false, examples: [{}, { audience: 'billing' }] })

export type TokenRequest = Static<typeof TokenRequest>

export const SessionToken = Type.Object({
  ...tokenFields,
  acr: Type.Enum(['mfa', 'mfa-recovery', 'none', 'idp-mfa'], { description: '`none` and `idp-mfa` are only in tokens for an application, for users who are allowed without a second factor here' })
}, { $id: 'SessionToken', examples: [tokenExample] })

export const SESSION_SCHEMAS = [TokenRequest, SessionToken]
