// A process of its own that serves as one more replica: for test/helpers/replica.ts. Its configuration is its
// environment; its clock stands still until the parent says how many milliseconds since 1970 it is.
import bcrypt from 'bcrypt'
import { createApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { connect } from '../../src/db/client.ts'

export type Order = { now: number } | { count: true }
export type Report = { url: string } | { now: number } | { hashes: number, compares: number }

let now = Number(process.argv[2])
const counts = { hashes: 0, compares: 0 }
const { hash, compare } = bcrypt
bcrypt.hash = ((...args: Parameters<typeof hash>) => { counts.hashes++; return hash(...args) }) as typeof hash
bcrypt.compare = ((...args: Parameters<typeof compare>) => { counts.compares++; return compare(...args) }) as typeof compare

const config = readConfig(process.env)
const db = connect(config.DATABASE_URL as string, config.DATABASE_POOL, () => {})
const app = await createApp({ config, db, clock: () => new Date(now), logStream: { write: () => {} } })
const report = (message: Report): void => { process.send?.(message) }

process.on('message', (order: Order) => {
  if ('now' in order) {
    now = order.now
    report({ now })
  } else {
    report(counts)
  }
})
process.once('disconnect', () => {
  void app.close().then(() => db.close()).finally(() => process.exit())
})
report({ url: await app.listen({ host: '127.0.0.1', port: 0 }) })
