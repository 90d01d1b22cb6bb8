import type { Settings } from '../config/secrets.ts'
import type { Credential, Factor, Pending, User, WholeUser } from '../users/user.ts'
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
  /** What kinds have of their own; null for the others. */
  [details: string]: unknown
}

/** All factors of a user, oldest first, pending ones last. */
export const listFactors = (kinds: FactorKinds, user: WholeUser, now: Date, config: Settings): FactorView[] => [
  ...user.factors.map(factor => viewFactor(kinds, factor, user, now, config)),
  ...user.pending.map(pending => viewPending(kinds, pending, user, config))
]

const viewFactor = (kinds: FactorKinds, factor: Factor, user: User, now: Date, config: Settings): FactorView => ({
  id: factor.id,
  kind: factor.kind,
  label: factor.label,
  status: throttleOf(user, factor.kind).lockedAt === null ? 'active' : 'locked',
  createdAt: factor.createdAt.toISOString(),
  confirmedAt: factor.confirmedAt.toISOString(),
  lastUsedAt: factor.lastUsedAt?.toISOString() ?? null,
  nextCodeAt: null,
  ...kinds.of(factor.kind).view(factor, now),
  ...detailsOf(kinds, factor.kind, factor.credential, user, config)
})

const viewPending = (kinds: FactorKinds, pending: Pending, user: User, config: Settings): FactorView => ({
  id: pending.factorId,
  kind: pending.kind,
  label: pending.label ?? nextLabel(user.factors, kinds.of(pending.kind).noun),
  status: 'pending',
  createdAt: pending.createdAt.toISOString(),
  confirmedAt: null,
  lastUsedAt: null,
  nextCodeAt: null,
  ...detailsOf(kinds, pending.kind, null, user, config)
})

const detailsOf = (kinds: FactorKinds, kind: string, credential: Credential | null, { tenant }: User, config: Settings): object =>
  Object.fromEntries(kinds.all.flatMap(({ kind: each, details }) =>
    details === undefined ? [] : [[details.name, each === kind ? details.make(credential, tenant, config) : null]]))
