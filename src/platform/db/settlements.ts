import type { Throttled } from '../../factors/throttle/throttle.ts'
import type { Purpose } from '../../keys/keys.ts'
import type { PolicyRow } from '../../policy/policy.ts'
import type { WebhookEvent } from '../../webhooks/event.ts'

/** Of a session that the authentication is remembered for; null where none is. */
interface Remembered { generation: number | null }

/** Why an administrator may not act on a user: there is none, or, for support, the user was ever seen with an `mfa:` role. */
export type TargetRefused = { outcome: 'gone' } | { outcome: 'forbidden' }

/** `past`: an end that has come; `below`: later than the floor allows. */
type Deadline = { outcome: 'set' } | { outcome: 'past' } | { outcome: 'gone' } | { outcome: 'below' }

type Recovered = { outcome: 'accepted', remaining: number } & Remembered | { outcome: 'spent' }

type Suspected = { outcome: 'suspected' } | { outcome: 'known' }

/** The functions that decide, and what each of them may answer: a test holds it against what their SQL says. */
export interface Settlements {
  // Factors.
  accept_factor: { outcome: 'accepted' } & Remembered | { outcome: 'spent' } | Throttled
  refuse_factor: { outcome: 'refused' } | Throttled
  accept_passkey: { outcome: 'accepted' } & Remembered | { outcome: 'refused', cause: 'stale' | 'expired' | 'spent' | 'flags' | 'counter' }
  refuse_pending: { outcome: 'refused' }
  record_refusal: { outcome: 'refused' }
  report_refusals: { outcome: 'reported' }
  start_enrollment: { outcome: 'started', expiresAt: string } | { outcome: 'waiting', seconds: number } | { outcome: 'stale' }
  claim_confirmation: { outcome: 'claimed' } | { outcome: 'spent' } | Throttled
  confirm_factor: { outcome: 'confirmed' } & Remembered | { outcome: 'stale' } | { outcome: 'spent' } | { outcome: 'known' } | Throttled
  rename_factor: { outcome: 'renamed' } | { outcome: 'taken' } | { outcome: 'gone' }
  remove_factor: { outcome: 'removed', epoch: number } & Remembered | { outcome: 'stale' }
  remove_pending: { outcome: 'removed' } | { outcome: 'gone' }
  accept_recovery: Recovered
  accept_bypass: Recovered
  claim_renewal: { outcome: 'claimed' } | { outcome: 'waiting', seconds: number } | { outcome: 'stale' }
  replace_codes: { outcome: 'replaced' } | { outcome: 'stale' }
  acknowledge_codes: { outcome: 'acknowledged' } | { outcome: 'nothing' }
  // Trusted devices.
  trust_device: { outcome: 'trusted' } | { outcome: 'stale' }
  use_device: { outcome: 'accepted' } & Remembered | { outcome: 'kept' } | { outcome: 'gone' }
  forget_devices: { outcome: 'removed' } | { outcome: 'nothing' }
  // What an administrator or an application does to users.
  revoke_devices: { outcome: 'removed' } | { outcome: 'nothing' } | TargetRefused
  issue_bypass: { outcome: 'issued', expiresAt: string } | TargetRefused
  unlock_user: { outcome: 'unlocked' } | TargetRefused
  reset_user: { outcome: 'reset', factors: number, expiresAt: string | null } | { outcome: 'nothing' } | TargetRefused
  sign_out_user: { outcome: 'signed_out' } | TargetRefused
  erase_user: { outcome: 'erased' } | TargetRefused
  enable_user: { outcome: 'enabled' } | { outcome: 'nothing' } | { outcome: 'gone' }
  exempt_user: Deadline
  set_grace: Deadline
  sync_users: { outcome: 'synced', created: number, updated: number, unchanged: number }
  import_user: { outcome: 'imported' | 'already' | 'enrolled' | 'removed' | 'disabled' | 'moved' }
  // What is seen of users, and counted.
  upsert_user: { outcome: 'seen' } | { outcome: 'erased' }
  record_policy_contact: { outcome: 'recorded' }
  fold_tallies: { outcome: 'folded', changes: number }
  recount_users: { outcome: 'counted', mended: number }
  // Sessions and the policy.
  end_session: { outcome: 'ended' }
  sign_out: { outcome: 'signed_out' } | { outcome: 'stale' }
  put_policy: { outcome: 'changed', from: number, policy: PolicyRow } | { outcome: 'stale' }
  // The audit, webhook events and what replicas share.
  append_audit: { outcome: 'appended' } | { outcome: 'stale' }
  put_checkpoint: { outcome: 'kept' }
  record_failures: { outcome: 'recorded' }
  suspect_guessing: Suspected | { outcome: 'few' }
  suspect_spray: Suspected | { outcome: 'few' }
  want_webhook_events: { outcome: 'wanted' }
  claim_webhook_event: { outcome: 'claimed', attempt: number, event: WebhookEvent } | { outcome: 'taken' } | { outcome: 'behind' } | {
    outcome: 'gone'
  }
  deliver_webhook_event: { outcome: 'delivered', next: string | null } | { outcome: 'stale' }
  fail_webhook_event: { outcome: 'waiting' } | { outcome: 'parked', next: string | null } | { outcome: 'stale' }
  renew_webhook_event: { outcome: 'renewed' } | { outcome: 'stale' }
  retry_webhook_event: { outcome: 'retried' } | { outcome: 'gone' }
  take_lease: { outcome: 'held' } | { outcome: 'taken' }
  report_keys: { outcome: 'reported', begun: Array<{ purpose: Purpose, id: string }> } | { outcome: 'other', purpose: Purpose, id: string }
  reseal: { outcome: 'resealed', rows: number }
  begin_key: { outcome: 'begun' } | { outcome: 'known' }
  forget_key: { outcome: 'forgotten' } | { outcome: 'unknown' }
}

export type SettlementName = keyof Settlements

/** What a function answered, besides what every call makes an error of: a row that is lost, an administrator who is one no more. */
export type Settled<Name extends SettlementName = SettlementName> = Settlements[Name]

/** Nothing that the caller asked for: it goes before that, and if its answer is lost, nothing was accepted all the same. */
export const PRELUDES: ReadonlySet<SettlementName> = new Set([
  'upsert_user',
  'record_policy_contact',
  'claim_confirmation',
  'claim_renewal'
])

/** What takes longer than a request's: for many users at once, one at a time, which the caller sees to; and for every tenant. */
export const LONG: Partial<Record<SettlementName, 'bulk' | 'reports'>> = { sync_users: 'bulk', begin_key: 'reports', forget_key: 'reports' }
