import { type Static, Type } from 'typebox'
import { MAX_GROUPS, MAX_LENGTH, Name } from '../../../http/schema.ts'

const SyncedUser = Type.Object({
  subject: Name(MAX_LENGTH.subject, 'The user\'s `sub`'),
  namespace: Type.Optional(Name(MAX_LENGTH.namespace, 'The issuer that the `sub` belongs to. Leave it out if there is only one')),
  account: Type.Optional(Name(MAX_LENGTH.account, 'The name to show. Never an identity')),
  accounts: Type.Optional(Type.Array(Type.Enum(['local', 'sso']), { maxItems: 10, description: 'Replaces all that was known before' })),
  groups: Type.Optional(
    Type.Array(Name(MAX_LENGTH.group, 'A group'), { maxItems: MAX_GROUPS, description: 'Replaces all that was known before' })
  ),
  disabled: Type.Optional(
    Type.Boolean({ description: 'True: the user is denied within a second, everywhere. False: they are let in again' })
  )
}, { additionalProperties: false })

export const UserSync = Type.Object({
  users: Type.Array(SyncedUser, { minItems: 1, maxItems: 1000, description: 'Each user once' })
}, {
  $id: 'UserSync',
  additionalProperties: false,
  examples: [{
    users: [{ subject: 'alice', account: 'alice@example.com', accounts: ['local', 'sso'], groups: ['staff'] }, {
      subject: 'bob',
      disabled: true
    }]
  }]
})
export type UserSync = Static<typeof UserSync>

export const UserSyncResult = Type.Object({
  created: Type.Integer(),
  updated: Type.Integer(),
  unchanged: Type.Integer({ description: 'Everything was known already' })
}, { $id: 'UserSyncResult', examples: [{ created: 1, updated: 1, unchanged: 0 }] })

export const SYNC_SCHEMAS = [UserSync, UserSyncResult]
