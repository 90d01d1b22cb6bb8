// The process that holds the test run's PostgreSQL: test/helpers/before.ts starts it, after.ts ends it. It watches the
// process that runs tap, so that a run which is interrupted takes its server along.
import { startEmbedded } from '../../src/platform/embedded-postgres/embedded.ts'
import { temporaryDir } from './temporary.ts'

const runner = Number(process.argv[2])
const server = await startEmbedded({
  dataDir: temporaryDir('test'),
  database: 'postgres',
  isPersistent: false,
  // What it holds is thrown away, so nothing needs to reach the disk.
  settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' }
})
process.send?.(server.url)
process.disconnect?.()

// A runner that dies while before.ts is being loaded is not known by its number; no run takes an hour.
const atLast = setTimeout(stop, 3_600_000)
const watch = setInterval(() => {
  try {
    process.kill(runner, 0)
  } catch {
    void stop()
  }
}, 500)

async function stop () {
  clearInterval(watch)
  clearTimeout(atLast)
  await server.stop()
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, stop)
