import type { Throttle, User } from '../../users/user.ts'

/** The waits, lock and budget, as `THROTTLE_…` of the configuration set them; the database counts by them. */
export interface ThrottleLimits {
  /** Seconds to wait after each failure in a row; after the last, doubling. */
  waits: number[]
  maxWait: number
  lock: number
  day: number
  month: number
}

export const MAX_WAIT_SECONDS = 3600
export const STARTS_PER_HOUR = 20

/** Why no code is looked at: locked until a recovery or an administrator, or for some seconds. */
export type Throttled = { outcome: 'locked' } | { outcome: 'waiting', seconds: number }

const OPEN: Throttle = { failures: 0, waitSeconds: null, waitUntil: null, lockedAt: null }

/** Of a kind of factor; open where nothing was counted yet. */
export const throttleOf = ({ throttles }: Pick<User, 'throttles'>, kind: string): Throttle => throttles[kind] ?? OPEN

/** Known from the snapshot. A courtesy: the statement that counts or accepts asks again. */
export function throttledBy ({ lockedAt, waitSeconds }: Throttle): Throttled | null {
  if (lockedAt !== null) return { outcome: 'locked' }
  return waitSeconds === null ? null : { outcome: 'waiting', seconds: waitSeconds }
}
