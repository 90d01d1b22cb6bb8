import AjvCompiler from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifyServerOptions } from 'fastify'

type Factory = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>

const buildSerializer = SerializerSelector()
const buildValidator = AjvCompiler()

/**
 * The framework's compilers, but a schema is compiled at its first use: all of them at once would be most of the start,
 * and a replica may never be asked for what most of them are of. Errors need none: `sendProblem` writes those itself.
 */
export const compilersAtFirstUse: Factory = {
  buildSerializer: (schemas: object, options: unknown) => {
    const compile = buildSerializer(schemas, options as never)
    return (definition: { httpStatus?: string }) =>
      Number(definition.httpStatus) >= 400 ? String : atFirstUse(() => compile(definition as never)).call
  },
  buildValidator: (schemas: Parameters<typeof buildValidator>[0], options: unknown) => {
    const ajv = atFirstUse(() => buildValidator(schemas, options as never))
    return (definition: unknown) => {
      const validator = atFirstUse(() => ajv.call(definition as never))
      // The framework reads there why something was refused.
      return Object.defineProperty(validator.call, 'errors', { get: () => validator.get().errors })
    }
  }
} as unknown as Factory

function atFirstUse<F extends (...args: any[]) => any> (make: () => F): { call: F, get: () => F } {
  let made: F | undefined
  const get = (): F => {
    made ??= make()
    return made
  }
  return { call: ((...args: unknown[]) => get()(...args)) as F, get }
}
