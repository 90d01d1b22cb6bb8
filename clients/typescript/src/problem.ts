import type { Problem as AnyProblem } from './schema.ts'

type Code = AnyProblem['code']
type WithErrors = 'invalid_request' | 'required_by_policy'
type WithWait = 'too_many_attempts' | 'unavailable'
type Of<C extends string, More = unknown> = Omit<AnyProblem, 'code' | 'errors' | 'action' | 'acr' | 'cause'> & { code: C } & More

/** Why a call was refused (RFC 9457), by its `code`. `detail` says what to do next, for front-end developers. */
export type Problem =
  | Of<Exclude<Code, WithErrors | WithWait | 'step_up_required' | 'invalid_token'>>
  /** Outside production: what of the token did not fit, and what was expected. */
  | Of<'invalid_token', { cause?: string }>
  /** Which fields are wrong, and why. */
  | Of<WithErrors, { errors: NonNullable<AnyProblem['errors']> }>
  /** In how many seconds to try again. */
  | Of<WithWait, { retryAfter: number }>
  | StepUp
  /** No answer of the service: the connection is gone, or something else answered. Whether the call counted is not known. */
  | Of<'unreachable', { cause?: unknown }>

/** A good token, but more is needed first: a code or a passkey, a new login, or an administrator's code. */
export type StepUp = Of<'step_up_required', {
  action: 'verify' | 'login' | 'recovery'
  /** `phr`: only a passkey counts. */
  acr?: 'phr'
  /** How old, in seconds, the code or the login may be. */
  maxAge?: number
}>

/** What a call rejects with. */
export class MfaError extends Error {
  override readonly name = 'MfaError'
  constructor (readonly problem: Problem) { super(`${problem.code}: ${problem.detail}`) }
}

/**
 * The problem of a caught error, to switch over.
 * @throws the error itself if it is of another kind
 */
export function problemOf (error: unknown): Problem {
  if (error instanceof MfaError) return error.problem
  throw error
}

export function problemOfAnswer (response: Response, body: AnyProblem): Problem {
  const maxAge = /max_age=(\d+)/.exec(response.headers.get('www-authenticate') ?? '')?.[1]
  switch (body.code) {
    case 'invalid_request':
    case 'required_by_policy': return { errors: [], ...body } as Problem
    case 'too_many_attempts':
    case 'unavailable': return { ...body, retryAfter: Number(response.headers.get('retry-after')) || 1 } as Problem
    case 'step_up_required': return { ...body, ...(maxAge !== undefined && { maxAge: Number(maxAge) }) } as Problem
    default: return body as Problem
  }
}

export const unreachable = (status: number, cause?: unknown): Problem => ({
  type: 'urn:headless-mfa:problem:unreachable',
  title: 'No answer of the service',
  status,
  detail: 'Ask the user to try again, and see whether `baseUrl` leads to the service.',
  instance: '',
  code: 'unreachable',
  cause
})
