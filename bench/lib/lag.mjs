// In the service under measurement: at SIGWINCH, writes for how many ms at most its event loop stood still since the last time.
import { writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 1
const lag = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
lag.enable()
process.on('SIGWINCH', () => {
  writeFileSync(process.env.LAG_FILE, String(Math.max(0, lag.max / 1e6 - RESOLUTION_MS)))
  lag.reset()
})
