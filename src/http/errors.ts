import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ActorGoneError } from '../platform/db/actor-gone.ts'
import { CallerGoneError, OutcomeUnknownError, UnavailableError } from '../platform/unavailable.ts'
import type { Refusals } from './auth/refusals.ts'
import { RefusedToken } from './auth/refused-token.ts'
import { BASE_HEADERS } from './base-headers.ts'
import { DETAILS, type FieldError, Problem, problemBody, type ProblemCode, problemHeaders } from './problem.ts'

/** Every error becomes a problem document: ours, the framework's, the parser's. Register it before any plugin. */
export function registerErrors (app: FastifyInstance, refusals: Refusals): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (error instanceof CallerGoneError) return reply.hijack()
    const problem = toProblem(error, request)
    return sendProblem(request, reply, problem, problem instanceof RefusedToken ? refusals.tell(request, problem) : undefined)
  })
  app.addHook('onClose', async () => { refusals.end() })
}

/** @param reason why a token was refused, where the caller may know */
export function sendProblem (request: FastifyRequest, reply: FastifyReply, problem: Problem, reason?: string): FastifyReply {
  const { headers, body } = documentOf(request, problem, reason)
  return reply.code(problem.status).headers(headers).serializer(String).send(body)
}

/** The same where the framework has no say any more. */
export function writeProblem (request: FastifyRequest, reply: FastifyReply, problem: Problem): void {
  const { headers, body } = documentOf(request, problem)
  reply.hijack().raw.writeHead(problem.status, {
    ...reply.getHeaders() as Record<string, string>,
    ...headers,
    'content-length': Buffer.byteLength(body)
  }).end(body)
}

function documentOf (request: FastifyRequest, problem: Problem, reason?: string): { headers: Record<string, string>, body: string } {
  const { code, options, status, cause } = problem
  request.problem = problem
  if (status >= 500) request.log.error({ err: cause, code }, 'request failed')
  return {
    // The base's too: what the framework refuses before a route is found has met no hook.
    headers: {
      ...BASE_HEADERS,
      'x-request-id': request.id,
      ...problemHeaders(code, options),
      'content-type': 'application/problem+json; charset=utf-8'
    },
    body: JSON.stringify({ ...problemBody(code, request.id, options), ...(reason !== undefined && { cause: reason }) })
  }
}

/** What the operation says in the specification. */
export const ifUnknownOf = (request: FastifyRequest | undefined): string =>
  (request?.routeOptions.schema as { 'x-outcome-unknown': string })['x-outcome-unknown']

/** What the framework and its parser throw before our code runs, by their codes. */
const FRAMEWORK: Record<string, Problem['code']> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_request',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_request',
  FST_ERR_BAD_URL: 'not_found',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
  FST_ERR_ASYNC_CONSTRAINT: 'invalid_request'
}

export function toProblem (error: FastifyError, request?: FastifyRequest): Problem {
  if (error instanceof Problem) return error
  if (error instanceof ActorGoneError) return new RefusedToken({ cause: 'revoked' })
  if (error instanceof OutcomeUnknownError) return new Problem('outcome_unknown', { cause: error, detail: ifUnknownOf(request) })
  if (error instanceof UnavailableError) return new Problem('unavailable', { cause: error })
  if (error.validation !== undefined) {
    return new Problem('invalid_request', { errors: fieldErrors(error.validation, error.validationContext) })
  }
  const code = FRAMEWORK[error.code] ?? (error.statusCode === 400 || error instanceof SyntaxError ? 'invalid_request' : 'internal')
  switch (code) {
    case 'internal': return new Problem(code, { cause: error })
    case 'invalid_request': return new Problem(code, { errors: [{ field: 'body', message: 'is not valid JSON' }] })
    case 'not_found': return new Problem(code, { detail: DETAILS.path })
    default: return new Problem(code)
  }
}

/** A schema may say in its `x-message` what a field must be, where a pattern would not tell a reader. */
export const SAYS_WHAT_IS_MEANT = { keywords: ['x-message'], verbose: true }

type Failure = NonNullable<FastifyError['validation']>[number] & { parentSchema?: { 'x-message'?: string } }

/** Names the field and what it must be, never what it held. */
function fieldErrors (failures: NonNullable<FastifyError['validation']>, part: FastifyError['validationContext']): FieldError[] {
  const place = part === 'body' ? '' : `${part as string}.`
  return mostTelling(failures).map(({ instancePath, keyword, params, message, parentSchema }) => {
    const path = instancePath.slice(1).replaceAll('/', '.')
    if (keyword === 'required') return { field: place + join(path, String(params.missingProperty)), message: 'is required' }
    // The name of an unknown field is the caller's text too: it is shortened to what a field name may be.
    if (keyword === 'additionalProperties') {
      return { field: place + join(path, fieldName(String(params.additionalProperty))), message: 'is unknown' }
    }
    const listed = keyword === 'enum' ? params.allowedValues as string[] : keyword === 'const' ? [params.allowedValue as string] : undefined
    const text = listed === undefined ? message as string : `must be ${listed.length > 1 ? 'one of ' : ''}${listed.join(', ')}`
    return { field: place + (path === '' ? 'body' : path), message: parentSchema?.['x-message'] ?? text }
  })
}

/** Of a choice between shapes each shape has its failures: what is wrong deepest inside of one tells most, else that none fits. */
function mostTelling (failures: Failure[]): Failure[] {
  const choice = failures.find(({ keyword }) => keyword === 'anyOf')
  if (choice === undefined) return failures
  const inside = failures.filter(({ instancePath }) => instancePath.length > choice.instancePath.length)
  return inside.length > 0 ? inside : [choice]
}

const join = (path: string, name: string): string => `${path}.${name}`.replace(/^\./, '')
const fieldName = (name: string): string => /^[A-Za-z][A-Za-z0-9]{0,31}$/.test(name) ? name : '(a field)'

/** What Node's parser refuses before there is a request, by its codes; anything else is ambiguous framing or no HTTP. */
const PARSER: Record<string, [status: number, reason: string, code: ProblemCode, detail?: string]> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'token_too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'invalid_request', DETAILS.slow]
}

/** Answers it, if the caller is still there. */
export function answerClientError (
  error: Error & { code?: string },
  socket: Socket,
  onRefused: (socket: Socket, status: number) => void
): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const [status, reason, code, detail] = PARSER[String(error.code)] ?? [400, 'Bad Request', 'invalid_request', DETAILS.http]
  const body = JSON.stringify(problemBody(code, 'unparsed', { status, ...(detail !== undefined && { detail }) }))
  if (socket.writable) {
    onRefused(socket, status)
    socket.write(
      `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/problem+json; charset=utf-8\r\nContent-Length: ` +
      `${Buffer.byteLength(body)}\r\n` +
      `${Object.entries(BASE_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`).join('')}Connection: close\r\n\r\n${body}`)
  }
  socket.destroySoon()
}
