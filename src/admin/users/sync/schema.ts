import { type Static, Type } from 'typebox'

/** A name as a token's claim would have it. */
const Name = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000-\\u001f\\u007f\\u2028\\u2029\\p{Cs}]+$', description })

const SyncedUser = Type.Object({
  subject: Name(255, 'As the issuer names him in its tokens'),
  namespace: Type.Optional(Name(512, 'Whose subject it is; may be left out where there is but one')),
  account: Type.Optional(Name(255, 'Shown to people, never an identity')),
  accounts: Type.Optional(Type.Array(Name(64, '`local` or `sso`; others are ignored'), { maxItems: 10, description: 'In place of all that was said before' })),
  groups: Type.Optional(Type.Array(Name(128, 'A group'), { maxItems: 500, description: 'In place of all that was said before' })),
  disabled: Type.Optional(Type.Boolean({ description: 'Denied within a second, everywhere; or let in again' }))
}, { additionalProperties: false })

export const UserSync = Type.Object({
  users: Type.Array(SyncedUser, { minItems: 1, maxItems: 1000, description: 'Each once' })
}, {
  $id: 'UserSync',
  additionalProperties: false,
  examples: [{ users: [{ subject: 'alice', account: 'alice@example.com', accounts: ['local', 'sso'], groups: ['staff'] }, { subject: 'bob', disabled: true }] }]
})
export type UserSync = Static<typeof UserSync>

export const UserSyncResult = Type.Object({
  created: Type.Integer(),
  updated: Type.Integer(),
  unchanged: Type.Integer({ description: 'All was known already' })
}, { $id: 'UserSyncResult', examples: [{ created: 1, updated: 1, unchanged: 0 }] })

export const SYNC_SCHEMAS = [UserSync, UserSyncResult]
