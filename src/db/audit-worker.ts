import type { ChainedEvent } from '../core/audit-chain.ts'
import type { Checkpoint } from '../core/checkpoint.ts'
import { chainTenant, findUnchained } from './audit-chain.ts'
import { findUnsigned, type Signing, signAnew, signTenant } from './audit-checkpoint.ts'
import type { Break } from './audit-walk.ts'
import type { Database } from './client.ts'
import { startLeased } from './lease.ts'

const CHAIN_MS = 1000
const SIGN_MS = 60_000
const LEASE_SECONDS = 30

export interface ChainingOptions extends Signing {
  onError: (error: unknown) => void
  /** Each event once, over all replicas; some of one tenant at a time. */
  onChained: (events: ChainedEvent[]) => void | Promise<void>
  /** Worth keeping where whoever writes to the database cannot: a log, for instance. */
  onSigned: (checkpoint: Checkpoint) => void
  /** Somebody has changed the log: its tenant is not signed until somebody has looked at it. */
  onBroken: (tenant: string, broken: Break) => void
}

/** Chains the events of all tenants that are not chained yet. One tenant's trouble stops no other's. */
export async function chainAll (db: Database, { onError, onChained }: Pick<ChainingOptions, 'onError' | 'onChained'>): Promise<void> {
  for (const tenant of await findUnchained(db)) await chainTenant(db, tenant, onChained).catch(onError)
}

/** Signs the chains of all tenants that are due. */
export async function signAll (db: Database, { onError, onChained: _, onSigned, onBroken, ...signing }: ChainingOptions): Promise<void> {
  await signAnew(db, signing.keys)
  for (const tenant of await findUnsigned(db, signing.retentionDays)) {
    await signTenant(db, tenant, signing).then(result => { 'cause' in result ? onBroken(tenant, result) : onSigned(result) }).catch(onError)
  }
}

/**
 * Chains every second and signs every minute, on the one replica that holds the lease. Two that both think they do
 * would only be in each other's way: what is appended to a chain is decided by its head. Answers how to stop it.
 */
export function startChaining (db: Database, options: ChainingOptions, { chainMs, signMs } = { chainMs: CHAIN_MS, signMs: SIGN_MS }): () => Promise<void> {
  let signedAt = -Infinity

  return startLeased(db, { name: 'audit', seconds: LEASE_SECONDS, intervalMs: chainMs, onError: options.onError }, async () => {
    await chainAll(db, options)
    if (performance.now() - signedAt < signMs) return
    signedAt = performance.now()
    await signAll(db, options)
  })
}
