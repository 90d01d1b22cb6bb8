// npm run test:faults [-- --short] and npm run test:soak [-- --minutes 30]: what takes longer than a suite may.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values: { short, minutes }, positionals: [name] } = parseArgs({
  allowPositionals: true,
  options: { short: { type: 'boolean' }, minutes: { type: 'string', default: '30' } }
})
if (!(Number(minutes) >= 1)) throw new Error('--minutes is a number of minutes, 1 or more')
const env = { ...process.env, FAULTS: short ? 'short' : 'long', SOAK_MINUTES: minutes }
// What the faults are judged by comes before them; of workers the suite runs a part, and the long form all of it.
const files = { soak: ['test/faults/soak.test.ts'], faults: ['test/faults/auditor.test.ts', 'test/faults/faults.test.ts'] }[name]
if (name === 'faults' && !short) files.push('test/platform/db/workers.test.ts')
for (const file of files) {
  const { status } = spawnSync(process.execPath, ['scripts/test.mjs', '--disable-coverage', '--timeout=7200', file], {
    stdio: 'inherit',
    env
  })
  if (status !== 0) process.exit(status ?? 1)
}
