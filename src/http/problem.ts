import type { Acr } from './auth/caller.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The error that was answered. */
    problem?: Problem
  }
}

/** Every error that a client can meet (RFC 9457), with the sentence that says what to do next. */
export const PROBLEMS = {
  invalid_request: {
    status: 400,
    title: 'Invalid request',
    detail: 'Correct the fields named in `errors`. /openapi.json has the operation.'
  },
  invalid_token: {
    status: 401,
    title: 'Invalid token',
    detail: 'Send a valid token as `Authorization: Bearer …`. If it has expired, sign in again.'
  },
  step_up_required: {
    status: 401,
    title: 'A fresh second factor or login is needed',
    detail:
      'Do what `action` says, then repeat the call with the new token. `verify`: POST /mfa/verify, or with a passkey ' +
      'POST /mfa/passkeys/verify. `login`: sign in again. `recovery`: a code from an administrator, at POST /mfa/recovery.'
  },
  forbidden: { status: 403, title: 'Forbidden', detail: 'Ask an administrator for the role that this needs, or use another account.' },
  enrollment_required: {
    status: 403,
    title: 'A second factor must be set up first',
    detail: 'Set one up at the page that `X-MFA-Location` names, or by POST /mfa/enroll or POST /mfa/passkeys.'
  },
  login_time_unknown: {
    status: 403,
    title: 'The token does not say when the login was',
    detail:
      'Do not sign in again: the next token will not say it either. The operator must have the issuer send `auth_time`, or set ' +
      '`iatIsLogin` (docs/issuers.md). Until then, a code from an administrator lets a user enroll, at POST /mfa/recovery.'
  },
  factor_locked: {
    status: 403,
    title: 'The factor is locked after too many wrong codes',
    detail: 'Use a recovery code at POST /mfa/recovery, or ask an administrator to unlock it.'
  },
  not_found: { status: 404, title: 'Not found', detail: 'There is nothing with this id, or it is not yours. Check the id.' },
  method_not_allowed: { status: 405, title: 'Method not allowed', detail: 'Use one of the methods in `Allow`.' },
  required_by_policy: {
    status: 409,
    title: 'The policy requires it',
    detail: 'The policy requires MFA of this user. Add another authenticator before you remove the last one.'
  },
  too_many_factors: {
    status: 409,
    title: 'Too many authenticators',
    detail: 'Remove one first. A user can have five authenticators and ten passkeys.'
  },
  not_enrolled: {
    status: 409,
    title: 'Not enrolled',
    detail: 'This user has no second factor yet. Set one up first: POST /mfa/enroll or POST /mfa/passkeys.'
  },
  not_offered: {
    status: 409,
    title: 'Not offered here',
    detail: 'This deployment has no passkeys for this tenant. `offers` in GET /mfa/status says what can be set up.'
  },
  label_taken: { status: 409, title: 'Another authenticator has this label', detail: 'Choose another label.' },
  precondition_failed: {
    status: 412,
    title: 'It was changed meanwhile',
    detail: 'Read it again and repeat the change with the new `ETag` in `If-Match`.'
  },
  payload_too_large: { status: 413, title: 'The body is too large', detail: 'Send at most 16 KiB, or 1 MiB to PUT /admin/users.' },
  token_too_large: {
    status: 431,
    title: 'The token or the headers are too large',
    detail:
      'Send a token of at most 32 KiB, and other headers of at most 32 KiB together. If the token names many groups or roles, have its ' +
      'issuer name fewer.'
  },
  unsupported_media_type: { status: 415, title: 'Unsupported media type', detail: 'Send `Content-Type: application/json` in UTF-8.' },
  code_refused: {
    status: 422,
    title: 'The code was refused',
    detail:
      'Wait for the next code. It changes every 30 seconds, and each counts once. If codes keep being refused, set the date and time ' +
      'of the phone to automatic.'
  },
  too_many_attempts: {
    status: 429,
    title: 'Too many attempts',
    detail: 'Wait for `Retry-After` seconds. A code that is sent earlier is not checked and stays unused.'
  },
  internal: {
    status: 500,
    title: 'Something went wrong here',
    detail: 'Do not rely on anything having been accepted. Tell the operator the request id in `instance`.'
  },
  unavailable: {
    status: 503,
    title: 'Not available at the moment',
    detail: 'Nothing was accepted. Repeat the call after `Retry-After` seconds.'
  },
  outcome_unknown: {
    status: 503,
    title: 'It is not known whether this was done',
    detail: 'It may have been done. Look at GET /mfa/status before you repeat it.'
  }
} as const satisfies Record<string, { status: number, title: string, detail: string }>

