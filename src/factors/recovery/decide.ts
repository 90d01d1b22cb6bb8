import { BYPASS_SLOT, canonicalize, CODES, hasValidChecksum, slotOf } from '../recovery-codes/recovery-code.ts'

export type CodeKind = 'recovery' | 'bypass'

export type RecoverDecision =
  /** Not 16 characters that a code may have. */
  | { outcome: 'malformed' }
  /** A typo. */
  | { outcome: 'mistyped', kind: CodeKind }
  /** Compare it with the code of this slot. */
  | { outcome: 'compare', kind: CodeKind, canonical: string, slot: number }

/** What a typed code is, before it is looked for. */
export function decideRecover (input: string): RecoverDecision {
  const canonical = canonicalize(input)
  if (canonical === null) return { outcome: 'malformed' }
  const slot = slotOf(canonical)
  const kind = slot === BYPASS_SLOT ? 'bypass' : 'recovery'
  return hasValidChecksum(canonical) ? { outcome: 'compare', kind, canonical, slot: Math.min(slot, CODES) } : { outcome: 'mistyped', kind }
}
