import type { Factor, Pending, User, WholeUser } from './user.ts'
import { stepAt, stepEnd } from './totp.ts'

export const MAX_FACTORS = 5

/** What a client sees of a factor. */
export interface FactorView {
  id: string
  kind: 'totp'
  label: string
  status: 'pending' | 'active' | 'locked'
  createdAt: string
  confirmedAt: string | null
  lastUsedAt: string | null
  /** When its next code is taken, where this step's is spent. */
  nextCodeAt: string | null
}

/** All factors of somebody, oldest first, a pending one last. */
export function listFactors (user: WholeUser, now: Date): FactorView[] {
  const views = user.factors.map(factor => viewFactor(factor, user, now))
  return user.pending === null ? views : [...views, viewPending(user.pending, user)]
}

export const viewFactor = (factor: Factor, user: User, now: Date): FactorView => ({
  id: factor.id,
  kind: 'totp',
  label: factor.label,
  status: user.throttles.totp.lockedAt === null ? 'active' : 'locked',
  createdAt: factor.createdAt.toISOString(),
  confirmedAt: factor.confirmedAt.toISOString(),
  lastUsedAt: factor.lastUsedAt?.toISOString() ?? null,
  nextCodeAt: nextCodeAt(factor, now)
})

export const viewPending = (pending: Pending, user: User): FactorView => ({
  id: pending.factorId,
  kind: 'totp',
  label: pending.label ?? nextLabel(user.factors),
  status: 'pending',
  createdAt: pending.createdAt.toISOString(),
  confirmedAt: null,
  lastUsedAt: null,
  nextCodeAt: null
})

export const nextCodeAt = ({ lastStep, period }: Pick<Factor, 'lastStep' | 'period'>, now: Date): string | null =>
  lastStep >= stepAt(now, period) ? stepEnd(lastStep, period).toISOString() : null

/** Without a label they are numbered: the lowest number that is free. */
export function nextLabel (factors: Array<{ label: string }>): string {
  const taken = new Set(factors.map(factor => factor.label))
  let number = 1
  while (taken.has(`Authenticator ${number}`)) number++
  return `Authenticator ${number}`
}
