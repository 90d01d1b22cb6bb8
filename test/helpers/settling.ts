// What happens around a settlement of a service in the same process: the moment between a decision and its write.
import type { Database, Settlement } from '../../src/db/client.ts'

/** Each settlement, sent alone or together with others, is what `around` makes of it, until the answer is called. */
export function aroundSettling (db: Database, around: (send: () => Promise<Settlement>) => Promise<Settlement>): () => void {
  const { settle, settleMany, settleBatched } = db
  db.settle = (...call) => around(() => settle(...call))
  db.settleMany = (...call) => around(() => settleMany(...call))
  db.settleBatched = (...call) => around(() => settleBatched(...call))
  return () => { Object.assign(db, { settle, settleMany, settleBatched }) }
}
