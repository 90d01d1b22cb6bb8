import type { Settings } from '../config/secrets.ts'
import { type Acr, isAtLeast } from '../http/auth/caller.ts'
import { UnavailableError } from '../platform/unavailable.ts'
import type { DecisionInput } from '../policy/decide.ts'
import type { Factor } from '../users/user.ts'
import type { FactorKind, ProofKind } from './factor-kind.ts'
import { passkeys } from './passkeys/kind.ts'
import { recoveryCodes } from './recovery-codes/kind.ts'
import { totp } from './totp/kind.ts'

/** All that there are: a new kind is a folder of its own, and a line here. */
export const FACTOR_KINDS: readonly FactorKind[] = [
  totp,
  passkeys
]

/** The kinds of this service, for whatever is done with factors of all of them. */
export class FactorKinds {
  readonly all: readonly FactorKind[]
  readonly names: readonly string[]
  /** Of those that wrong answers lock. */
  readonly throttled: readonly string[]
  /** Actions of the audit, of what can be guessed: attacks are seen by them. */
  readonly accepted: readonly string[]
  readonly refused: readonly string[]

  constructor (all = FACTOR_KINDS) {
    const guessable = all.filter(({ settlement: { isThrottled } }) => isThrottled)
    const guessed: ProofKind[] = [...guessable, recoveryCodes]
    this.all = all
    this.names = all.map(({ kind }) => kind)
    this.throttled = guessable.map(({ kind }) => kind)
    this.accepted = guessed.flatMap(({ audit }) => audit.accepted)
    this.refused = guessed.flatMap(({ audit }) => audit.refused)
  }

  /** @throws UnavailableError for a kind that another release has made: what is not understood lets no one pass */
  of (name: string): FactorKind {
    const found = this.all.find(({ kind }) => kind === name)
    if (found === undefined) throw new UnavailableError(`there are factors of a kind that this release does not know: ${name}`)
    return found
  }

  /** What a second factor adds to a token's `amr`, of every way to prove it that there is here. */
  methodsOf (config: Settings): ReadonlySet<string> {
    const proofs: ProofKind[] = [...this.all.filter(({ isConfigured }) => isConfigured?.(config) !== false), recoveryCodes]
    return new Set(proofs.flatMap(({ amr }) => amr))
  }

  /** What can be set up here, by the users of a tenant. */
  offered (config: Settings, tenant: string): FactorKind[] {
    return this.all.filter(({ isOffered }) => isOffered?.(config, tenant) !== false)
  }

  /** Has the user a factor that proves so much, as the service is configured now? */
  canProve (acr: Acr, { tenant, factors }: Pick<DecisionInput, 'tenant' | 'factors'>, config: Pick<Settings, 'PASSKEYS'>): boolean {
    return factors.some(factor => {
      const kind = this.of(factor.kind)
      return isAtLeast(kind.acr, acr) && kind.isUsable?.(factor, tenant, config) !== false
    })
  }

  /** Is there room for one more of a kind? Those that can be guessed have theirs together. */
  hasRoom ({ kind, most, settlement: { isThrottled } }: FactorKind, factors: ReadonlyArray<Pick<Factor, 'kind'>>): boolean {
    return factors.filter(factor => factor.kind === kind || (isThrottled && this.of(factor.kind).settlement.isThrottled)).length < most
  }
}
