import type { Database } from '../platform/db/client.ts'
import type { Lease } from '../platform/db/lease.ts'
import { UnavailableError } from '../platform/unavailable.ts'
import { type ChainTenantOptions, chainTenant, findUnchained } from './chain.sql.ts'
import { findUnsigned, type Signing, signAnew, signTenant } from './checkpoint.sql.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Break } from './walk.sql.ts'

const CHAIN_MS = 1000
const SIGN_MS = 60_000

export interface SigningOptions extends Signing {
  onError: (error: unknown) => void
  /** Worth keeping where a writer of the database can't reach it: a log, for instance. */
  onSigned: (checkpoint: Checkpoint) => void
  /** A chain that could not be signed this time, as the database or the memory has it. */
  onUnsigned: (tenant: string, error: unknown) => void
  /** The audit was changed: its tenant is not signed until an operator has looked at it. Once, until it is signed again. */
  onBroken: (tenant: string, broken: Break) => void
}

export type ChainingOptions = SigningOptions & ChainTenantOptions

/** Chains the events of all tenants that are not chained yet. One tenant's trouble stops no other's. */
export async function chainAll (
  db: Database,
  { onError, ...options }: Pick<ChainingOptions, 'onError' | 'look' | 'onChained'>
): Promise<void> {
  for (const tenant of await findUnchained(db)) await chainTenant(db, tenant, options).catch(onError)
}

/**
 * Signs the chains of all tenants that are due.
 * @throws UnavailableError, when the others are signed, where the database has kept one from it: that one is due soon again
 */
export async function signAll (
  db: Database,
  { onSigned, onUnsigned, onBroken, ...signing }: Omit<SigningOptions, 'onError'>
): Promise<void> {
  const { memory } = signing
  let unavailable: UnavailableError | undefined
  await signAnew(db, signing.keys)
  for (const tenant of await findUnsigned(db, signing.retentionDays)) {
    await signTenant(db, tenant, signing).then(result => {
      if (!('cause' in result)) {
        memory.foundWhole(tenant)
        onSigned(result)
      } else if (memory.foundBroken(tenant)) onBroken(tenant, result)
    }).catch((error: unknown) => {
      if (error instanceof UnavailableError) unavailable = error
      onUnsigned(tenant, error)
    })
  }
  if (unavailable !== undefined) throw unavailable
}

/**
 * Chains every second and signs every minute, each by itself: a chain that takes long to be followed holds up no other. Two replicas that
 * both think they hold the lease would only be in each other's way: what is appended to a chain is decided by its head.
 */
export function startChaining (
  db: Database,
  lease: Lease,
  options: ChainingOptions,
  { chainMs, signMs } = { chainMs: CHAIN_MS, signMs: SIGN_MS }
): void {
  lease.every(chainMs, options.onError, () => chainAll(db, options))
  lease.every(signMs, options.onError, () => signAll(db, options))
}
