import { writeFileSync } from 'node:fs'
import { createApp } from '../app.ts'
import { readConfig } from '../config.ts'
import { connect } from '../db/client.ts'
import { developmentEnvironment, makeDevelopmentKeys } from '../dev.ts'
import { readOptions } from './options.ts'

readOptions(`npm run openapi

Writes openapi.yaml from the routes. For whoever changes one: it is committed, and CI holds it against the code. It
starts the application without a socket or a database, and leaves nothing else behind.`, {})

const config = readConfig(developmentEnvironment({ ...makeDevelopmentKeys(), DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none', LOG_LEVEL: 'silent' }))
const db = connect(config.DATABASE_URL as string, 1)
const app = await createApp({ config, db })
await app.ready()
writeFileSync(new URL('../../openapi.yaml', import.meta.url), app.swagger({ yaml: true }))
await app.close()
await db.close()
