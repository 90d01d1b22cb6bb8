import { type TSchema, Type } from 'typebox'
import { NAME, PRINTABLE, QUERY_NAME, UUID } from '../platform/text.ts'

export { MAX_GROUPS, MAX_LENGTH, STORABLE } from '../platform/text.ts'

/** Shapes that several calls share; each is a component of the specification. */

export const Uuid = Type.String({
  format: 'uuid',
  pattern: UUID,
  'x-message': 'must be a UUID, such as 5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11',
  examples: ['5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11']
})
export const Time = Type.String({ format: 'date-time', description: 'RFC 3339, UTC', examples: ['2026-11-24T12:00:00.000Z'] })
const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])
export const NullableTime = Nullable(Time)
/** A time that a caller gives; any offset. */
export const GivenTime = Type.String({
  format: 'date-time',
  pattern: '^\\d{4}-\\d\\d-\\d\\dT',
  maxLength: 40,
  description: 'RFC 3339',
  'x-message': 'must be a date and time, such as 2026-12-01T00:00:00Z',
  examples: ['2027-01-01T00:00:00Z']
})
export const NullableGivenTime = Type.Union([GivenTime, Type.Null()], {
  description: 'RFC 3339, or null',
  'x-message': 'must be a date and time, such as 2026-12-01T00:00:00Z, or null'
})

const oneLine = (maxLength: number): string => `must be text of 1 to ${maxLength} characters on one line`

/** As a token or an application names a user or a thing. */
export const Name = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: NAME, description, 'x-message': oneLine(maxLength) })

/** The same in a query: what no name has would only be a question too many. */
export const QueryName = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: QUERY_NAME, description, 'x-message': oneLine(maxLength) })

export const Label = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: PRINTABLE,
  description: 'What the user calls this authenticator',
  'x-message': `${oneLine(64)}, without a space at either end`,
  examples: ['My phone']
})

/** Why an administrator does something to a user: it is kept in the audit. */
export const Reason = Type.String({
  minLength: 1,
  maxLength: 500,
  pattern: PRINTABLE,
  description: 'Why. The audit keeps it',
  'x-message': `${oneLine(500)}, without a space at either end`,
  examples: ['Ticket 4711']
})

/** Of a page; the query is text, and nothing is coerced. */
export const Limit = Type.String({
  pattern: '^([1-9][0-9]?|100)$',
  description: 'How many, from 1 to 100. 50 by default',
  'x-message': 'must be a number from 1 to 100',
  examples: ['50']
})

export const NO_CURSOR = 'must be the `nextCursor` of a page before, as it was'

/** Where a page of what happened ended: microseconds since 1970, and the id. */
export const EventCursor = Type.String({
  pattern: '^[0-9]{1,16}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
  description: 'The `nextCursor` of the previous page',
  'x-message': NO_CURSOR,
  examples: ['1795521600123456_3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20']
})

export const FactorStatus = Type.Enum(['pending', 'active', 'locked'])

/** What the kinds say of it. */
interface KindSchemas { kind: string, details?: { name: string, schema: TSchema } }

const Factor = (kinds: readonly KindSchemas[]) => Type.Object({
  id: Uuid,
  kind: Type.Enum(kinds.map(({ kind }) => kind)),
  label: Type.String(),
  status: FactorStatus,
  createdAt: Time,
  confirmedAt: NullableTime,
  lastUsedAt: NullableTime,
  nextCodeAt: Type.Union([Time, Type.Null()], {
    description: 'When its next code is accepted, if the present one was used. Null for a kind without codes'
  }),
  ...Object.fromEntries(kinds.flatMap(({ details }) => details === undefined ? [] : [[details.name, details.schema]]))
}, {
  $id: 'Factor',
  examples: [{
    id: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11',
    kind: kinds[0]?.kind,
    label: 'My phone',
    status: 'active',
    createdAt: '2026-11-24T12:00:00.000Z',
    confirmedAt: '2026-11-24T12:00:31.000Z',
    lastUsedAt: null,
    nextCodeAt: null,
    ...Object.fromEntries(kinds.flatMap(({ details }) => details === undefined ? [] : [[details.name, null]]))
  }]
})

/** For an application: the token is then not accepted here. */
export const Audience = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 255,
    pattern: NAME,
    description:
      'One of the configured applications (`MFA_APPLICATION_AUDIENCES`). The token is for that application, and opens nothing here',
    'x-message': oneLine(255),
    examples: ['billing']
  })
)

/** That only a passkey counts, and that the token says so. */
export const Phr = Type.Optional(
  Type.Literal('phr', { description: 'Only a passkey counts, and the token says so: `acr` is `phr`', examples: ['phr'] })
)

/** What every call that gives an MFA token answers. */
export const tokenFields = {
  token: Type.String({ description: 'The MFA token. Send it as the bearer token from now on' }),
  tokenType: Type.Literal('Bearer'),
  expiresIn: Type.Integer({ description: 'Seconds until it ends. It never outlives the token that it was made from' }),
  acr: Type.Enum(['mfa', 'mfa-recovery', 'phr'], {
    description: "`phr`: a passkey. An application's token says so only if you asked for it"
  }),
  amr: Type.Array(Type.String(), {
    description: 'What was proved (RFC 8176): `otp` for TOTP, `pop` and `user` for a passkey, `recovery` for a recovery code'
  })
}

export const tokenExample = {
  token: 'eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl',
  tokenType: 'Bearer',
  expiresIn: 900,
  acr: 'mfa',
  amr: ['pwd', 'otp', 'mfa']
}

export const RecoveryCodes = Type.Array(Type.String({ pattern: '^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$' }), {
  description: 'Each works once. They are shown only now.'
})
export const recoveryCodesExample = ['0K7M-2Q9R-WX4T-BN3C', '1D5F-8H2J-6KPV-7A9E']

export const sharedSchemas = (kinds: readonly KindSchemas[]) => [Factor(kinds)]
