// What happens around a settlement of a service in the same process: the moment between a decision and its write.
import type { Database } from '../../src/platform/db/client.ts'
import { PRELUDES, type Settled } from '../../src/platform/db/settlements.ts'

/** Each settlement, sent alone or in a batch, is what `around` makes of it, until the function it answers is called. */
export function aroundSettling (db: Database, around: (send: () => Promise<Settled>) => Promise<Settled>): () => void {
  const { settle } = db
  db.settle =
    (async (name, call) => PRELUDES.has(name) ? await settle(name, call) : await around(() => settle(name, call))) as typeof settle
  return () => { Object.assign(db, { settle }) }
}
