import type { Database } from '../platform/db/client.ts'
import type { Settled } from '../platform/db/settlements.ts'
import { type Acceptance, type Refusal, settleAccepted, settleRefused } from './attempts.sql.ts'

/** How answers are settled: what is counted, and what counts once. */
export interface FactorSettlement {
  /** Wrong answers make their sender wait, and then lock all factors of the kind. Not where nothing can be guessed. */
  readonly isThrottled: boolean
  /** Of a right one; `proof` is what its kind has found besides. */
  accept: (db: Database, acceptance: Acceptance, proof: object | undefined) => Promise<Settled<'accept_factor'>>
  refuse: (db: Database, refusal: Refusal) => Promise<Settled<'refuse_factor'>>
}

/** Codes that can be guessed: each wrong one is counted, and a right one is good for what its counter says. */
export const BY_COUNTER: FactorSettlement = { isThrottled: true, accept: settleAccepted, refuse: settleRefused }
