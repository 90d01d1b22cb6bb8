import { BYPASS_SLOT, canonicalize, CODES, hasValidChecksum, slotOf } from '../../core/recovery-code.ts'
import type { Person } from '../../core/person.ts'
import { type Closed, closedBy } from '../../core/throttle.ts'

export type RecoverDecision =
  /** Not 16 characters that a code may have. */
  | { outcome: 'malformed' }
  | Closed
  /** A typo: refused, and it costs nothing. */
  | { outcome: 'mistyped' }
  /** Compare it with the code of this slot; of a bypass its failures are counted apart. */
  | { outcome: 'compare', kind: CodeKind, canonical: string, slot: number }

export type CodeKind = 'recovery' | 'bypass'

/** What a typed code is, before the one bcrypt that it may cost. */
export function decideRecover (person: Person, input: string): RecoverDecision {
  const canonical = canonicalize(input)
  if (canonical === null) return { outcome: 'malformed' }
  const slot = slotOf(canonical)
  const kind = slot === BYPASS_SLOT ? 'bypass' : 'recovery'
  const closed = closedBy(person.throttles[kind])
  if (closed !== null) return closed
  return hasValidChecksum(canonical) ? { outcome: 'compare', kind, canonical, slot: Math.min(slot, CODES) } : { outcome: 'mistyped' }
}
