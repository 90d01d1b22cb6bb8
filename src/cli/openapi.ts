import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApp } from '../app.ts'
import { readConfig } from '../config.ts'
import { connect } from '../db/client.ts'
import { developmentEnvironment } from '../dev.ts'

/** Writes openapi.yaml from the routes: boots the application without a socket or a database. */
const config = readConfig(developmentEnvironment({ DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none', LOG_LEVEL: 'silent' }, join(tmpdir(), `headless-mfa-openapi-${process.pid}`)))
const db = connect(config.DATABASE_URL as string, 1)
const app = await createApp({ config, db })
await app.ready()
writeFileSync(new URL('../../openapi.yaml', import.meta.url), app.swagger({ yaml: true }))
await app.close()
await db.close()
