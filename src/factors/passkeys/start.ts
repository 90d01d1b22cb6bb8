import type { FastifyInstance } from 'fastify'
import type { Settings } from '../../config/secrets.ts'
import type { Metrics } from '../../http/plugins/metrics.ts'
import type { Database } from '../../platform/db/client.ts'
import { countUnusable } from './store.ts'

/**
 * Tells at the start how many passkeys open nothing any more, as they are bound to another domain than the one that is configured; also
 * where none is, as that may be what was lost.
 */
export function tellUnusable (app: FastifyInstance, db: Database, { PASSKEYS }: Settings, metrics: Metrics): void {
  let unusable: Record<string, number> = {}
  metrics.watch(
    'mfa_passkeys_unusable',
    'Passkeys of another domain than the one that is configured, when this replica started.',
    'rp_id',
    () => unusable
  )
  const tell = async (): Promise<void> => {
    try {
      unusable = await countUnusable(db, PASSKEYS)
      for (const [rpId, passkeys] of Object.entries(unusable)) {
        app.log.warn(
          { rpId, passkeys },
          'there are passkeys of another domain, which open nothing: their users have recovery codes (docs/passkeys.md)'
        )
      }
    } catch (err) {
      app.log.warn({ err }, 'passkeys of other domains could not be counted')
    }
  }
  // The start does not wait for it.
  app.addHook('onReady', async () => { void tell() })
}
