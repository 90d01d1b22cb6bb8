import { type CommonWebhookEventType, type WebhookEvent, type WebhookEventType, webhookBody } from './event.ts'

const ALICE = {
  userId: '8d0f1a52-94a1-4c4c-b1b5-02f6d8a3d9d3',
  namespace: 'https://id.example.com',
  subject: 'alice',
  account: 'alice@example.com'
}
const ADMIN = { actorId: 'c0a1b2d3-4e5f-4a6b-8c7d-9e0f1a2b3c4d' }
const NO_USER = { userId: null, namespace: null, subject: null, account: null }
const NAMELESS = { namespace: null, subject: null, account: null }
const RECOVERY = { factorKind: 'recovery' }
const FACTOR = { factorId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11', label: 'My phone' }
const USED = { confirmedAt: '2026-10-02T08:00:00+00:00', lastUsedAt: '2026-11-24T11:00:00+00:00' }
const POLICY = {
  enforcement: 'optional',
  groups: null,
  gracePeriodDays: 0,
  enforceFrom: null,
  ssoRule: 'exempt_sso_only',
  phishingResistant: 'off',
  phishingResistantFrom: null,
  trustedDeviceDays: 0
}
const reason = 'Ticket 4711'

interface Example { about: string, event: Partial<WebhookEvent> }

/** What happened with a factor of a kind, or with codes. */
const commonExamples = (kind: string): Record<CommonWebhookEventType, Example> => {
  const OF_KIND = { factorKind: kind }
  const CLEARED = { [kind]: { failures: 30, waitUntil: null, lockedAt: '2026-11-24T11:30:00+00:00', budget: 30 } }
  return {
    'factor.confirmed': { about: 'an authenticator was set up', event: { ...OF_KIND, details: FACTOR } },
    'factor.removed': { about: 'an authenticator was removed', event: { ...OF_KIND, details: { ...FACTOR, ...USED } } },
    'device.trusted': {
      about: 'the user trusts a device: it is not asked for a second factor',
      event: {
        factorKind: 'device',
        details: { deviceId: '9b0c3d6e-1f2a-4b5c-8d7e-6f5a4b3c2d1e', name: 'Work laptop', factorId: FACTOR.factorId }
      }
    },
    'recovery.accepted': { about: 'a recovery code was used', event: { ...RECOVERY, details: { remaining: 3 } } },
    'recovery.low': { about: '3, 1 or no recovery codes are left', event: { ...RECOVERY, details: { remaining: 3 } } },
    'recovery.regenerated': { about: 'new recovery codes replaced the old ones', event: { ...RECOVERY, details: {} } },
    'bypass.issued': {
      about: 'an administrator made a bypass code',
      event: { ...ADMIN, details: { reason, expiresAt: '2026-11-24T12:15:00+00:00' } }
    },
    'bypass.used': { about: 'a bypass code was used', event: { factorKind: 'bypass', details: {} } },
    'user.unlocked': { about: 'an administrator ended waits and locks', event: { ...ADMIN, details: { reason, cleared: CLEARED } } },
    'user.reset': {
      about: 'an administrator removed all factors and codes',
      event: { ...ADMIN, details: { reason, requireCode: false, factors: [{ kind, ...FACTOR, ...USED }], cleared: CLEARED } }
    },
    'user.signed_out': { about: 'signed out everywhere. With a reason if an administrator did it', event: { details: {} } },
    'user.exempted': {
      about: 'exempted from the policy, or no longer',
      event: { ...ADMIN, details: { exempt: true, reason, until: '2026-11-30T12:00:00+00:00' } }
    },
    'user.grace_set': {
      about: 'an administrator moved the deadline',
      event: { ...ADMIN, details: { reason, before: '2026-12-01T12:00:00+00:00', after: '2026-12-24T12:00:00+00:00' } }
    },
    'user.disabled': { about: 'an application said that the user has left', event: { actorId: 'service:people-sync', details: {} } },
    'user.enabled': {
      about: 'an application said that the user is back. With a reason if the operator did it',
      event: { actorId: 'service:people-sync', details: {} }
    },
    'user.erased': { about: 'the user was erased, with their names', event: { ...ADMIN, ...NAMELESS, details: { reason } } },
    'policy.changed': {
      about: 'who must have MFA. With a reason if the operator did it',
      event: { ...ADMIN, ...NO_USER, details: { before: POLICY, after: { ...POLICY, enforcement: 'required', gracePeriodDays: 14 } } }
    },
    'spray.suspected': {
      about:
        'in an hour, codes of 200 users were refused from one address (a /64 of IPv6). Without `source`: codes of more users than `passed`',
      event: {
        ...NO_USER,
        actorId: null,
        address: null,
        requestId: null,
        outcome: 'failure',
        details: { source: '192.0.2.7', users: 214, hours: 1 }
      }
    },
    'guessing.suspected': {
      about: 'five codes were refused in a day (`failure`), or one was accepted after that (`success`)',
      event: { ...OF_KIND, actorId: null, outcome: 'failure', details: { failures: 5, hours: 24 } }
    }
  }
}

/** One of a type, with when it comes; a test holds them against what is really sent. `kind`: the kind of factor in it. */
export const webhookExample = (type: WebhookEventType, kind: string): Example => {
  const common: Partial<Record<WebhookEventType, Example>> = commonExamples(kind)
  return common[type] ?? (type.endsWith('.locked')
    ? {
        about: 'too many wrong codes: the factors of this kind are locked',
        event: { factorKind: type.replace('.locked', ''), outcome: 'failure', details: {} }
      }
    : {
        about: 'the counter of a factor went back: there may be a copy of it. Once a day',
        event: { factorKind: type.replace('.suspected', ''), outcome: 'failure', details: { factorId: FACTOR.factorId } }
      })
}

/** The whole of what is sent. */
export const webhookExampleBody = (type: WebhookEventType, kind: string): object => webhookBody({
  type,
  timestamp: '2026-11-24T12:00:00.123456Z',
  tenant: 'acme',
  ...ALICE,
  outcome: 'success',
  actorId: ALICE.userId,
  factorKind: null,
  address: '192.0.2.7',
  requestId: '0b6b2b2e-5a53-4d4e-9a53-3f9d3f1c2a10',
  ...webhookExample(type, kind).event
} as WebhookEvent)
