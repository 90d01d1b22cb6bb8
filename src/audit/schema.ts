import { type Static, Type } from 'typebox'
import type { FactorKind } from '../factors/factor-kind.ts'
import { EventCursor, GivenTime, Limit, MAX_LENGTH, QueryName, Uuid } from '../http/schema.ts'

/** With those of these kinds of factor. */
export const actionsOf = (kinds: readonly FactorKind[]): string[] => [
  'factor.started', 'factor.confirmed', 'factor.renamed', 'factor.removed',
  ...kinds.flatMap(({ audit: { accepted, refused, told } }) => [...accepted, ...refused, ...told]),
  'recovery.accepted', 'recovery.refused', 'recovery.low', 'recovery.regenerated', 'bypass.issued', 'bypass.used', 'device.trusted',
  'device.used', 'device.refused', 'device.removed', 'session.ended',
  'user.unlocked', 'user.reset', 'user.signed_out', 'user.exempted', 'user.grace_set', 'user.disabled', 'user.enabled', 'user.erased',
  'users.synced', 'policy.changed', 'access.refused', 'secret.unreadable', 'key.rotated', 'spray.suspected', 'guessing.suspected',
  'policy.would_enroll', 'notice.retried'
]

const Nullable = (description: string) => Type.Union([Type.String(), Type.Null()], { description })
const ID = '3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20'
const AT = '2026-11-24T12:00:00.123456Z'

export const auditEventExample = (kind: string) => ({
  id: ID,
  at: AT,
  tenant: 'acme',
  actorId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
  actor: 'alice@example.com',
  userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
  user: 'alice@example.com',
  action: `${kind}.accepted`,
  outcome: 'success',
  factorKind: kind,
  address: '192.0.2.7',
  requestId: '0b6b2b2e-5a53-4d4e-9a53-3f9d3f1c2a10',
  details: { factorId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11' }
})

const firstOf = ([first]: readonly FactorKind[]): string => (first as FactorKind).kind

const EventTime = Type.String({ format: 'date-time', description: 'RFC 3339, UTC, to the microsecond', examples: [AT] })

const AuditEvent = (kinds: readonly FactorKind[]) => Type.Object({
  id: Uuid,
  at: EventTime,
  tenant: Type.String(),
  actorId: Nullable('Who did it: a `userId`, `service:` and the subject of a machine, or `operator`'),
  actor: Nullable('The name to show: their present account. Null if the user was erased'),
  userId: Nullable('The user it is about: a `userId`, or a machine'),
  user: Nullable('The name to show, as in `actor`'),
  action: Type.String({ description: 'What was done', examples: actionsOf(kinds) }),
  outcome: Type.Enum(['success', 'failure']),
  factorKind: Nullable(`${kinds.map(({ kind }) => `\`${kind}\``).join(', ')}, \`recovery\`, \`bypass\` (a code from an administrator), or \`device\` (a trusted one)`),
  address: Nullable('Where it came from'),
  requestId: Nullable('As in `X-Request-Id`'),
  details: Type.Object({}, { additionalProperties: true, description: 'More, depending on the action. Never a secret' })
}, { $id: 'AuditEvent', examples: [auditEventExample(firstOf(kinds))] })

export const auditQuery = (kinds: readonly FactorKind[]) => Type.Object({
  userId: Type.Optional(QueryName(600, 'The `userId` it is about')),
  subject: Type.Optional(QueryName(MAX_LENGTH.subject, 'The `sub` of the user it is about. Finds the users who have it now')),
  actorId: Type.Optional(QueryName(600, 'Who did it')),
  action: Type.Optional(Type.Enum(actionsOf(kinds), { description: 'What was done' })),
  from: Type.Optional(GivenTime),
  to: Type.Optional(Type.String({ ...GivenTime, description: 'RFC 3339. Before this time' })),
  cursor: Type.Optional(EventCursor),
  limit: Type.Optional(Limit)
}, { additionalProperties: false })
export type AuditQuery = Static<ReturnType<typeof auditQuery>>

const AuditPage = (kinds: readonly FactorKind[]) => Type.Object({
  items: Type.Array(Type.Ref('AuditEvent')),
  nextCursor: Type.Union([EventCursor, Type.Null()], { description: 'Cursor of the next page. Null on the last one' })
}, { $id: 'AuditPage', examples: [{ items: [auditEventExample(firstOf(kinds))], nextCursor: null }] })

const AuditVerdict = Type.Object({
  ok: Type.Boolean(),
  events: Type.Integer({ description: 'How many events there are' }),
  brokenAt: Type.Optional(Type.Object({
    position: Type.Union([Type.Integer(), Type.Null()], { description: 'Place in the chain, from 1. Null if it is in none' }),
    id: Type.Union([Uuid, Type.Null()], { description: 'Of the event. Null if nothing of it is left' }),
    at: Type.Union([EventTime, Type.Null()]),
    cause: Type.Enum(['changed', 'missing', 'added', 'checkpoint'], {
      description:
        '`changed`: the event, or the order. `missing`. `added`: not by the service. `checkpoint`: what was signed up to here is gone, ' +
        "or does not open with the service's keys"
    })
  }, { description: 'The first event that does not fit' })),
  waitingSince: Type.Optional(
    Type.String({
      format: 'date-time',
      description:
        'Since when events wait to be chained. The service is stopped, or something keeps it from chaining. ' +
        'Until they are chained, nothing shows whether they were changed'
    })
  )
}, { $id: 'AuditVerdict', examples: [{ ok: false, events: 1204, brokenAt: { position: 731, id: ID, at: AT, cause: 'changed' } }] })

export const auditSchemas = (kinds: readonly FactorKind[]) => [AuditEvent(kinds), AuditPage(kinds), AuditVerdict]
