/** What concerns a user, the policy or an attack, whatever the kinds of factor. */
const COMMON_TYPES = [
  'factor.confirmed', 'factor.removed', 'device.trusted', 'recovery.accepted', 'recovery.low', 'recovery.regenerated', 'bypass.issued',
  'bypass.used', 'user.unlocked', 'user.reset', 'user.signed_out', 'user.exempted', 'user.grace_set', 'user.disabled', 'user.enabled',
  'user.erased', 'policy.changed', 'spray.suspected', 'guessing.suspected'
] as const
export type CommonWebhookEventType = typeof COMMON_TYPES[number]
/** Of a kind of factor: too many wrong codes, or a passkey that may have been copied. */
export type AlarmType = `${string}.locked` | `${string}.suspected`
export type WebhookEventType = CommonWebhookEventType | AlarmType

/** Audit actions that are sent as webhook events: those, and what the kinds of factor have. `audit` has the same list. */
export const webhookEventTypes = (
  kinds: ReadonlyArray<{ audit: { told: readonly AlarmType[] } }>
): WebhookEventType[] => [...COMMON_TYPES, ...kinds.flatMap(({ audit }) => audit.told)]

/** What happened, to which user, and who did it from where. */
export interface WebhookEvent {
  type: WebhookEventType
  /** RFC 3339, UTC, to the microsecond. */
  timestamp: string
  tenant: string
  /** Null where it is about the whole tenant. */
  userId: string | null
  /** The user's `sub`. Null if it is about the whole tenant, or if the user was erased. */
  namespace: string | null
  subject: string | null
  account: string | null
  outcome: string
  actorId: string | null
  factorKind: string | null
  address: string | null
  requestId: string | null
  details: Record<string, unknown>
}

/** A Standard Webhooks payload: `type` and `timestamp` of the event, and what else there is of it in `data`. */
export const webhookBody = (
  { type, timestamp, tenant, userId, namespace, subject, account, outcome, actorId, factorKind, address, requestId, details }: WebhookEvent
): object => ({
  type,
  timestamp,
  data: { tenant, userId, namespace, subject, account, outcome, actorId, factorKind, address, requestId, details }
})
