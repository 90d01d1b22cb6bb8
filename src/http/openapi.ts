import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { Type } from 'typebox'
import type { TSchema } from 'typebox'
import { problemBody, PROBLEMS, type ProblemCode, problemType } from './problem.ts'

const EXAMPLE_REQUEST = '0b6b2b2e-5a53-4d4e-9a53-3f9d3f1c2a10'

/** RFC 9457; `code` says which of the service's errors it is. */
export const ProblemSchema = Type.Object({
  type: Type.String({ format: 'uri', examples: [problemType('code_refused')] }),
  title: Type.String(),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  detail: Type.String({ description: 'What to do next.' }),
  instance: Type.String({ description: 'Carries the request id.' }),
  code: Type.Enum(Object.keys(PROBLEMS) as [string, ...string[]]),
  errors: Type.Optional(
    Type.Array(Type.Object({ field: Type.String(), message: Type.String() }), {
      description: 'With `invalid_request`, and with `required_by_policy` for a policy: the fields. Never their values.'
    })
  ),
  action: Type.Optional(Type.Enum(['verify', 'login', 'recovery'], { description: 'With `step_up_required`: what helps.' })),
  acr: Type.Optional(
    Type.Enum(['phr'], { description: 'Only a passkey counts: of `step_up_required`, and for gateways of what must be set up.' })
  ),
  cause: Type.Optional(
    Type.String({
      description: 'With `invalid_token`, only outside production: what did not fit, and what was expected.',
      examples: ['aud is "account", expected "headless-mfa" (JWT_AUDIENCE)']
    })
  )
}, { $id: 'Problem', description: 'An error (RFC 9457).' })

interface Answer { schema?: TSchema, description: string, contentTypes?: Record<string, { schema: TSchema }> }

interface Operation {
  id: string
  tag:
    | 'Enroll'
    | 'Verify'
    | 'Recovery'
    | 'Session'
    | 'Factors'
    | 'Devices'
    | 'Gateway'
    | 'Status'
    | 'Policy'
    | 'Users'
    | 'Audit'
    | 'Webhooks'
    | 'Operation'
  summary: string
  description?: string
  /** No token needed. */
  isPublic?: true
  /** Under no flood limit. */
  isUncounted?: true
  body?: TSchema
  params?: TSchema
  querystring?: TSchema
  headers?: TSchema
  answers: Record<number, Answer>
  /** Of what changes something: where its caller sees whether it was done, if the database's answer was lost, and what to do then. */
  ifUnknown?: string
  /** What this operation can answer besides what all with a token can. */
  errors: ProblemCode[]
  /** What they say here, if that is not the code's own. */
  details?: Partial<Record<ProblemCode, string>>
}

/** Every call can meet these, */
const EVERYWHERE: ProblemCode[] = ['invalid_request', 'token_too_large']
/** and with a token these. */
const WITH_TOKEN: ProblemCode[] = ['invalid_token', 'forbidden', 'too_many_attempts', 'unavailable', 'internal']
const WITH_BODY: ProblemCode[] = ['payload_too_large', 'unsupported_media_type']

export const NO_QUERY = Type.Object({}, { additionalProperties: false })

/** A route's schema and its part of the specification at once: what is documented is what is checked. */
export function operation (
  {
    id,
    tag,
    summary,
    description,
    isPublic,
    isUncounted,
    body,
    params,
    querystring = NO_QUERY,
    headers,
    answers,
    ifUnknown,
    errors,
    details = {}
  }: Operation
): FastifySchema {
  const codes = new Set([
    ...EVERYWHERE,
    ...(isPublic === undefined ? WITH_TOKEN : []),
    ...(body === undefined ? [] : WITH_BODY),
    ...errors,
    ...(ifUnknown === undefined ? [] : ['outcome_unknown' as const])
  ])
  const unknown = ifUnknown === undefined ? {} : { outcome_unknown: `It may have been done. ${ifUnknown}` }
  if (isUncounted) codes.delete('too_many_attempts')
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    security: isPublic === undefined ? [{ bearer: [] }] : [],
    ...(body !== undefined && { body }),
    ...(params !== undefined && { params }),
    ...(headers !== undefined && { headers: withoutExamples(headers) }),
    querystring: withoutExamples(querystring),
    ...(ifUnknown !== undefined && { 'x-outcome-unknown': unknown.outcome_unknown }),
    response: {
      ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, toResponse(answer)])),
      ...problemResponses([...codes], { ...details, ...unknown })
    }
  } as FastifySchema
}

