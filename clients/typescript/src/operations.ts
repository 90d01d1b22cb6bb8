// Written by `npm run client` from openapi.yaml: not to be edited.
import type * as api from './schema.ts'
import type { CallOptions, Send } from './send.ts'

export type Operations = ReturnType<typeof operations>

export const operations = (send: Send) => ({
  /**
   * Numbers for Prometheus (`GET /metrics`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getMetrics: (options?: CallOptions) => send<string>('GET', '/metrics', options),
  /**
   * Who is it, what is set up, and what must happen next (`GET /mfa/status`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getStatus: (options?: CallOptions) => send<api.Status>('GET', '/mfa/status', options),
  /**
   * Start to set up an authenticator (`POST /mfa/enroll`).
   * @throws MfaError with `step_up_required`, `login_time_unknown`, `too_many_factors`, `label_taken`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Nobody has seen its secret. Start again: that takes its place.
   */
  startEnrollment: (body?: api.EnrollRequest, options?: CallOptions) => send<api.EnrollAnswer>('POST', '/mfa/enroll', options, body),
  /**
   * Prove a code of the new authenticator: now it counts (`POST /mfa/enroll/confirm`).
   * @throws MfaError with `step_up_required`, `factor_locked`, `not_found`, `too_many_factors`, `label_taken`, `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If the factor is `active`, go on with POST /mfa/verify and its next code; where `recoveryCodes.acknowledgedAt` is null, nobody has seen the recovery codes: make them anew, POST /mfa/recovery/codes.
   */
  confirmEnrollment: (body: api.ConfirmRequest, options?: CallOptions) => send<api.ConfirmAnswer>('POST', '/mfa/enroll/confirm', options, body),
  /**
   * Prove the second factor with a code of an authenticator (`POST /mfa/verify`).
   * @throws MfaError with `factor_locked`, `not_enrolled`, `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If `lastUsedAt` of a factor is of just now, this code is spent and its token lost: POST /mfa/token gives one where the session is remembered, and else the next code does.
   */
  verify: (body: api.VerifyRequest, options?: CallOptions) => send<api.VerifyAnswer>('POST', '/mfa/verify', options, body),
  /**
   * Prove the second factor with a recovery code, or a code of an administrator (`POST /mfa/recovery`).
   * @throws MfaError with `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If a recovery code less is `remaining`, this one is spent and its token lost: POST /mfa/token gives one where the session is remembered, and else another code does. The code of an administrator is spent where it is refused now.
   */
  recover: (body: api.RecoverRequest, options?: CallOptions) => send<api.RecoverAnswer>('POST', '/mfa/recovery', options, body),
  /**
   * How many recovery codes are left (`GET /mfa/recovery`).
   * @throws MfaError with `not_enrolled`, `token_too_large`, or what any call may meet
   */
  getRecovery: (options?: CallOptions) => send<api.RecoveryStatus>('GET', '/mfa/recovery', options),
  /**
   * New recovery codes in place of all from before (`POST /mfa/recovery/codes`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If `recoveryCodes.acknowledgedAt` is null, the codes of before may be void, and nobody has seen the new ones: make them anew.
   */
  replaceRecoveryCodes: (options?: CallOptions) => send<api.NewRecoveryCodes>('POST', '/mfa/recovery/codes', options),
  /**
   * The user says that the codes are saved (`POST /mfa/recovery/acknowledge`).
   * @throws MfaError with `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at `acknowledgedAt` of GET /mfa/recovery, or repeat it: that does no harm.
   */
  acknowledgeRecoveryCodes: (options?: CallOptions) => send<undefined>('POST', '/mfa/recovery/acknowledge', options),
  /**
   * A new MFA token for a login session whose second factor is remembered (`POST /mfa/token`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  renewToken: (body?: api.TokenRequest, options?: CallOptions) => send<api.SessionToken>('POST', '/mfa/token', options, body),
  /**
   * Log out: forget this session's second factor (`DELETE /mfa/session`).
   * @throws MfaError with `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Repeat it: that does no harm.
   */
  endSession: (options?: CallOptions) => send<undefined>('DELETE', '/mfa/session', options),
  /**
   * Sign out everywhere (`DELETE /mfa/sessions`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status with this token: it is `invalid_token` where it was done.
   */
  endAllSessions: (options?: CallOptions) => send<undefined>('DELETE', '/mfa/sessions', options),
  /**
   * The caller's authenticators (`GET /mfa/factors`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  listFactors: (options?: CallOptions) => send<api.FactorList>('GET', '/mfa/factors', options),
  /**
   * Give an authenticator another label (`PATCH /mfa/factors/{factorId}`).
   * @throws MfaError with `step_up_required`, `not_found`, `label_taken`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/factors, or repeat it: that does no harm.
   */
  renameFactor: (factorId: string, body: api.RenameRequest, options?: CallOptions) => send<api.Factor>('PATCH', `/mfa/factors/${encodeURIComponent(factorId)}`, options, body),
  /**
   * Remove an authenticator (`DELETE /mfa/factors/{factorId}`).
   * @throws MfaError with `step_up_required`, `not_found`, `required_by_policy`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/factors with a token of the first factor. If it is gone, all MFA tokens of before have ended with it, and a code gives a new one.
   */
  removeFactor: (factorId: string, options?: CallOptions) => send<api.TokenAnswer | undefined>('DELETE', `/mfa/factors/${encodeURIComponent(factorId)}`, options),
  /**
   * May this token pass? For gateways that decide from a status (`GET /mfa/authorize`).
   * @throws MfaError with `step_up_required`, `enrollment_required`, `login_time_unknown`, `token_too_large`, or what any call may meet
   */
  authorize: (query?: api.AuthorizeQuery, options?: CallOptions) => send<undefined>('GET', '/mfa/authorize', options, undefined, query),
  /**
   * May this token pass? For gateways that hand the answer to the browser (`GET /mfa/forward-auth`).
   * @throws MfaError with `step_up_required`, `enrollment_required`, `login_time_unknown`, `token_too_large`, or what any call may meet
   */
  forwardAuth: (query?: api.ForwardAuthQuery, options?: CallOptions) => send<undefined>('GET', '/mfa/forward-auth', options, undefined, query),
  /**
   * Who must have MFA (`GET /admin/policy`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  getPolicy: (options?: CallOptions) => send<api.Policy>('GET', '/admin/policy', options),
  /**
   * Set who must have MFA (`PUT /admin/policy`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `required_by_policy`, `precondition_failed`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/policy: the `version` is a higher one where it was done.
   */
  setPolicy: (body?: api.PolicyChange, options?: CallOptions & { ifMatch?: string }) => send<api.Policy>('PUT', '/admin/policy', options, body),
  /**
   * Who would be asked for what under a draft policy (`POST /admin/policy/preview`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `required_by_policy`, `token_too_large`, or what any call may meet
   */
  previewPolicy: (body?: api.PolicyDraft, options?: CallOptions) => send<api.PolicyPreview>('POST', '/admin/policy/preview', options, body),
  /**
   * Who is known in the tenant, and what MFA asks of them (`GET /admin/users`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  listUsers: (query?: api.ListUsersQuery, options?: CallOptions) => send<api.UserPage>('GET', '/admin/users', options, undefined, query),
  /**
   * Tell of an application's users, ahead of their first login and when they leave (`PUT /admin/users`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Repeat it: who is known as they are told of is `unchanged`.
   */
  syncUsers: (body: api.UserSync, options?: CallOptions) => send<api.UserSyncResult>('PUT', '/admin/users', options, body),
  /**
   * What is known of a user (`GET /admin/users/{userId}`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  getUser: (userId: string, options?: CallOptions) => send<api.User>('GET', `/admin/users/${encodeURIComponent(userId)}`, options),
  /**
   * Exempt a user from the policy, or end that (`PUT /admin/users/{userId}/exemption`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `required_by_policy`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/users/{userId}.
   */
  setExemption: (userId: string, body: api.ExemptionChange, options?: CallOptions) => send<api.User>('PUT', `/admin/users/${encodeURIComponent(userId)}/exemption`, options, body),
  /**
   * Set until when a user may pass without a factor (`PUT /admin/users/{userId}/grace`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `required_by_policy`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/users/{userId}.
   */
  setGrace: (userId: string, body: api.GraceChange, options?: CallOptions) => send<api.User>('PUT', `/admin/users/${encodeURIComponent(userId)}/grace`, options, body),
  /**
   * Take all authenticators and codes from a user (`POST /admin/users/{userId}/reset`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/users/{userId}: without `factors` it was done. With `requireCode`, nobody has seen the code: POST /admin/users/{userId}/bypass gives another.
   */
  resetUser: (userId: string, body: api.ResetRequest, options?: CallOptions) => send<api.BypassAnswer | undefined>('POST', `/admin/users/${encodeURIComponent(userId)}/reset`, options, body),
  /**
   * End a user's waits and locks (`POST /admin/users/{userId}/unlock`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at `locks` of GET /admin/users/{userId}, or repeat it.
   */
  unlockUser: (userId: string, body: api.UserAct, options?: CallOptions) => send<undefined>('POST', `/admin/users/${encodeURIComponent(userId)}/unlock`, options, body),
  /**
   * A code that stands for a user's second factor in one login (`POST /admin/users/{userId}/bypass`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Nobody has seen the code. Repeat it: a newer one takes its place.
   */
  issueBypass: (userId: string, body: api.BypassRequest, options?: CallOptions) => send<api.BypassAnswer>('POST', `/admin/users/${encodeURIComponent(userId)}/bypass`, options, body),
  /**
   * Sign a user out everywhere (`POST /admin/users/{userId}/sign-out`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Repeat it: that does no harm.
   */
  signOutUser: (userId: string, body: api.UserAct, options?: CallOptions) => send<undefined>('POST', `/admin/users/${encodeURIComponent(userId)}/sign-out`, options, body),
  /**
   * Erase a user (`POST /admin/users/{userId}/erase`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/users/{userId}: where it was done, it is `not_found`.
   */
  eraseUser: (userId: string, body: api.UserAct, options?: CallOptions) => send<undefined>('POST', `/admin/users/${encodeURIComponent(userId)}/erase`, options, body),
  /**
   * How many have MFA, in all and by group, and who needs a look (`GET /admin/stats`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  getStats: (options?: CallOptions) => send<api.Stats>('GET', '/admin/stats', options),
  /**
   * What happened in the tenant, newest first (`GET /admin/audit`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  listAuditEvents: (query?: api.ListAuditEventsQuery, options?: CallOptions) => send<api.AuditPage>('GET', '/admin/audit', options, undefined, query),
  /**
   * Is the audit what was written? (`GET /admin/audit/verify`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  verifyAudit: (options?: CallOptions) => send<api.AuditVerdict>('GET', '/admin/audit/verify', options),
  /**
   * What could not be delivered to the receiver, newest first (`GET /admin/notices`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  listUndeliveredNotices: (query?: api.ListUndeliveredNoticesQuery, options?: CallOptions) => send<api.NoticePage>('GET', '/admin/notices', options, undefined, query),
  /**
   * Try to deliver a notice again (`POST /admin/notices/{id}/retry`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/notices, or repeat it: that does no harm.
   */
  retryNotice: (id: string, options?: CallOptions) => send<undefined>('POST', `/admin/notices/${encodeURIComponent(id)}/retry`, options),
  /**
   * Public keys of the MFA tokens (`GET /.well-known/jwks.json`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getJwks: (options?: CallOptions) => send<api.JwkSet>('GET', '/.well-known/jwks.json', options),
  /**
   * Is the process alive? (`GET /health/live`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getLiveness: (options?: CallOptions) => send<api.Health>('GET', '/health/live', options),
  /**
   * Can it serve? (`GET /health/ready`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getReadiness: (options?: CallOptions) => send<api.Health>('GET', '/health/ready', options)
})
