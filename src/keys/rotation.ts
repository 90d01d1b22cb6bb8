import { MAX_TOKEN_SECONDS } from '../http/auth/mfa-claims.ts'
import { CLOCK_SKEW_SECONDS } from '../platform/time.ts'
import type { Purpose } from './keys.ts'

/** How long a verifier of our tokens may keep the key set. */
export const JWKS_SECONDS = 300
/** How often a replica says which keys it has. */
export const REPORT_SECONDS = 5
/** What was true for so long is true of every replica that runs. */
const SURE_SECONDS = 30

/** What the replicas have said of a key; how many seconds ago. */
export interface KeyState {
  purpose: Purpose
  id: string
  addedAge: number
  /** Since one last had it not. */
  absentAge: number | null
  /** Since one last sealed, hashed or signed with it. */
  firstAge: number | null
}

export type RotateDecision =
  /** Put it first. */
  | { outcome: 'switch', id: string }
  /** No replica has used the newest key yet, and not all can: wait so long, or for a replica that reads it (null). */
  | { outcome: 'wait', id: string, seconds: number | null }
  /** Every key of the ring was in use once: the first one is the newest. */
  | { outcome: 'none' }

/**
 * May the newest key seal, hash or sign? All must have it before that: each replica, so that none meets what it can't
 * open; and of a signing key each verifier that keeps our key set.
 */
export function decideRotate (purpose: Purpose, ids: readonly string[], states: readonly KeyState[]): RotateDecision {
  const stateOf = (id: string): KeyState | undefined => states.find(state => state.purpose === purpose && state.id === id)
  const id = ids.slice(1).findLast(each => (stateOf(each)?.firstAge ?? null) === null)
  if (id === undefined) return { outcome: 'none' }
  const state = stateOf(id)
  if (state === undefined) return { outcome: 'wait', id, seconds: null }
  const known = Math.min(state.addedAge, state.absentAge ?? Infinity)
  const needed = SURE_SECONDS + (purpose === 'signing' ? JWKS_SECONDS : 0)
  return known < needed ? { outcome: 'wait', id, seconds: Math.ceil(needed - known) } : { outcome: 'switch', id }
}

export type RetireDecision = { outcome: 'retire' | 'unknown' | 'first' | 'needed' } | { outcome: 'wait', seconds: number }

/** May a key go? Not while a row needs it, a replica may still use it, or a token that it has signed may still count. */
export function decideRetire (
  purpose: Purpose,
  id: string,
  ids: readonly string[],
  states: readonly KeyState[],
  rows: number
): RetireDecision {
  if (!ids.includes(id)) return { outcome: 'unknown' }
  if (ids[0] === id) return { outcome: 'first' }
  if (rows > 0) return { outcome: 'needed' }
  const used = states.find(state => state.purpose === purpose && state.id === id)?.firstAge ?? Infinity
  const needed = SURE_SECONDS + (purpose === 'signing' ? MAX_TOKEN_SECONDS + CLOCK_SKEW_SECONDS : 0)
  return used < needed ? { outcome: 'wait', seconds: Math.ceil(needed - used) } : { outcome: 'retire' }
}
