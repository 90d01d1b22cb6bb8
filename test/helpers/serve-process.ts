// The service of a process of its own, on a database that is migrated already: as production starts it.
import { serve } from '../../src/cli/serve.ts'
import { readConfig } from '../../src/config.ts'

const config = readConfig(process.env)
await serve({ env: process.env, config, database: { stop: async () => {} }, onUnfit: error => { throw error } })
