import type { Checkpoint } from './checkpoint.ts'

/** At half a kilobyte each. */
const MAX_TENANTS = 100_000

/**
 * What one replica knows of the audit for as long as it runs: of each tenant the newest checkpoint that it has signed or has
 * seen signed, and whose audit it has found changed. The owner of the tables can take back all that is in them, and not this.
 * No tenant is pushed out for another: an attacker who can make tenants could have one forgotten so. What has no room is not signed.
 */
export class AuditMemory {
  readonly #newest = new Map<string, Checkpoint>()
  readonly #broken = new Set<string>()
  readonly #maxTenants: number

  constructor (maxTenants = MAX_TENANTS) { this.#maxTenants = maxTenants }

  newest (tenant: string): Checkpoint | undefined { return this.#newest.get(tenant) }

  all (): Checkpoint[] { return [...this.#newest.values()] }

  hasRoomFor (tenant: string): boolean { return this.#newest.has(tenant) || this.#newest.size < this.#maxTenants }

  /** What was read and what was signed may come in any order: the newer one stays. */
  keep (checkpoint: Checkpoint): void {
    const known = this.#newest.get(checkpoint.tenant)
    const isNewer = known === undefined || known.count < checkpoint.count || (known.count === checkpoint.count && known.at < checkpoint.at)
    if (isNewer && this.hasRoomFor(checkpoint.tenant)) this.#newest.set(checkpoint.tenant, checkpoint)
  }

  /** True the first time: a break is found again with each look, and reported once. */
  foundBroken (tenant: string): boolean {
    if (this.#broken.has(tenant)) return false
    if (this.#broken.size < this.#maxTenants) this.#broken.add(tenant)
    return true
  }

  foundWhole (tenant: string): void { this.#broken.delete(tenant) }
}
