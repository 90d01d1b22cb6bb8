import type { KeyRing } from '../../core/keys.ts'
import type { Factor, Person } from '../../core/person.ts'
import { open } from '../../core/seal.ts'
import { type Closed, closedBy } from '../../core/throttle.ts'
import { generateSecret, matchStep, type TotpWindow } from '../../core/totp.ts'
import { readTyped } from '../../core/typed-code.ts'

export interface VerifySettings { window: TotpWindow, ring: KeyRing }

export type VerifyDecision = Closed & { unreadable: Factor[] } | {
  unreadable: Factor[]
} & (
  /** The code of a step that is newer than any accepted one. */
  | { outcome: 'match', factor: Factor, step: number }
  /** The right code of a spent step: refused, and it costs nothing. */
  | { outcome: 'spent', factor: Factor }
  /** `weight`: how many factors it was tried against. */
  | { outcome: 'refused', weight: number }
)

/** Compares a code, as it was typed, with the active factors, or the named one. Says nothing final: the settling statement decides. */
export function decideVerify (person: Person, typed: string, factorId: string | undefined, now: Date, { window, ring }: VerifySettings): VerifyDecision {
  const closed = closedBy(person.throttles.totp)
  if (closed !== null) return { ...closed, unreadable: [] }
  const code = readTyped(typed)
  const tried = factorId === undefined ? person.factors : person.factors.filter(factor => factor.id === factorId)
  const unreadable: Factor[] = []
  let spent: Factor | undefined
  let match: { factor: Factor, step: number } | undefined
  for (const factor of tried) {
    const step = stepOf(person, factor, code, now, { window, ring })
    if (step === 'unreadable') unreadable.push(factor)
    if (step === 'unreadable' || step === null) continue
    if (step <= factor.lastStep) spent ??= factor
    else match ??= { factor, step }
  }
  // A factor that is not theirs takes as long to refuse as one of theirs.
  if (tried.length === 0) matchStep(generateSecret(), code, now, window)
  if (match !== undefined) return { outcome: 'match', ...match, unreadable }
  return spent === undefined ? { outcome: 'refused', weight: tried.length, unreadable } : { outcome: 'spent', factor: spent, unreadable }
}

/** The newest step of the window whose code of this factor it is. */
function stepOf ({ tenant, userId }: Person, factor: Factor, code: string, now: Date, { window, ring }: VerifySettings): number | null | 'unreadable' {
  try {
    const secret = open(ring, { ...factor, tenant, userId, factorId: factor.id }, factor)
    const step = matchStep(secret, code, now, window, factor)
    secret.fill(0)
    return step
  } catch {
    // Whatever keeps the secret from being used: the row says something that cannot be.
    return 'unreadable'
  }
}