export type ProblemCode = keyof typeof PROBLEMS

/** What to do next, where the code of a problem alone does not say. */
export const DETAILS = {
  path: 'There is no such path. GET /openapi.json lists all of them.',
  setUpOver:
    'This set-up is over: ten minutes have passed, five answers were wrong, or another set-up was started since. Start again.',
  recoveryCode: 'Use another recovery code. Each works once. Check this one for typing errors first.',
  passkey:
    "The passkey's answer does not count. Ask for another challenge, POST /mfa/passkeys/challenge, and try again, or use another factor.",
  noPasskey: 'This user has no passkey that can be used here. Set one up first: POST /mfa/passkeys.',
  noAuthenticator:
    'This user has no authenticator app. Set one up first, POST /mfa/enroll, or use a factor that they have: ' +
    'GET /mfa/status names them in `factors`.',
  phr: 'Only a passkey counts here. POST /mfa/passkeys/challenge, then POST /mfa/passkeys/verify, and repeat the call with the new token.',
  phrChange:
    'Only a passkey counts for this user. POST /mfa/passkeys/challenge, then POST /mfa/passkeys/verify, or use a recovery code at ' +
    'POST /mfa/recovery. Then repeat the call with the new token.',
  phrSetUp:
    'Only a passkey counts for this user. Prove one, POST /mfa/passkeys/challenge, or use a recovery code or a code from an ' +
    'administrator, POST /mfa/recovery. Then repeat the call with the new token.',
  phrAudience:
    'Only a passkey counts for this user, for applications too. Repeat the call without `audience`, then POST /mfa/passkeys/challenge ' +
    'and POST /mfa/passkeys/verify.',
  lastPasskey: 'The policy requires a passkey of this user. Add another one before you remove the last.',
  device: 'This device is not trusted, or not any more. Forget its token, and ask for a second factor.',
  noDevices:
    'This user cannot trust devices here: the policy does not let them (`trustedDeviceDays` in GET /mfa/status), or the tokens of their ' +
    'issuer name no login session.',
  bypassCode: 'Ask an administrator for a new code. Each works once, and for 15 minutes at most. Check this one for typing errors first.',
  noCodes: 'This user has no recovery codes. POST /mfa/recovery/codes makes them, once there is a second factor.',
  nothingToReset: 'This user has no authenticators and no recovery codes: there is nothing to reset.',
  floor: 'The deployment asks for more than that. Its `floor` is in GET /admin/policy.',
  enroll: 'Set one up: POST /mfa/enroll.',
  loginFirst: 'The login is too old to set one up. Sign in again, then POST /mfa/enroll.',
  origin: 'A page of another origin may call only if CORS_ORIGINS has exactly its origin.',
  flood: 'Too many requests came from this address in one minute. Wait for `Retry-After` seconds.',
  http: 'Send a complete HTTP/1.1 request with one Host header.',
  clock:
    'The clock of this server is wrong, so it checks no codes. Nothing was accepted or counted. Repeat the call after `Retry-After` ' +
    'seconds.',
  slow: 'The request did not arrive in time. Send it again without pauses.'
} as const

