import { writeFileSync } from 'node:fs'
import { createApp } from '../app.ts'
import { readConfig } from '../config/config.ts'
import { developmentEnvironment, makeDevelopmentKeys } from '../config/development.ts'
import { connect } from '../platform/db/client.ts'
import { readOptions } from './options.ts'

readOptions(`npm run openapi

Writes openapi.yaml from the routes. Run it when you change one: it is committed, and CI holds it against the code. It
starts the application without a socket or a database, and leaves nothing else behind.`, {})

const config = readConfig(
  developmentEnvironment({ ...makeDevelopmentKeys(), DATABASE_URL: 'postgresql://none@127.0.0.1:1/none', LOG_LEVEL: 'silent' })
)
const db = connect(config.DATABASE_URL as string, 1)
const app = await createApp({ config, db })
await app.ready()
writeFileSync(new URL('../../openapi.yaml', import.meta.url), app.swagger({ yaml: true }))
await app.close()
await db.close()
