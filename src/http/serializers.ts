import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifyServerOptions } from 'fastify'

type Compilers = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>
type Build = NonNullable<Compilers['buildSerializer']>

const buildSerializer = SerializerSelector()

/**
 * The framework's compiler of answers, but for errors: `sendProblem` writes those itself. Compiled ones would be used by
 * nobody and take most of the start, as each call has about eight of them.
 */
export const serializerOfAnswers: Build = (schemas, options) => {
  const compile = buildSerializer(schemas, options as never)
  return definition => Number(definition.httpStatus) >= 400 ? String : compile(definition as never)
}