/** Consoles fill in what has an example, and an optional filter that the user did not choose would find nothing. */
const withoutExamples = (schema: TSchema): TSchema => {
  const { properties } = schema as { properties: Record<string, TSchema> }
  return {
    ...schema,
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, { examples: _, ...rest }]: [string, TSchema & { examples?: unknown }]) => [name, rest])
    )
  }
}

const toResponse = ({ schema, description, contentTypes }: Answer): object => schema === undefined && contentTypes === undefined
  ? { description, type: 'null' }
  : { description, content: { ...(schema !== undefined && { 'application/json': { schema } }), ...contentTypes } }

function problemResponses (codes: ProblemCode[], details: NonNullable<Operation['details']>): Record<number, object> {
  return Object.fromEntries([...byStatus(codes)].map(([status, some]) => [status, {
    description: some.map(code => `\`${code}\`: ${PROBLEMS[code].title}.`).join(' '),
    content: {
      'application/problem+json': {
        schema: Type.Ref('Problem'),
        examples: Object.fromEntries(
          some.map(
            code => [code, {
              value: problemBody(code, EXAMPLE_REQUEST, {
                ...exampleOptions(code),
                ...(details[code] !== undefined && { detail: details[code] })
              })
            }]
          )
        )
      }
    }
  }]))
}

function byStatus (codes: ProblemCode[]): Map<number, ProblemCode[]> {
  const groups = new Map<number, ProblemCode[]>()
  for (const code of codes) groups.set(PROBLEMS[code].status, [...groups.get(PROBLEMS[code].status) ?? [], code])
  return groups
}

function exampleOptions (code: ProblemCode): Parameters<typeof problemBody>[2] {
  if (code === 'invalid_request') return { errors: [{ field: 'code', message: 'must be six digits, as a string' }] }
  return code === 'step_up_required' ? { action: 'verify' } : {}
}

const TAGS = [
  { name: 'Status', description: 'Who the user is, and what must happen next.' },
  { name: 'Enroll', description: 'Set up an authenticator by QR code or typed secret, and prove a code.' },
  { name: 'Verify', description: 'Prove a second factor, and get an MFA token.' },
  { name: 'Recovery', description: 'Codes for a lost phone.' },
  { name: 'Session', description: 'One code per login instead of one every 15 minutes; and log-out.' },
  { name: 'Factors', description: 'The user\'s own authenticators.' },
  { name: 'Devices', description: 'Devices that are not asked again for some days, where the policy lets users trust them.' },
  { name: 'Gateway', description: 'What a gateway asks before it lets a request through.' },
  { name: 'Policy', description: 'For administrators: who must have MFA, and who a draft would ask.' },
  { name: 'Users', description: 'For administrators: who has MFA, who must, and help for users who lost a phone or are attacked.' },
  { name: 'Audit', description: 'For administrators: what happened, and proof that it was not changed.' },
  { name: 'Webhooks', description: 'Webhook events that your endpoint gets. For administrators: those that did not arrive.' },
  { name: 'Operation', description: 'Keys, probes and numbers.' }
]

/** Collects the routes into an OpenAPI 3.1 document, beside the calls that we make. Register it before them. */
export async function registerOpenapi (app: FastifyInstance, version: string, webhooks: Record<string, object>): Promise<void> {
  app.addSchema(ProblemSchema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Headless MFA',
        version,
        summary: 'A second factor for the login you already have.',
        description:
          'Send the access token of your login. After the user proves a second factor, you get an MFA token. Every error is a problem ' +
          'document (RFC 9457): `code` is one of a short list, and `detail` says what to do next. Calls are limited per minute and ' +
          'address (`too_many_attempts`). An address also has a share of the calls that are answered at a time: if too many of its ' +
          "calls wait, more are `unavailable`. Every call is answered within ten seconds. A call that can't begin in time is " +
          '`unavailable`, and nothing is decided. On a connection, one request at a time is answered; others wait, and are answered in ' +
          'order. A *fresh* MFA token is one of the last 15 minutes, unless the operator sets another time (`MFA_FRESH_SECONDS`). A ' +
          'fresh login is the same, by `LOGIN_FRESH_SECONDS`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      servers: [{ url: '/', description: 'This service' }],
      tags: TAGS,
      webhooks,
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description:
              'A first-factor token of the configured issuer, or an MFA token. Paste it without `Bearer` before it. ' +
              'Administrators need a fresh MFA token: `POST /mfa/verify` gives one.'
          }
        }
      }
    },
    hideUntagged: true,
    refResolver: { buildLocalReference: json => json.$id as string }
  })
}
