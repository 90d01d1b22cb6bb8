import { type Static, Type } from 'typebox'

export const AuthorizeQuery = Type.Object({
  acr: Type.Optional(
    Type.Enum(['mfa', 'phr'], {
      description:
        "`mfa`: only a factor of the user's own counts, whatever the policy says: not a recovery code, not the identity provider's " +
        'MFA. `phr`: only a passkey',
      examples: ['mfa']
    })
  ),
  maxAge: Type.Optional(
    Type.String({
      pattern: '^[0-9]{1,7}$',
      description: 'How many seconds ago the second factor may have been. This also asks users who could pass without one',
      'x-message': 'must be a number of seconds',
      examples: ['900']
    })
  )
}, { additionalProperties: false })

export type AuthorizeQuery = Static<typeof AuthorizeQuery>
