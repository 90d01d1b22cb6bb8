import { randomUUID } from 'node:crypto'
import { DEFAULT_PARAMETERS, stepAt, TOTP_KIND } from '../factors/totp/totp.ts'
import type { KeyRing } from '../keys/keys.ts'
import { seal } from '../keys/seal.ts'
import type { Database } from '../platform/db/client.ts'
import { findKnown, type Known, settleImported } from './import.sql.ts'
import type { PlannedUser, Target } from './plan.ts'

export type Outcome = 'imported' | 'would_import' | 'already' | 'enrolled' | 'removed' | 'disabled' | 'moved'

/** What became of one row. */
export interface Line { row: string, subject: string, factorId: string, outcome: Outcome }

export interface RunOptions {
  db: Database
  /** Asked for each user, since keys may be rotated meanwhile. */
  ring: () => KeyRing
  peppers: () => KeyRing
  target: Target
  isDry: boolean
  clock: () => Date
}

const BATCH = 200
/** At once; the service's own calls need connections, too. */
const CONCURRENCY = 4
const TRIES = 3

/** Brings users, one after the other, and says what became of each row. Run again after it was cut off, it leaves alone who is there. */
export async function * importUsers (users: readonly PlannedUser[], options: RunOptions): AsyncGenerator<Line> {
  const { db, target: { tenant, namespace } } = options
  for (let start = 0; start < users.length; start += BATCH) {
    const batch = users.slice(start, start + BATCH)
    const known = new Map((await findKnown(db, tenant, namespace, batch.map(asAsked))).map(each => [each.subject, each]))
    for (let next = 0; next < batch.length; next += CONCURRENCY) {
      const some = batch.slice(next, next + CONCURRENCY)
      const outcomes = await Promise.all(some.map(user => importUser(user, known.get(user.subject), options)))
      for (const [index, { subject, factors }] of some.entries()) {
        const outcome = outcomes[index] as Outcome
        for (const { row, id, repeatedIn } of factors) {
          yield { row, subject, factorId: id, outcome }
          const again = outcome === 'imported' || outcome === 'would_import' ? 'already' : outcome
          for (const other of repeatedIn) yield { row: other, subject, factorId: id, outcome: again }
        }
      }
    }
  }
}

const asAsked = ({ subject, factors }: PlannedUser): { subject: string, ids: string[] } => ({ subject, ids: factors.map(({ id }) => id) })

/** What the statement would answer as of now. */
function foresee ({ factors }: PlannedUser, known: Known | undefined): Outcome {
  if (known === undefined) return 'would_import'
  if (known.isDisabled) return 'disabled'
  if (known.factors.length > 0) return factors.every(({ id }) => known.factors.includes(id)) ? 'already' : 'enrolled'
  return known.wasImported ? 'removed' : 'would_import'
}

async function importUser (user: PlannedUser, known: Known | undefined, options: RunOptions): Promise<Outcome> {
  const { db, ring: currentRing, peppers, target, isDry, clock } = options
  const { tenant, namespace, source } = target
  const { subject, account } = user
  for (let tries = 1; ; tries++) {
    const foreseen = foresee(user, known)
    if (isDry || foreseen !== 'would_import') return foreseen
    const userId = known?.userId ?? randomUUID()
    const ring = currentRing()
    const factors = user.factors.map(({ id, label, secret }) => {
      const { sealed } = seal(ring, { ...DEFAULT_PARAMETERS, kind: TOTP_KIND, tenant, userId, factorId: id }, secret)
      return { ...DEFAULT_PARAMETERS, id, label, sealed: sealed.toString('hex') }
    })
    const whose = { tenant, namespace, subject, account, userId, keyId: ring.primary, peppers: peppers() }
    const { outcome } = await settleImported(db, { ...whose, kind: TOTP_KIND, factors, counter: stepAt(clock()), source })
    if (outcome !== 'moved' || tries === TRIES) return outcome
    // First seen or erased between the two.
    known = (await findKnown(db, tenant, namespace, [asAsked(user)]))[0]
  }
}
