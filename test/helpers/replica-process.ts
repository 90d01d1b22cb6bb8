// A process of its own that serves as one more replica: for test/helpers/replica.ts. Its configuration is its
// environment; its clock stands still until the parent says how many milliseconds since 1970 it is.
import { writeHeapSnapshot } from 'node:v8'
import bcrypt from 'bcrypt'
import { createApp } from '../../src/app.ts'
import { readConfig } from '../../src/config/config.ts'
import { Secrets } from '../../src/config/secrets.ts'
import { connect } from '../../src/platform/db/client.ts'
import { SecretKeeper } from '../../src/keys/keeper.ts'
import { keyNames } from './keys.ts'

export type Order = { now: number } | { count: true } | { keys: true } | { heap: string }
export type Report = { url: string } | { now: number } | { hashes: number, compares: number } | { keys: string[] } | { heap: string }

let now = Number(process.argv[2])
const counts = { hashes: 0, compares: 0 }
const { hash, compare } = bcrypt
bcrypt.hash = ((...args: Parameters<typeof hash>) => { counts.hashes++; return hash(...args) }) as typeof hash
bcrypt.compare = ((...args: Parameters<typeof compare>) => { counts.compares++; return compare(...args) }) as typeof compare

const config = readConfig(process.env)
const secrets = new Secrets(config)
const db = connect(config.DATABASE_URL as string, config.DATABASE_POOL)
// Only where a test says so: the keys of most tests are of no other service on their database.
const keeper = new SecretKeeper({ env: process.env, secrets, db, log: () => {}, onUnfit: () => {}, reportSeconds: 0 })
if (process.env.KEEP_SECRETS !== undefined) await keeper.start(50)
const app = await createApp({ config, secrets, db, clock: () => new Date(now), logStream: { write: () => {} } })
const report = (message: Report): void => { process.send?.(message) }

process.on('message', (order: Order) => {
  if ('now' in order) {
    now = order.now
    report({ now })
  } else if ('heap' in order) {
    report({ heap: writeHeapSnapshot(order.heap) })
  } else if ('keys' in order) {
    report({ keys: keyNames(secrets) })
  } else {
    report(counts)
  }
})
process.once('disconnect', () => {
  void keeper.stop().then(() => app.close()).then(() => db.close()).finally(() => process.exit())
})
report({ url: await app.listen({ host: '127.0.0.1', port: 0 }) })
