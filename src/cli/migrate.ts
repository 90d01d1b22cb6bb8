// npm run migrate [-- --rolled-back <migration>]: brings a database up to date. The owner of the tables runs it; the
// service's own role need not be allowed to.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startEmbedded, type Embedded } from '../db/embedded.ts'
import { applyMigrations, markRolledBack } from '../db/migrate.ts'

/** The variable, or what the file says that `NAME_FILE` names: as every secret of the service. */
function fromEnvironment (name: string): string | undefined {
  const path = process.env[`${name}_FILE`]
  return process.env[name] ?? (path === undefined ? undefined : readFileSync(path, 'utf8').trim())
}

const say = (message: string) => process.stdout.write(`${message}\n`)

const [flag, failed] = process.argv.slice(2)
let embedded: Embedded | undefined
try {
  let url = fromEnvironment('DATABASE_OWNER_URL') ?? fromEnvironment('DATABASE_URL')
  if (!url) {
    embedded = await startEmbedded({ dataDir: fileURLToPath(new URL('../../.data/', import.meta.url)), log: say })
    url = embedded.url
  }
  if (flag !== undefined) {
    if (flag !== '--rolled-back' || !failed) throw new Error('Usage: npm run migrate [-- --rolled-back <migration>]')
    await markRolledBack(url, failed)
    say(`${failed} may be applied again.`)
  }
  const applied = await applyMigrations(url)
  say(applied.length > 0 ? `Applied ${applied.join(', ')}` : 'The database is up to date.')
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
} finally {
  await embedded?.stop()
}
