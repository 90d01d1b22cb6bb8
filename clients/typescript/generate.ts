// npm run client: writes src/schema.ts and src/operations.ts from openapi.yaml. CI holds that doing it again changes nothing.
import { readFileSync, writeFileSync } from 'node:fs'
import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript'
import { parse } from 'yaml'

interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required?: boolean
  description?: string
  schema: { pattern?: string }
}
interface Media { schema?: { $ref?: string, required?: string[] }, examples?: Record<string, unknown> }
interface Operation {
  operationId: string
  summary: string
  'x-outcome-unknown'?: string
  parameters?: Parameter[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { content?: Record<string, Media> }>
}

const HEAD = '// Written by `npm run client` from openapi.yaml: not to be edited.\n'
const document = parse(readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8')) as {
  paths: Record<string, Record<string, Operation>>,
  components: { schemas: Record<string, any> }
}
const { schemas } = document.components
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation }))
)

/** What each action may give as its reason, so that a `switch` over the action knows the rest. */
const REASONS: Record<string, string[]> = {
  allow: ['mfa_verified', 'idp_mfa', 'trusted_device', 'not_required', 'exempt_sso', 'exempt_user', 'grace', 'report_only'],
  verify: ['factor_enrolled', 'phishing_resistant_required'],
  enroll: ['required_by_policy', 'phishing_resistant_required'],
  deny: ['user_disabled']
}
const ONLY_WITH: Record<string, string[]> = {
  acr: ['verify'],
  deadline: ['allow', 'verify'],
  wouldBe: ['allow', 'verify'],
  loginFirst: ['enroll'],
  loginTimeUnknown: ['enroll']
}

/** What any call may meet. */
const EVERYWHERE = [
  'invalid_request',
  'invalid_token',
  'forbidden',
  'payload_too_large',
  'unsupported_media_type',
  'too_many_attempts',
  'internal',
  'unavailable'
]

schemas.Decision = union(schemas.Decision)
for (const { operationId, parameters = [] } of operations) {
  const query = parameters.filter(parameter => parameter.in === 'query')
  if (query.length > 0) {
    schemas[queryName(operationId)] = {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(
        query.map(({ name, schema, description }) => [name, { description, ...schema, ...(isNumber(schema) && { type: 'integer' }) }])
      ),
      required: query.filter(({ required }) => required).map(({ name }) => name)
    }
  }
}

const types = await openapiTS({ openapi: '3.1.0', info: { title: '', version: '' }, paths: {}, components: { schemas } } as OpenAPI3, {
  rootTypes: true,
  rootTypesNoSchemaPrefix: true
})
const text = astToString(types)
const from = text.indexOf('export interface components')
writeFileSync(
  new URL('src/schema.ts', import.meta.url),
  `${HEAD}/* eslint-disable */\n${text.slice(from).replace(/export type (\$defs|operations|webhooks) = .*\n/g, '')}`
)
writeFileSync(new URL('src/operations.ts', import.meta.url), `${HEAD}/* eslint-disable @stylistic/max-len */
import type * as api from './schema.ts'
import type { CallOptions, Send } from './send.ts'

export type Operations = ReturnType<typeof operations>

export const operations = (send: Send) => ({
${operations.map(write).join(',\n')}
})
`)

/** The same decision, by its action. */
function union ({ description, properties: { action, reason, ...more } }: any): object {
  const named = new Set(Object.values(REASONS).flat())
  if (
    String([...named].sort()) !== String([...reason.enum].sort()) || String(Object.keys(REASONS)) !== String(action.enum) ||
    String(Object.keys(ONLY_WITH).sort()) !== String(Object.keys(more).sort())
  ) {
    throw new Error('The decision of openapi.yaml has other members than generate.ts knows.')
  }
  if (more.wouldBe !== undefined) more.wouldBe = { description: more.wouldBe.description, $ref: '#/components/schemas/Decision' }
  return {
    description,
    oneOf: Object.entries(REASONS).map(([of, reasons]) => ({
      type: 'object',
      required: ['action', 'reason'],
      properties: {
        action: { type: 'string', enum: [of] },
        reason: { type: 'string', enum: reasons },
        ...Object.fromEntries(Object.entries(more).filter(([name]) => ONLY_WITH[name]?.includes(of)))
      }
    }))
  }
}

/** Of text that is digits alone, as all of a query is text. */
function isNumber ({ pattern }: { pattern?: string }): boolean {
  return pattern !== undefined && new RegExp(pattern, 'u').test('7') && !new RegExp(pattern, 'u').test('x')
}

function queryName (id: string): string { return `${id[0]?.toUpperCase()}${id.slice(1)}Query` }

/** One function: what stands in the path, the body, the query, then what every call may be given. */
function write (
  { path, method, operationId, summary, 'x-outcome-unknown': ifUnknown, parameters = [], requestBody, responses }: Operation & {
    path: string,
    method: string
  }
): string {
  const inPath = parameters.filter(parameter => parameter.in === 'path').map(({ name }) => name)
  const query = parameters.filter(parameter => parameter.in === 'query')
  const hasIfMatch = parameters.some(parameter => parameter.in === 'header' && parameter.name === 'if-match')
  const body = requestBody?.content['application/json']?.schema?.$ref?.split('/').at(-1)
  const isBodyOptional = body !== undefined && !schemas[body].required?.length
  const args = [
    ...inPath.map(name => `${name}: string`),
    ...(body === undefined ? [] : [`body${isBodyOptional ? '?' : ''}: api.${body}`]),
    ...(query.length === 0 ? [] : [`query${query.some(({ required }) => required) ? '' : '?'}: api.${queryName(operationId)}`]),
    `options?: CallOptions${hasIfMatch ? ' & { ifMatch?: string }' : ''}`
  ]
  const url = inPath.length === 0
    ? `'${path}'`
    : `\`${path.replace(/\{(\w+)\}/g, (_, name: string) => `\${encodeURIComponent(${name})}`)}\``
  const sent = [
    'options',
    ...(body === undefined ? (query.length === 0 ? [] : ['undefined']) : ['body']),
    ...(query.length === 0 ? [] : ['query'])
  ]
  const codes = Object.values(responses).flatMap(({ content }) => Object.keys(content?.['application/problem+json']?.examples ?? {}))
    .filter(code => !EVERYWHERE.includes(code))
  return `  /**
   * ${summary} (\`${method} ${path}\`).${
    codes.length === 0 ? '' : `\n   * @throws MfaError with \`${codes.join('`, `')}\`, or what any call may meet`
  }${ifUnknown === undefined ? '' : `\n   * With \`outcome_unknown\`: ${ifUnknown}`}
   */
  ${operationId}: (${args.join(', ')}) => send<${answerOf(responses)}>('${method}', ${url}, ${sent.join(', ')})`
}

/** What a call resolves to: the JSON of its good answers, text where there is none, nothing where there is no body. */
function answerOf (responses: Operation['responses']): string {
  const answers = Object.entries(responses).filter(([status]) => status.startsWith('2')).map(([, { content }]) => {
    const schema = content?.['application/json']?.schema
    return schema?.$ref !== undefined
      ? `api.${schema.$ref.split('/').at(-1)}`
      : content?.['text/plain'] !== undefined
        ? 'string'
        : 'undefined'
  })
  return [...new Set(answers)].join(' | ')
}
