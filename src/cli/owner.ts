import { ConfigError } from '../config/config.ts'
import { DATA_DIR, isDevelopment } from '../config/development.ts'
import { startEmbedded } from '../platform/embedded-postgres/embedded.ts'

/** The variables that say where it is. */
export const OWNER = ['DATABASE_OWNER_URL', 'DATABASE_URL'] as const

/** The database as the owner of its tables: the configured one, or the embedded one of a developer. */
export async function ownerDatabase (
  env: NodeJS.ProcessEnv,
  { DATABASE_OWNER_URL, DATABASE_URL }: { [N in typeof OWNER[number]]: string | undefined },
  log: (line: string) => void
): Promise<{ url: string, stop: () => Promise<void> }> {
  const url = DATABASE_OWNER_URL ?? DATABASE_URL
  if (url !== undefined) return { url, stop: async () => {} }
  if (!isDevelopment(env)) {
    throw new ConfigError('DATABASE_OWNER_URL', 'is missing, and so is DATABASE_URL: the embedded database is not for production')
  }
  return await startEmbedded({ dataDir: DATA_DIR, log })
}