/** Why a caller may not do something, as the audit has it, and what would help. */
export const FORBIDDEN = {
  machine: 'This call needs a user. A machine can only do what `mfa:auditor` and `mfa:sync` allow.',
  disabled: 'This user is disabled. The application that disabled them can let them in again.',
  oneself: 'You can\'t do this to yourself. Another administrator can, or `npm run admin` where the service runs.',
  'support of an administrator': 'This user has had an `mfa:` role. Only `mfa:admin` can help them; `mfa:support` is not enough.',
  'factor set up after a recovery':
    "This authenticator was set up after a recovery code, or without the code that was required. It can't be used to administer for " +
    'ADMIN_FACTOR_AGE_SECONDS.',
  'page of another site': 'A call without `Authorization` needs `Content-Type: application/json`, or a page of the same site.'
} as const

/** @param roles each of which would do */
export const needsRole = (roles: readonly string[]): string =>
  `This needs the role ${roles.map(role => `\`${role}\``).join(' or ')}, in a token whose issuer may grant it.`

export interface FieldError { field: string, message: string }

export interface ProblemOptions {
  /** What to do next, if that is not the code's own. */
  detail?: string
  /** Which fields are wrong and why; never what they held. */
  errors?: FieldError[]
  action?: 'verify' | 'login' | 'recovery'
  /** What has to be proved, where that is more than `mfa`. */
  acr?: Acr | undefined
  maxAge?: number
  retryAfter?: number
  /** Another status than the code's own. */
  status?: number
  cause?: unknown
}

/** An answer that is thrown. `cause` is for the log alone. */
export class Problem extends Error {
  override name = 'Problem'
  constructor (readonly code: ProblemCode, readonly options: ProblemOptions = {}) {
    super(code, { cause: options.cause })
  }

  get status (): number { return this.options.status ?? PROBLEMS[this.code].status }
}

export interface ProblemBody {
  type: string
  title: string
  status: number
  detail: string
  instance: string
  code: ProblemCode
  errors?: FieldError[]
  action?: string
  acr?: Acr
}

export const problemType = (code: ProblemCode): string => `urn:headless-mfa:problem:${code}`

export function problemBody (
  code: ProblemCode,
  requestId: string,
  { detail = PROBLEMS[code].detail, errors, action, acr, status = PROBLEMS[code].status }: ProblemOptions = {}
): ProblemBody {
  return {
    type: problemType(code),
    title: PROBLEMS[code].title,
    status,
    detail,
    instance: `urn:request:${requestId}`,
    code,
    ...(errors !== undefined && { errors }),
    ...(action !== undefined && { action }),
    ...(acr !== undefined && { acr })
  }
}

const RETRY_SECONDS = 2

/** Headers that go with a problem: the challenges of RFC 6750 §3 and RFC 9470 §3, and `Retry-After`. */
export function problemHeaders (
  code: ProblemCode,
  { action, acr = 'mfa', maxAge, retryAfter, status }: ProblemOptions
): Record<string, string> {
  switch (code) {
    case 'invalid_token': return { 'www-authenticate': 'Bearer error="invalid_token"' }
    case 'step_up_required': {
      const parts = [
        'error="insufficient_user_authentication"',
        ...(action === 'login' ? [] : [`acr_values="${acr}"`]),
        ...(maxAge === undefined ? [] : [`max_age=${maxAge}`])
      ]
      return { 'www-authenticate': `Bearer ${parts.join(', ')}` }
    }
    // A 401 has a challenge, whatever it is about (RFC 9110 §11.6.1).
    case 'enrollment_required':
    case 'login_time_unknown':
      return status === 401 ? { 'www-authenticate': `Bearer error="insufficient_user_authentication", acr_values="${acr}"` } : {}
    case 'too_many_attempts':
    case 'unavailable': return { 'retry-after': String(retryAfter ?? RETRY_SECONDS) }
    default: return {}
  }
}
