import type { KeyRing } from '../../core/keys.ts'
import type { Factor, User } from '../../core/user.ts'
import { open } from '../../core/seal.ts'
import { type Throttled, throttledBy } from '../../core/throttle.ts'
import { generateSecret, matchStep, stepsAway, type TotpWindow } from '../../core/totp.ts'
import { readTyped } from '../../core/typed-code.ts'

export interface VerifySettings { window: TotpWindow, ring: KeyRing }

export type VerifyDecision = Throttled & { unreadable: Factor[] } | {
  unreadable: Factor[]
} & (
  /** The code of a step that is newer than any accepted one. */
  | { outcome: 'match', factor: Factor, step: number }
  /** The right code of a spent step: refused, and it costs nothing. */
  | { outcome: 'spent', factor: Factor }
  /** `weight`: how many factors it was tried against. `near`: for the audit, of which it would have been right at another time. */
  | { outcome: 'refused', weight: number, near: Near | null }
)

/** A clock that is off by so many steps would explain the code. */
export interface Near { factorId: string, stepsAway: number }

/** Compares a code, as it was typed, with the active factors, or the named one. Says nothing final: the settling statement decides. */
export function decideVerify (user: User, typed: string, factorId: string | undefined, now: Date, { window, ring }: VerifySettings): VerifyDecision {
  const throttled = throttledBy(user.throttles.totp)
  if (throttled !== null) return { ...throttled, unreadable: [] }
  const code = readTyped(typed)
  const tried = factorId === undefined ? user.factors : user.factors.filter(factor => factor.id === factorId)
  const unreadable: Factor[] = []
  let spent: Factor | undefined
  let match: { factor: Factor, step: number } | undefined
  for (const factor of tried) {
    const step = stepOf(user, factor, code, now, { window, ring })
    if (step === 'unreadable') unreadable.push(factor)
    if (step === 'unreadable' || step === null) continue
    if (step <= factor.lastStep) spent ??= factor
    else match ??= { factor, step }
  }
  // A factor that is not theirs takes as long to refuse as one of theirs.
  if (tried.length === 0) {
    const decoy = generateSecret()
    matchStep(decoy, code, now, window)
    stepsAway(decoy, code, now)
  }
  if (match !== undefined) return { outcome: 'match', ...match, unreadable }
  if (spent !== undefined) return { outcome: 'spent', factor: spent, unreadable }
  const readable = tried.filter(factor => !unreadable.includes(factor))
  return { outcome: 'refused', weight: tried.length, near: nearest(user, readable, code, now, ring), unreadable }
}

/** The newest step of the window whose code of this factor it is. */
function stepOf (user: User, factor: Factor, code: string, now: Date, { window, ring }: VerifySettings): number | null | 'unreadable' {
  try {
    return withSecret(user, factor, ring, secret => matchStep(secret, code, now, window, factor))
  } catch {
    // Whatever keeps the secret from being used: the row says something that cannot be.
    return 'unreadable'
  }
}

/** Of which factor, and when, a refused code would have been right. */
function nearest (user: User, factors: Factor[], code: string, now: Date, ring: KeyRing): Near | null {
  const found = factors.flatMap(factor => {
    const away = withSecret(user, factor, ring, secret => stepsAway(secret, code, now, factor))
    return away === null ? [] : [{ factorId: factor.id, stepsAway: away }]
  })
  return found.sort((a, b) => Math.abs(a.stepsAway) - Math.abs(b.stepsAway))[0] ?? null
}

const withSecret = <T>({ tenant, userId }: User, factor: Factor, ring: KeyRing, use: (secret: Buffer) => T): T =>
  open(ring, { ...factor, tenant, userId, factorId: factor.id }, factor, use)
