// npm run test:faults [-- --short] and npm run test:soak [-- --minutes 30]: what takes longer than a suite may.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values: { short, minutes }, positionals: [name] } = parseArgs({ allowPositionals: true, options: { short: { type: 'boolean' }, minutes: { type: 'string', default: '30' } } })
if (!(Number(minutes) >= 1)) throw new Error('--minutes is a number of minutes, 1 or more')
const env = { ...process.env, FAULTS: short ? 'short' : 'long', SOAK_MINUTES: minutes }
const { status } = spawnSync(process.execPath, ['scripts/test.mjs', '--disable-coverage', '--timeout=7200', `test/faults/${name}.test.ts`], { stdio: 'inherit', env })
process.exit(status ?? 1)
