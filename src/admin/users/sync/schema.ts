import { type Static, Type } from 'typebox'
import { MAX_GROUPS, MAX_LENGTH, Name } from '../../../mfa/schema.ts'

const SyncedUser = Type.Object({
  subject: Name(MAX_LENGTH.subject, 'As the issuer names him in its tokens'),
  namespace: Type.Optional(Name(MAX_LENGTH.namespace, 'Whose subject it is; may be left out where there is but one')),
  account: Type.Optional(Name(MAX_LENGTH.account, 'Shown to users, never an identity')),
  accounts: Type.Optional(Type.Array(Type.Enum(['local', 'sso']), { maxItems: 10, description: 'In place of all that was said before' })),
  groups: Type.Optional(Type.Array(Name(MAX_LENGTH.group, 'A group'), { maxItems: MAX_GROUPS, description: 'In place of all that was said before' })),
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
