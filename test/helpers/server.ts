// The process that holds the test run's PostgreSQL: test/helpers/before.ts starts it, after.ts ends it. It watches the
// process that runs tap, so that a run which is interrupted takes its server along.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbedded } from '../../src/db/embedded.ts'

const runner = Number(process.argv[2])
const server = await startEmbedded({
  dataDir: mkdtempSync(join(tmpdir(), 'headless-mfa-test-')),
  database: 'postgres',
  isPersistent: false,
  // What it holds is thrown away, so nothing needs to reach the disk.
  settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' }
})
process.send?.(server.url)
process.disconnect?.()

const watch = setInterval(() => {
  try {
    process.kill(runner, 0)
  } catch {
    void stop()
  }
}, 500)

async function stop () {
  clearInterval(watch)
  await server.stop()
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, stop)
