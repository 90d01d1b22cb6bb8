import { Problem } from '../../http/problem.ts'
import type { Throttled } from './throttle.ts'

/** Throws the problem of a code that was not looked at; any other outcome passes. */
export function refuseThrottled<T extends { outcome: string }> (result: T): asserts result is Exclude<T, Throttled> {
  if (result.outcome === 'locked') throw new Problem('factor_locked')
  if (result.outcome === 'waiting') {
    throw new Problem('too_many_attempts', { retryAfter: (result as unknown as { seconds: number }).seconds })
  }
}
