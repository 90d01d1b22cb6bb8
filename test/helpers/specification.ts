// What openapi.yaml promises, and whether an answer keeps it.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Service } from './service.ts'

interface Content { schema: object, examples?: Record<string, unknown> }
interface Spec { paths: Record<string, Record<string, Documented>>, components: { schemas: Record<string, object> } }
interface Documented {
  operationId: string
  parameters?: Array<{ name: string, in: string }>
  requestBody?: { content: Record<string, { schema: { $ref?: string } }> }
  responses: Record<string, { content?: Record<string, Content> }>
}

export interface Operation extends Documented { path: string, method: string }

export interface Answered { status: number, headers: Record<string, string | undefined>, body: string }

export class Specification {
  readonly operations: Operation[]
  readonly #ajv = new Ajv2020({
    strict: false,
    formats: { uuid: true, uri: true, 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, date: /^\d{4}-\d\d-\d\d$/ }
  })

  constructor (readonly spec: Spec) {
    this.#ajv.addSchema(spec, 'spec')
    this.operations = Object.entries(spec.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, documented]) => ({ ...documented, path, method: method.toUpperCase() }))
    )
  }

  static async of (service: Service): Promise<Specification> {
    return new Specification((await service.call('GET', '/openapi.json')).body)
  }

  /** The first body that the specification shows for it. */
  example ({ requestBody }: Operation): Record<string, unknown> | undefined {
    const schema = requestBody?.content['application/json']?.schema
    if (schema === undefined) return undefined
    const { examples } = (schema.$ref === undefined ? schema : this.spec.components.schemas[schema.$ref.split('/').at(-1) as string]) as {
      examples?: Array<Record<string, unknown>>
    }
    return structuredClone(examples?.[0] ?? {})
  }

  /** What is wrong with an answer; undefined if nothing is. */
  flaw ({ path, method, responses }: Operation, answer: Answered): string | undefined {
    const { status, headers, body } = answer
    const documented = responses[status]
    if (documented === undefined) return `status ${status} is not in the specification`
    const type = headers['content-type']?.split(';')[0]
    if (documented.content === undefined) return body === '' ? undefined : `status ${status} has a body`
    const content = documented.content[type as string]
    if (content === undefined) return `status ${status} has the media type ${type ?? '(none)'}`
    if (type === 'application/x-ndjson') {
      return body.split('\n').slice(0, -1).every(line => parsed(line) !== undefined)
        ? undefined
        : 'a line is no JSON'
    }
    if (type?.endsWith('json') !== true) return undefined
    const pointer = ['paths', path, method.toLowerCase(), 'responses', String(status), 'content', type, 'schema'].map(part =>
      part.replaceAll('~', '~0').replaceAll('/', '~1')
    ).map(encodeURIComponent).join('/')
    const validate = this.#ajv.getSchema(`spec#/${pointer}`) as ValidateFunction
    const value = parsed(body) as { code: string } | undefined
    if (value === undefined) return `status ${status}: no JSON`
    if (!validate(value)) return `status ${status}: ${this.#ajv.errorsText(validate.errors)}`
    return type === 'application/problem+json' && content.examples?.[value.code] === undefined
      ? `status ${status} has the code ${value.code}`
      : undefined
  }

  /** An answer to what is no call of the specification: refused, as every error is. */
  refusalFlaw ({ status, headers, body }: Answered): string | undefined {
    if (status < 400) return undefined
    if (headers['content-type']?.startsWith('application/problem+json') !== true) return `status ${status} is no problem document`
    const validate = this.#ajv.getSchema('spec#/components/schemas/Problem') as ValidateFunction
    // To HEAD nothing is answered but the head.
    return body === '' || validate(parsed(body)) ? undefined : `status ${status}: ${this.#ajv.errorsText(validate.errors)}`
  }
}

function parsed (text: string): unknown {
  try { return JSON.parse(text) } catch { return undefined }
}
