import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { ConfigError } from './readers.ts'

/** The first thing that is wrong with an entry of a file, by its member; what it holds is not told. @throws ConfigError */
export function checkShape<Shape extends TSchema> (
  shape: Shape,
  entry: unknown,
  file: string,
  where: string
): asserts entry is Static<Shape> {
  const error = Value.Errors(shape, entry).find(({ keyword }) => keyword !== 'boolean')
  if (error === undefined) return
  const fail = (member: string, why: string): never => { throw new ConfigError(`${file} ${member}`, why) }
  const member = where + error.instancePath.replaceAll('/', '.')
  const { additionalProperties, requiredProperties, allowedValues } = error.params as {
    additionalProperties?: string[],
    requiredProperties?: string[],
    allowedValues?: string[]
  }
  if (additionalProperties !== undefined) fail(`${member}.${printable(additionalProperties[0] as string)}`, 'is unknown')
  if (requiredProperties !== undefined) fail(`${member}.${requiredProperties[0] as string}`, 'is missing')
  if (allowedValues !== undefined) fail(member, `must be one of ${allowedValues.join(', ')}`)
  fail(member, error.schemaPath.includes('/anyOf/') ? 'has none of the shapes that it may have' : error.message)
}

/** A member's name is told, as far as it is one: a value may stand in its place. */
const printable = (name: string): string => /^[A-Za-z_]{1,32}$/.test(name) ? name : '(not a name)'
