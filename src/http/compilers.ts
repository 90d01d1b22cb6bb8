import AjvCompiler from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifyServerOptions } from 'fastify'

type Factory = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>

interface Definition { httpStatus?: string, schema: unknown }
type Compile = (definition: Definition) => Compiled

const buildSerializer = SerializerSelector()
const buildValidator = AjvCompiler()

/**
 * The framework's compilers, but a schema is compiled at its first use: all of them at once would be most of the start,
 * and a replica may never be asked for what most of them are of. Errors need none: `sendProblem` writes those itself.
 * A process that starts several services, as tests do, compiles each schema once.
 */
export const compilersAtFirstUse: Factory = {
  buildSerializer: (schemas: object, options: unknown) => {
    const compile = onceEach(['serializer', schemas, options], () => buildSerializer(schemas, options as never) as never)
    return (definition: Definition) => Number(definition.httpStatus) >= 400 ? String : atFirstUse(() => compile(definition)).call
  },
  buildValidator: (schemas: Parameters<typeof buildValidator>[0], options: unknown) => {
    const compile = onceEach(['validator', schemas, options], () => buildValidator(schemas, options as never) as never)
    return (definition: Definition) => {
      const validator = atFirstUse(() => compile(definition))
      // The framework reads there why something was refused.
      return Object.defineProperty(validator.call, 'errors', { get: () => validator.get().errors })
    }
  }
} as unknown as Factory

type Compiled = ((...args: unknown[]) => unknown) & { errors?: unknown }

const known = new Map<string, { compile: Compile, compiled: Map<string, Compiled> }>()

/** @param from what a compiler is made of */
function onceEach (from: unknown[], make: () => Compile): Compile {
  return definition => {
    const { compile, compiled } = getOrAdd(known, JSON.stringify(from), () => ({ compile: make(), compiled: new Map() }))
    return getOrAdd(compiled, JSON.stringify(definition.schema), () => compile(definition))
  }
}

function getOrAdd<V> (map: Map<string, V>, key: string, make: () => V): V {
  const value = map.get(key) ?? make()
  map.set(key, value)
  return value
}

function atFirstUse<F extends (...args: any[]) => any> (make: () => F): { call: F, get: () => F } {
  let made: F | undefined
  const get = (): F => {
    made ??= make()
    return made
  }
  return { call: ((...args: unknown[]) => get()(...args)) as F, get }
}
