import type { Factor, Pending, User, WholeUser } from '../users/user.ts'
import { nextLabel } from './labels.ts'
import type { FactorKinds } from './registry.ts'
import { throttleOf } from './throttle/throttle.ts'

/** What a client sees of a factor. */
export interface FactorView {
  id: string
  kind: string
  label: string
  status: 'pending' | 'active' | 'locked'
  createdAt: string
  confirmedAt: string | null
  lastUsedAt: string | null
  /** When its next code is taken, where this step's is spent; null for a kind without codes. */
  nextCodeAt: string | null
}

/** All factors of a user, oldest first, pending ones last. */
export const listFactors = (kinds: FactorKinds, user: WholeUser, now: Date): FactorView[] =>
  [...user.factors.map(factor => viewFactor(kinds, factor, user, now)), ...user.pending.map(pending => viewPending(pending, user))]

const viewFactor = (kinds: FactorKinds, factor: Factor, user: User, now: Date): FactorView => ({
  id: factor.id,
  kind: factor.kind,
  label: factor.label,
  status: throttleOf(user, factor.kind).lockedAt === null ? 'active' : 'locked',
  createdAt: factor.createdAt.toISOString(),
  confirmedAt: factor.confirmedAt.toISOString(),
  lastUsedAt: factor.lastUsedAt?.toISOString() ?? null,
  nextCodeAt: null,
  ...kinds.of(factor.kind).view(factor, now)
})

const viewPending = (pending: Pending, user: User): FactorView => ({
  id: pending.factorId,
  kind: pending.kind,
  label: pending.label ?? nextLabel(user.factors),
  status: 'pending',
  createdAt: pending.createdAt.toISOString(),
  confirmedAt: null,
  lastUsedAt: null,
  nextCodeAt: null
})
