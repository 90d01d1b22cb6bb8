// Written by `npm run client` from openapi.yaml: not to be edited.
/* eslint-disable @stylistic/max-len */
import type * as api from './schema.ts'
import type { CallOptions, Send } from './send.ts'

export type Operations = ReturnType<typeof operations>

export const operations = (send: Send) => ({
  /**
   * Read the numbers for Prometheus (`GET /metrics`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getMetrics: (options?: CallOptions) => send<string>('GET', '/metrics', options),
  /**
   * Ask what must happen next (`GET /mfa/status`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getStatus: (options?: CallOptions) => send<api.Status>('GET', '/mfa/status', options),
  /**
   * Start setting up an authenticator (`POST /mfa/enroll`).
   * @throws MfaError with `step_up_required`, `login_time_unknown`, `too_many_factors`, `label_taken`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Its secret is lost. Start again: the new start takes its place.
   */
  startEnrollment: (body?: api.EnrollRequest, options?: CallOptions) => send<api.EnrollAnswer>('POST', '/mfa/enroll', options, body),
  /**
   * Prove a code of the new authenticator, so that it counts (`POST /mfa/enroll/confirm`).
   * @throws MfaError with `step_up_required`, `factor_locked`, `not_found`, `too_many_factors`, `label_taken`, `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If the factor is `active`, go on with POST /mfa/verify and its next code. If `recoveryCodes.acknowledgedAt` is null, the user has not seen the recovery codes: make new ones, POST /mfa/recovery/codes.
   */
  confirmEnrollment: (body: api.ConfirmRequest, options?: CallOptions) => send<api.ConfirmAnswer>('POST', '/mfa/enroll/confirm', options, body),
  /**
   * Prove the second factor with a code of the authenticator (`POST /mfa/verify`).
   * @throws MfaError with `step_up_required`, `factor_locked`, `not_enrolled`, `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If `lastUsedAt` of a factor is just now, this code is used up and its token lost. POST /mfa/token gives a token if the session is remembered; otherwise use the next code.
   */
  verify: (body: api.VerifyRequest, options?: CallOptions) => send<api.VerifyAnswer>('POST', '/mfa/verify', options, body),
  /**
   * Start setting up a passkey (`POST /mfa/passkeys`).
   * @throws MfaError with `step_up_required`, `login_time_unknown`, `too_many_factors`, `label_taken`, `not_offered`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Its challenge is lost. Start again: the new start takes its place.
   */
  startPasskey: (body?: api.PasskeyRequest, options?: CallOptions) => send<api.PasskeyAnswer>('POST', '/mfa/passkeys', options, body),
  /**
   * Hand over the new passkey, so that it counts (`POST /mfa/passkeys/confirm`).
   * @throws MfaError with `step_up_required`, `not_found`, `too_many_factors`, `label_taken`, `not_offered`, `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If the factor is `active`, go on with POST /mfa/passkeys/challenge. If `recoveryCodes.acknowledgedAt` is null, the user has not seen the recovery codes: make new ones, POST /mfa/recovery/codes.
   */
  confirmPasskey: (body: api.PasskeyConfirmRequest, options?: CallOptions) => send<api.PasskeyConfirmAnswer>('POST', '/mfa/passkeys/confirm', options, body),
  /**
   * Ask for a challenge that a passkey can answer (`POST /mfa/passkeys/challenge`).
   * @throws MfaError with `not_enrolled`, `not_offered`, `token_too_large`, or what any call may meet
   */
  challengePasskey: (body?: api.PasskeyChallengeRequest, options?: CallOptions) => send<api.PasskeyChallenge>('POST', '/mfa/passkeys/challenge', options, body),
  /**
   * Prove the second factor with a passkey (`POST /mfa/passkeys/verify`).
   * @throws MfaError with `not_enrolled`, `not_offered`, `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If `lastUsedAt` of a passkey is just now, this answer is used up and its token lost. POST /mfa/token gives a token if the session is remembered; otherwise ask for another challenge.
   */
  verifyPasskey: (body: api.PasskeyVerifyRequest, options?: CallOptions) => send<api.PasskeyVerifyAnswer>('POST', '/mfa/passkeys/verify', options, body),
  /**
   * Prove the second factor with a recovery code, or a code from an administrator (`POST /mfa/recovery`).
   * @throws MfaError with `step_up_required`, `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If one recovery code less is `remaining`, this one is used up and its token lost. POST /mfa/token gives a token if the session is remembered; otherwise use another code. An administrator's code is used up if it is refused now.
   */
  recover: (body: api.RecoverRequest, options?: CallOptions) => send<api.RecoverAnswer>('POST', '/mfa/recovery', options, body),
  /**
   * Read how many recovery codes are left (`GET /mfa/recovery`).
   * @throws MfaError with `not_enrolled`, `token_too_large`, or what any call may meet
   */
  getRecovery: (options?: CallOptions) => send<api.RecoveryStatus>('GET', '/mfa/recovery', options),
  /**
   * Make new recovery codes (`POST /mfa/recovery/codes`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status. If `recoveryCodes.acknowledgedAt` is null, the old codes may no longer work, and the new ones are lost: make new ones.
   */
  replaceRecoveryCodes: (options?: CallOptions) => send<api.NewRecoveryCodes>('POST', '/mfa/recovery/codes', options),
  /**
   * Say that the user has saved the codes (`POST /mfa/recovery/acknowledge`).
   * @throws MfaError with `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at `acknowledgedAt` of GET /mfa/recovery, or repeat the call: that does no harm.
   */
  acknowledgeRecoveryCodes: (options?: CallOptions) => send<undefined>('POST', '/mfa/recovery/acknowledge', options),
  /**
   * Get a new MFA token without a new code (`POST /mfa/token`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  renewToken: (body?: api.TokenRequest, options?: CallOptions) => send<api.SessionToken>('POST', '/mfa/token', options, body),
  /**
   * Log out: forget the second factor of this session (`DELETE /mfa/session`).
   * @throws MfaError with `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Repeat the call: that does no harm.
   */
  endSession: (options?: CallOptions) => send<undefined>('DELETE', '/mfa/session', options),
  /**
   * Sign out everywhere (`DELETE /mfa/sessions`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/status with this token: if it was done, it is `invalid_token`.
   */
  endAllSessions: (options?: CallOptions) => send<undefined>('DELETE', '/mfa/sessions', options),
  /**
   * List the user's authenticators (`GET /mfa/factors`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  listFactors: (options?: CallOptions) => send<api.FactorList>('GET', '/mfa/factors', options),
  /**
   * Rename an authenticator (`PATCH /mfa/factors/{factorId}`).
   * @throws MfaError with `step_up_required`, `not_found`, `label_taken`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/factors, or repeat the call: that does no harm.
   */
  renameFactor: (factorId: string, body: api.RenameRequest, options?: CallOptions) => send<api.Factor>('PATCH', `/mfa/factors/${encodeURIComponent(factorId)}`, options, body),
  /**
   * Remove an authenticator (`DELETE /mfa/factors/{factorId}`).
   * @throws MfaError with `step_up_required`, `not_found`, `required_by_policy`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/factors with a first-factor token. If the factor is gone, all earlier MFA tokens have ended, and a code gives a new one.
   */
  removeFactor: (factorId: string, options?: CallOptions) => send<api.TokenAnswer | undefined>('DELETE', `/mfa/factors/${encodeURIComponent(factorId)}`, options),
  /**
   * Do not ask again on this device (`POST /mfa/devices`).
   * @throws MfaError with `step_up_required`, `not_offered`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/devices. The secret is lost: remove the device, and repeat the call.
   */
  trustDevice: (body?: api.TrustRequest, options?: CallOptions) => send<api.NewDevice>('POST', '/mfa/devices', options, body),
  /**
   * List the devices that the user trusts (`GET /mfa/devices`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  listDevices: (options?: CallOptions) => send<api.DeviceList>('GET', '/mfa/devices', options),
  /**
   * Stop trusting all devices (`DELETE /mfa/devices`).
   * @throws MfaError with `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Repeat the call: that does no harm.
   */
  forgetDevices: (options?: CallOptions) => send<undefined>('DELETE', '/mfa/devices', options),
  /**
   * Get an MFA token by a trusted device (`POST /mfa/devices/use`).
   * @throws MfaError with `code_refused`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Repeat the call: that does no harm.
   */
  useDevice: (body: api.DeviceUse, options?: CallOptions) => send<api.LiftedToken>('POST', '/mfa/devices/use', options, body),
  /**
   * Stop trusting a device (`DELETE /mfa/devices/{deviceId}`).
   * @throws MfaError with `not_found`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /mfa/devices.
   */
  forgetDevice: (deviceId: string, options?: CallOptions) => send<undefined>('DELETE', `/mfa/devices/${encodeURIComponent(deviceId)}`, options),
  /**
   * Ask whether a token may pass, for gateways that decide by the status (`GET /mfa/authorize`).
   * @throws MfaError with `step_up_required`, `enrollment_required`, `login_time_unknown`, `token_too_large`, or what any call may meet
   */
  authorize: (query?: api.AuthorizeQuery, options?: CallOptions) => send<undefined>('GET', '/mfa/authorize', options, undefined, query),
  /**
   * Ask whether a token may pass, for gateways that hand the answer to the browser (`GET /mfa/forward-auth`).
   * @throws MfaError with `step_up_required`, `enrollment_required`, `login_time_unknown`, `token_too_large`, or what any call may meet
   */
  forwardAuth: (query?: api.ForwardAuthQuery, options?: CallOptions) => send<undefined>('GET', '/mfa/forward-auth', options, undefined, query),
  /**
   * Read who must have MFA (`GET /admin/policy`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  getPolicy: (options?: CallOptions) => send<api.Policy>('GET', '/admin/policy', options),
  /**
   * Set who must have MFA (`PUT /admin/policy`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `required_by_policy`, `not_offered`, `precondition_failed`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/policy: if it was done, the `version` is higher.
   */
  setPolicy: (body?: api.PolicyChange, options?: CallOptions & { ifMatch?: string }) => send<api.Policy>('PUT', '/admin/policy', options, body),
  /**
   * Count who would have to enroll under a draft policy (`POST /admin/policy/preview`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `required_by_policy`, `not_offered`, `token_too_large`, or what any call may meet
   */
  previewPolicy: (body?: api.PolicyDraft, options?: CallOptions) => send<api.PolicyPreview>('POST', '/admin/policy/preview', options, body),
  /**
   * List the users of the tenant, with what MFA asks of them (`GET /admin/users`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  listUsers: (query?: api.ListUsersQuery, options?: CallOptions) => send<api.UserPage>('GET', '/admin/users', options, undefined, query),
  /**
   * Send users from your application (`PUT /admin/users`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Repeat the call: users who are stored already are `unchanged`.
   */
  syncUsers: (body: api.UserSync, options?: CallOptions) => send<api.UserSyncResult>('PUT', '/admin/users', options, body),
  /**
   * Read what is known about a user (`GET /admin/users/{userId}`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  getUser: (userId: string, options?: CallOptions) => send<api.User>('GET', `/admin/users/${encodeURIComponent(userId)}`, options),
  /**
   * Exempt a user from the policy, or end the exemption (`PUT /admin/users/{userId}/exemption`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `required_by_policy`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/users/{userId}.
   */
  setExemption: (userId: string, body: api.ExemptionChange, options?: CallOptions) => send<api.User>('PUT', `/admin/users/${encodeURIComponent(userId)}/exemption`, options, body),
  /**
   * Set until when a user may go on without a factor (`PUT /admin/users/{userId}/grace`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `required_by_policy`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/users/{userId}.
   */
  setGrace: (userId: string, body: api.GraceChange, options?: CallOptions) => send<api.User>('PUT', `/admin/users/${encodeURIComponent(userId)}/grace`, options, body),
  /**
   * Reset a user: remove all authenticators and codes (`POST /admin/users/{userId}/reset`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/users/{userId}: if there are no `factors`, it was done. The code of `requireCode` is lost: POST /admin/users/{userId}/bypass gives another.
   */
  resetUser: (userId: string, body: api.ResetRequest, options?: CallOptions) => send<api.BypassAnswer | undefined>('POST', `/admin/users/${encodeURIComponent(userId)}/reset`, options, body),
  /**
   * End a user's waits and locks (`POST /admin/users/{userId}/unlock`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at `locks` of GET /admin/users/{userId}, or repeat the call.
   */
  unlockUser: (userId: string, body: api.UserAction, options?: CallOptions) => send<undefined>('POST', `/admin/users/${encodeURIComponent(userId)}/unlock`, options, body),
  /**
   * Give a user a bypass code for one login (`POST /admin/users/{userId}/bypass`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. The code is lost. Repeat the call: a newer one takes its place.
   */
  issueBypass: (userId: string, body: api.BypassRequest, options?: CallOptions) => send<api.BypassAnswer>('POST', `/admin/users/${encodeURIComponent(userId)}/bypass`, options, body),
  /**
   * Sign a user out everywhere (`POST /admin/users/{userId}/sign-out`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Repeat the call: that does no harm.
   */
  signOutUser: (userId: string, body: api.UserAction, options?: CallOptions) => send<undefined>('POST', `/admin/users/${encodeURIComponent(userId)}/sign-out`, options, body),
  /**
   * End the trust in all of a user's devices (`DELETE /admin/users/{userId}/devices`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at `devices` of GET /admin/users/{userId}, or repeat the call.
   */
  revokeDevices: (userId: string, body: api.UserAction, options?: CallOptions) => send<undefined>('DELETE', `/admin/users/${encodeURIComponent(userId)}/devices`, options, body),
  /**
   * End the trust in one of a user's devices (`DELETE /admin/users/{userId}/devices/{deviceId}`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at `devices` of GET /admin/users/{userId}.
   */
  revokeDevice: (userId: string, deviceId: string, body: api.UserAction, options?: CallOptions) => send<undefined>('DELETE', `/admin/users/${encodeURIComponent(userId)}/devices/${encodeURIComponent(deviceId)}`, options, body),
  /**
   * Erase a user (`POST /admin/users/{userId}/erase`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/users/{userId}: if it was done, it is `not_found`.
   */
  eraseUser: (userId: string, body: api.UserAction, options?: CallOptions) => send<undefined>('POST', `/admin/users/${encodeURIComponent(userId)}/erase`, options, body),
  /**
   * Count who has MFA, in total and by group (`GET /admin/stats`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  getStats: (options?: CallOptions) => send<api.Stats>('GET', '/admin/stats', options),
  /**
   * What happened in the tenant, newest first (`GET /admin/audit`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  listAuditEvents: (query?: api.ListAuditEventsQuery, options?: CallOptions) => send<api.AuditPage>('GET', '/admin/audit', options, undefined, query),
  /**
   * Check that the audit was not changed (`GET /admin/audit/verify`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  verifyAudit: (options?: CallOptions) => send<api.AuditVerdict>('GET', '/admin/audit/verify', options),
  /**
   * List webhook events that were not delivered, newest first (`GET /admin/notices`).
   * @throws MfaError with `step_up_required`, `not_enrolled`, `token_too_large`, or what any call may meet
   */
  listUndeliveredWebhookEvents: (query?: api.ListUndeliveredWebhookEventsQuery, options?: CallOptions) => send<api.UndeliveredPage>('GET', '/admin/notices', options, undefined, query),
  /**
   * Retry a webhook event (`POST /admin/notices/{id}/retry`).
   * @throws MfaError with `step_up_required`, `not_found`, `not_enrolled`, `token_too_large`, `outcome_unknown`, or what any call may meet
   * With `outcome_unknown`: It may have been done. Look at GET /admin/notices, or repeat the call: that does no harm.
   */
  retryWebhookEvent: (id: string, options?: CallOptions) => send<undefined>('POST', `/admin/notices/${encodeURIComponent(id)}/retry`, options),
  /**
   * Read the public keys of the MFA tokens (`GET /.well-known/jwks.json`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getJwks: (options?: CallOptions) => send<api.JwkSet>('GET', '/.well-known/jwks.json', options),
  /**
   * Check that the process is alive (`GET /health/live`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getLiveness: (options?: CallOptions) => send<api.Health>('GET', '/health/live', options),
  /**
   * Check that the replica can serve (`GET /health/ready`).
   * @throws MfaError with `token_too_large`, or what any call may meet
   */
  getReadiness: (options?: CallOptions) => send<api.Health>('GET', '/health/ready', options)
})
