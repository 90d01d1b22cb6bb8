import { type Static, Type } from 'typebox'
import { GivenTime, Limit, MAX_LENGTH, NO_CURSOR, NullableTime, QueryName, Time, Uuid } from '../../../http/schema.ts'

export const STATUSES = ['enrolled', 'not_enrolled', 'must_enroll', 'in_grace', 'exempt', 'locked', 'disabled'] as const

/** Where a page ended. */
const Cursor = Type.String({
  pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
  description: 'The `nextCursor` of the previous page',
  'x-message': NO_CURSOR,
  examples: ['8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3']
})

export const usersQuery = (kinds: readonly string[]) => Type.Object({
  subject: Type.Optional(QueryName(MAX_LENGTH.subject, 'The user\'s `sub`')),
  account: Type.Optional(QueryName(MAX_LENGTH.account, 'The whole account, in upper or lower case')),
  namespace: Type.Optional(QueryName(MAX_LENGTH.namespace, 'The issuer that the `sub` belongs to')),
  status: Type.Optional(
    Type.Enum([...STATUSES], {
      description:
          '`enrolled`, `not_enrolled`: with an authenticator, or without. `must_enroll`, `in_grace`, `exempt`: what the policy says ' +
          'now, for a typical session without a second factor. `locked`: too many wrong codes. `disabled`: disabled users. ' +
          'They appear in no other list'
    })
  ),
  group: Type.Optional(QueryName(MAX_LENGTH.group, 'A group that the user is in')),
  factor: Type.Optional(Type.Enum([...kinds, 'none'], { description: 'Users who have one of this kind, or no factor' })),
  deadlineBefore: Type.Optional(
    Type.String({ ...GivenTime, description: 'RFC 3339. Users who must enroll before this time, or must already' })
  ),
  cursor: Type.Optional(Cursor),
  limit: Type.Optional(Limit)
}, { additionalProperties: false })
export type UsersQuery = Static<ReturnType<typeof usersQuery>>

export const userSummaryExample = {
  userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
  subject: 'alice',
  account: 'alice@example.com',
  namespace: 'https://id.example.com',
  tenant: 'acme',
  groups: ['staff'],
  accounts: ['local'],
  enrolled: false,
  locked: false,
  exemption: null,
  graceUntil: '2026-12-08T12:00:00.000Z',
  disabled: false,
  createdAt: '2026-11-24T12:00:00.000Z',
  decision: { action: 'allow', reason: 'grace', deadline: '2026-12-08T12:00:00.000Z' }
}

export const UserSummary = Type.Object({
  userId: Uuid,
  subject: Type.String(),
  account: Type.String({ description: 'The name to show. Never an identity' }),
  namespace: Type.String(),
  tenant: Type.String(),
  groups: Type.Array(Type.String()),
  accounts: Type.Array(Type.Enum(['local', 'sso'])),
  enrolled: Type.Boolean(),
  locked: Type.Boolean({ description: 'Locked after too many wrong codes' }),
  exemption: Type.Ref('Exemption'),
  graceUntil: NullableTime,
  disabled: Type.Boolean(),
  createdAt: Time,
  decision: Type.Ref('Decision')
}, { $id: 'UserSummary', description: 'GET /admin/users/{userId} says more about one user', examples: [userSummaryExample] })

export const UserPage = Type.Object({
  items: Type.Array(Type.Ref('UserSummary')),
  nextCursor: Type.Union([Cursor, Type.Null()], { description: 'Cursor of the next page. Null on the last one' })
}, { $id: 'UserPage', examples: [{ items: [userSummaryExample], nextCursor: null }] })

export const LIST_SCHEMAS = [UserSummary, UserPage]
