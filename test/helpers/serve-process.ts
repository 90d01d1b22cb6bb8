// The service of a process of its own, on a database that is migrated already: as production starts it. A parent that has a channel
// to it may set its clock, by so many milliseconds, and takes it along when it ends.
import { serve } from '../../src/cli/serve.ts'
import { readConfig } from '../../src/config/config.ts'

let skewMs = 0
process.on('message', (ms: number) => { skewMs = ms })
process.once('disconnect', () => { process.exit() })

const config = readConfig(process.env)
const clock = (): Date => new Date(Date.now() + skewMs)
await serve({ env: process.env, config, database: { stop: async () => {} }, onUnfit: error => { throw error }, clock })
