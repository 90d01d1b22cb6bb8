declare module 'fastify' {
  interface FastifyRequest {
    /** Of the error that was answered. */
    problemCode?: ProblemCode
  }
}

/** Every error that a client can meet (RFC 9457), with the sentence that says what to do next. */
export const PROBLEMS = {
  invalid_request: { status: 400, title: 'The request is not well-formed', detail: 'Correct the fields named in `errors`, or see the operation in /openapi.json.' },
  invalid_token: { status: 401, title: 'No token that is accepted here', detail: 'Send a valid token as `Authorization: Bearer …`; sign in again if it has ended.' },
  step_up_required: { status: 401, title: 'This needs a fresher or stronger sign-in', detail: 'Do what `action` says, then repeat the call with the new token: `verify` is POST /mfa/verify, `login` a new sign-in, `recovery` a code from an administrator.' },
  forbidden: { status: 403, title: 'The caller may not do this', detail: 'Ask an administrator for the role, or use another account.' },
  enrollment_required: { status: 403, title: 'A second factor must be set up first', detail: 'Enroll: POST /mfa/enroll, or the page that `X-MFA-Location` names.' },
  factor_locked: { status: 403, title: 'Too many failures: the factor is locked', detail: 'Use another kind of factor (a recovery code at POST /mfa/recovery), or ask an administrator to unlock it.' },
  not_found: { status: 404, title: 'No such thing, or not yours', detail: 'Check the path and the id; a pending factor ends after ten minutes or five wrong codes: start again with POST /mfa/enroll.' },
  method_not_allowed: { status: 405, title: 'Not a method of this resource', detail: 'Use one of the methods in `Allow`.' },
  required_by_policy: { status: 409, title: 'The policy requires it', detail: 'Add another authenticator before you remove the last one; of the policy and exemptions, ask for no less than the `floor` of GET /admin/policy.' },
  too_many_factors: { status: 409, title: 'No more authenticators can be added', detail: 'Remove one of the five first.' },
  not_enrolled: { status: 409, title: 'There is no active factor', detail: 'Enroll first: POST /mfa/enroll.' },
  label_taken: { status: 409, title: 'Another authenticator has this label', detail: 'Choose another label.' },
  precondition_failed: { status: 412, title: 'It was changed meanwhile', detail: 'Read it again and repeat the change with the new `ETag` in `If-Match`.' },
  payload_too_large: { status: 413, title: 'The body is too large', detail: 'Send at most 16 KiB; to PUT /admin/users 1 MiB.' },
  token_too_large: { status: 431, title: 'The token, or the headers, are too large', detail: 'Send a token of at most 32 KiB, and other headers of at most 32 KiB together; if the token names many groups or roles, let its issuer name fewer.' },
  unsupported_media_type: { status: 415, title: 'Not a media type that is read here', detail: 'Send `Content-Type: application/json` in UTF-8.' },
  code_refused: { status: 422, title: 'The code was refused', detail: 'Ask for the next code; an authenticator\'s code changes every 30 seconds and counts once.' },
  too_many_attempts: { status: 429, title: 'Too many attempts', detail: 'Wait for `Retry-After` seconds. A code sent before is not looked at and stays unused.' },
  internal: { status: 500, title: 'Something went wrong here', detail: 'Nothing is known to have been accepted. Tell the operator the request id in `instance`.' },
  unavailable: { status: 503, title: 'Not available at the moment', detail: 'Nothing was accepted. Repeat the call after `Retry-After` seconds.' }
} as const satisfies Record<string, { status: number, title: string, detail: string }>

export type ProblemCode = keyof typeof PROBLEMS

export interface FieldError { field: string, message: string }

export interface ProblemOptions {
  /** Which fields are wrong and why; never what they held. */
  errors?: FieldError[]
  action?: 'verify' | 'login' | 'recovery'
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
}

export const problemType = (code: ProblemCode): string => `urn:headless-mfa:problem:${code}`

export function problemBody (code: ProblemCode, requestId: string, { errors, action, status = PROBLEMS[code].status }: ProblemOptions = {}): ProblemBody {
  const { title, detail } = PROBLEMS[code]
  return {
    type: problemType(code),
    title,
    status,
    detail,
    instance: `urn:request:${requestId}`,
    code,
    ...(errors !== undefined && { errors }),
    ...(action !== undefined && { action })
  }
}

const RETRY_SECONDS = 2

/** Headers that go with a problem: the challenges of RFC 6750 §3 and RFC 9470 §3, and `Retry-After`. */
export function problemHeaders (code: ProblemCode, { action, maxAge, retryAfter, status }: ProblemOptions): Record<string, string> {
  switch (code) {
    case 'invalid_token': return { 'www-authenticate': 'Bearer error="invalid_token"' }
    case 'step_up_required': {
      const parts = ['error="insufficient_user_authentication"', ...(action === 'login' ? [] : ['acr_values="mfa"']), ...(maxAge === undefined ? [] : [`max_age=${maxAge}`])]
      return { 'www-authenticate': `Bearer ${parts.join(', ')}` }
    }
    // A 401 has a challenge, whatever it is about (RFC 9110 §11.6.1).
    case 'enrollment_required': return status === 401 ? { 'www-authenticate': 'Bearer error="insufficient_user_authentication", acr_values="mfa"' } : {}
    case 'too_many_attempts':
    case 'unavailable': return { 'retry-after': String(retryAfter ?? RETRY_SECONDS) }
    default: return {}
  }
}
