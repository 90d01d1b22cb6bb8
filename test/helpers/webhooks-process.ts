// A process of its own that delivers webhook events as one more replica: for test/race/webhooks.test.ts. Told so, it dies between
// a delivery and its mark.
import { Secrets } from '../../src/config/secrets.ts'
import { readConfig } from '../../src/config/config.ts'
import { connect } from '../../src/platform/db/client.ts'
import { Metrics } from '../../src/http/plugins/metrics.ts'
import { startWebhooks } from '../../src/webhooks/start.ts'

const config = readConfig(process.env)
const db = connect(() => config.DATABASE_URL as string, 4)
const metrics = new Metrics()
const errors: unknown[] = []
const log = { info: () => {}, warn: (fields: { err?: unknown }) => { errors.push(fields.err) } } as never
if (process.argv[2] === 'dies') metrics.delivery = () => { process.kill(process.pid, 'SIGKILL') }
await db.rows`SELECT 1`
process.send?.('ready')
process.once('message', () => {
  const stop = startWebhooks({ config, secrets: new Secrets(config), db, metrics, log, version: 'test', roundMs: 20 })
  process.once('disconnect', () => { void stop().then(() => db.close()).finally(() => process.exit(errors.length)) })
})
