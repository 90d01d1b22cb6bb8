import type { KeyRing } from '../../keys/keys.ts'
import { open } from '../../keys/seal.ts'
import type { Pending, User } from '../../users/user.ts'
import type { Confirmed, Verified } from '../factor-kind.ts'
import { readTyped } from '../typed-code.ts'
import { generateSecret, matchStep, stepAt, stepsAway, type TotpFactor, type TotpWindow } from './totp.ts'

export interface VerifySettings { window: TotpWindow, ring: KeyRing }

/** A clock that is off by so many steps would explain the code. */
interface Near { factorId: string, stepsAway: number }

/** Is it the code of the pending factor? */
export const confirmCode = (
  { tenant, userId }: User,
  pending: Pending,
  typed: string,
  now: Date,
  { window, ring }: VerifySettings
): Confirmed =>
  open(ring, { ...pending, tenant, userId }, pending, secret => {
    const code = readTyped(typed)
    const counter = matchStep(secret, code, now, window)
    if (counter !== null) return { outcome: 'match', counter }
    const away = stepsAway(secret, code, now)
    return { outcome: 'refused', near: away === null ? null : { factorId: pending.factorId, stepsAway: away } }
  })

/** Compares a code, as it was typed, with these factors. */
export function verifyCode (user: User, tried: TotpFactor[], typed: string, now: Date, { window, ring }: VerifySettings): Verified {
  const code = readTyped(typed)
  const unreadable: TotpFactor[] = []
  let isSpent = false
  let match: { factor: TotpFactor, counter: number, drift: number } | undefined
  for (const factor of tried) {
    const step = stepOf(user, factor, code, now, { window, ring })
    if (step === 'unreadable') unreadable.push(factor)
    if (step === 'unreadable' || step === null) continue
    if (step <= factor.counter) isSpent = true
    else match ??= { factor, counter: step, drift: step - stepAt(now, factor.period) }
  }
  // A factor that is not theirs takes as long to refuse as one of theirs.
  if (tried.length === 0) {
    const decoy = generateSecret()
    matchStep(decoy, code, now, window)
    stepsAway(decoy, code, now)
  }
  if (match !== undefined) return { outcome: 'match', ...match, unreadable }
  if (isSpent) return { outcome: 'spent', unreadable }
  const readable = tried.filter(factor => !unreadable.includes(factor))
  return { outcome: 'refused', weight: tried.length, near: nearest(user, readable, code, now, ring), unreadable }
}

/** The newest step of the window whose code of this factor it is. */
function stepOf (user: User, factor: TotpFactor, code: string, now: Date, { window, ring }: VerifySettings): number | null | 'unreadable' {
  try {
    return withSecret(user, factor, ring, secret => matchStep(secret, code, now, window, factor))
  } catch {
    // Whatever keeps the secret from being used: the row says something that cannot be.
    return 'unreadable'
  }
}

/** Of which factor, and when, a refused code would have been right. */
function nearest (user: User, factors: TotpFactor[], code: string, now: Date, ring: KeyRing): Near | null {
  const found = factors.flatMap(factor => {
    const away = withSecret(user, factor, ring, secret => stepsAway(secret, code, now, factor))
    return away === null ? [] : [{ factorId: factor.id, stepsAway: away }]
  })
  return found.sort((a, b) => Math.abs(a.stepsAway) - Math.abs(b.stepsAway))[0] ?? null
}

const withSecret = <T>({ tenant, userId }: User, factor: TotpFactor, ring: KeyRing, use: (secret: Buffer) => T): T =>
  open(ring, { ...factor, tenant, userId, factorId: factor.id }, factor, use)
