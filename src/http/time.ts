import { Problem } from './problem.ts'

/**
 * A time that a caller gives, whose schema has asked for its form; leap seconds and years that PostgreSQL would read otherwise
 * are no times here.
 */
export function readTime (field: string, text: string): Date {
  const time = new Date(text)
  if (!(time.getUTCFullYear() >= 1 && time.getUTCFullYear() <= 9999)) {
    throw new Problem('invalid_request', { errors: [{ field, message: 'must be a date and time of the years 1 to 9999' }] })
  }
  return time
}
