import { type Static, Type } from 'typebox'
import { EventCursor, Limit, NullableTime, Uuid } from '../http/schema.ts'

const Nullable = (description: string) => Type.Union([Type.String(), Type.Null()], { description })
const EventTime = Type.String({
  format: 'date-time',
  description: 'RFC 3339, UTC, to the microsecond: when it happened',
  examples: ['2026-11-24T12:00:00.123456Z']
})

export const WebhookEventParams = Type.Object({ id: Uuid }, { additionalProperties: false })
export type WebhookEventParams = Static<typeof WebhookEventParams>

const undeliveredExample = {
  id: '3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20',
  at: '2026-11-24T12:00:00.123456Z',
  type: 'user.reset',
  userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
  status: 'parked',
  attempts: 31,
  failure: 'answered 503',
  lastTriedAt: '2026-11-25T12:00:00.000Z',
  nextTryAt: null
}

/** Of the outbox; what has been delivered is in it no more. */
export const UndeliveredWebhookEvent = Type.Object({
  id: Uuid,
  at: EventTime,
  type: Type.String({ description: 'The audit\'s action', examples: ['user.reset'] }),
  userId: Nullable('The user it is about. Null if it is about the whole tenant'),
  status: Type.Enum(['waiting', 'retrying', 'parked'], {
    description: '`waiting`: not tried yet. `retrying`: the last attempt failed. `parked`: no more attempts'
  }),
  attempts: Type.Integer(),
  failure: Nullable('Why the last attempt failed'),
  lastTriedAt: NullableTime,
  nextTryAt: NullableTime
}, { $id: 'UndeliveredWebhookEvent', description: 'The audit event with the same `id` has the details.', examples: [undeliveredExample] })

export const UndeliveredQuery = Type.Object({ cursor: Type.Optional(EventCursor), limit: Type.Optional(Limit) }, {
  additionalProperties: false
})
export type UndeliveredQuery = Static<typeof UndeliveredQuery>

export const UndeliveredPage = Type.Object({
  items: Type.Array(Type.Ref('UndeliveredWebhookEvent')),
  nextCursor: Type.Union([EventCursor, Type.Null()], { description: 'Cursor of the next page. Null on the last one' })
}, { $id: 'UndeliveredPage', examples: [{ items: [undeliveredExample], nextCursor: null }] })

/** What an endpoint is sent. */
export const WebhookBody = Type.Object({
  type: Type.String({ description: 'The audit\'s action', examples: ['user.reset'] }),
  timestamp: EventTime,
  data: Type.Object({
    tenant: Type.String(),
    userId: Nullable('The user it is about. Null if it is about the whole tenant'),
    namespace: Nullable('The issuer that `subject` belongs to'),
    subject: Nullable('The user\'s `sub`. Null if it is about the whole tenant, or if the user was erased'),
    account: Nullable('The name to show, such as an e-mail address. Null where `subject` is'),
    outcome: Type.Enum(['success', 'failure']),
    actorId: Nullable('Who did it: a `userId`, `service:` and the subject of a machine, or `operator`. Null if no one in particular did'),
    factorKind: Nullable('`totp`, `passkey`, `recovery` or `bypass`'),
    address: Nullable('Where it came from'),
    requestId: Nullable('As in `X-Request-Id`'),
    details: Type.Object({}, { additionalProperties: true, description: 'More, depending on the type. Never a secret' })
  })
}, { $id: 'WebhookEvent' })

export const WEBHOOK_SCHEMAS = [UndeliveredWebhookEvent, UndeliveredPage, WebhookBody]
