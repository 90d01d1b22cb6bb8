import { type Static, Type } from 'typebox'

export const AuthorizeQuery = Type.Object({
  acr: Type.Optional(Type.Literal('mfa', { description: 'Only our own second factor counts, whatever the policy: not a recovery code, not the identity provider\'s', examples: ['mfa'] })),
  maxAge: Type.Optional(Type.String({ pattern: '^[0-9]{1,7}$', description: 'Seconds that may have passed since the second factor; it binds also who would pass without one', 'x-message': 'must be a number of seconds', examples: ['900'] }))
}, { additionalProperties: false })

export type AuthorizeQuery = Static<typeof AuthorizeQuery>
