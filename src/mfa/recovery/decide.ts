import { canonicalize, CODES, hasValidChecksum, slotOf } from '../../core/recovery-code.ts'
import type { Person } from '../../core/person.ts'
import { type Closed, closedBy } from '../../core/throttle.ts'

export type RecoverDecision =
  /** Not 16 characters that a code may have. */
  | { outcome: 'malformed' }
  | Closed
  /** A typo: refused, and it costs nothing. */
  | { outcome: 'mistyped' }
  /** Compare it with the code of this slot. */
  | { outcome: 'compare', canonical: string, slot: number }

/** What a typed code is, before the one bcrypt that it may cost. */
export function decideRecover (person: Person, input: string): RecoverDecision {
  const canonical = canonicalize(input)
  if (canonical === null) return { outcome: 'malformed' }
  const closed = closedBy(person.throttles.recovery)
  if (closed !== null) return closed
  return hasValidChecksum(canonical) ? { outcome: 'compare', canonical, slot: Math.min(slotOf(canonical), CODES) } : { outcome: 'mistyped' }
}
