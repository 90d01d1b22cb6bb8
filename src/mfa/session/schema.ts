import { type Static, Type } from 'typebox'
import { Audience, tokenExample, tokenFields } from '../schema.ts'

export const TokenRequest = Type.Object({ audience: Audience }, { $id: 'TokenRequest', additionalProperties: false, examples: [{}, { audience: 'billing' }] })

export type TokenRequest = Static<typeof TokenRequest>

export const SessionToken = Type.Object({
  ...tokenFields,
  acr: Type.Enum(['mfa', 'mfa-recovery', 'none', 'idp-mfa'], { description: '`none` and `idp-mfa`: for an application, of somebody who is allowed without our second factor' })
}, { $id: 'SessionToken', examples: [tokenExample] })

export const SESSION_SCHEMAS = [TokenRequest, SessionToken]
