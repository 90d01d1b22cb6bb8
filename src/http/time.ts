import { Problem } from './problem.ts'

/** A time of a body, whose schema has asked for its form; leap seconds and the like are no times here. */
export function readTime (field: string, text: string): Date {
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new Problem('invalid_request', { errors: [{ field, message: 'is no time that is known here' }] })
  return time
}
