import { readFileSync } from 'node:fs'
import { requireTls } from '../config/database.ts'
import { startEmbedded } from '../db/embedded.ts'
import { DATA_DIR } from '../dev.ts'

/** The variable, or what the file says that `NAME_FILE` names: as every secret of the service. */
function fromEnvironment (name: string): string | undefined {
  const path = process.env[`${name}_FILE`]
  return process.env[name] ?? (path === undefined ? undefined : readFileSync(path, 'utf8').trim())
}

/** The database as the owner of its tables: the configured one, or the embedded one of a developer. */
export async function ownerDatabase (log: (line: string) => void): Promise<{ url: string, stop: () => Promise<void> }> {
  const name = ['DATABASE_OWNER_URL', 'DATABASE_URL'].find(each => fromEnvironment(each)) ?? ''
  const url = fromEnvironment(name)
  if (url && process.env.NODE_ENV === 'production') requireTls(name, url)
  return url ? { url, stop: async () => {} } : await startEmbedded({ dataDir: DATA_DIR, log })
}
