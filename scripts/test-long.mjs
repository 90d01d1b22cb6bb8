// npm run test:faults [-- --short]: what takes longer than a suite may.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values: { short }, positionals: [name] } = parseArgs({ allowPositionals: true, options: { short: { type: 'boolean' } } })
const env = { ...process.env, FAULTS: short ? 'short' : 'long' }
const { status } = spawnSync(process.execPath, ['scripts/test.mjs', '--disable-coverage', '--timeout=7200', `test/faults/${name}.test.ts`], { stdio: 'inherit', env })
process.exit(status ?? 1)
