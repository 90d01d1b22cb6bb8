import { UnavailableError } from '../platform/unavailable.ts'
import type { FactorKind, ProofKind } from './factor-kind.ts'
import { recoveryCodes } from './recovery-codes/kind.ts'
import { totp } from './totp/kind.ts'

/** All that there are: a new kind is a folder of its own, and a line here. */
export const FACTOR_KINDS: readonly FactorKind[] = [
  totp
]

/** The kinds of this service, for whatever is done with factors of all of them. */
export class FactorKinds {
  readonly all: readonly FactorKind[]
  readonly names: readonly string[]
  /** What a second factor adds to a token's `amr`, of every way to prove it. */
  readonly methods: ReadonlySet<string>
  /** Actions of the audit: what attacks are seen by. */
  readonly accepted: readonly string[]
  readonly refused: readonly string[]

  constructor (all = FACTOR_KINDS) {
    const proofs: ProofKind[] = [...all, recoveryCodes]
    this.all = all
    this.names = all.map(({ kind }) => kind)
    this.methods = new Set(proofs.flatMap(({ amr }) => amr))
    this.accepted = proofs.flatMap(({ audit }) => audit.accepted)
    this.refused = proofs.flatMap(({ audit }) => audit.refused)
  }

  /** @throws UnavailableError for a kind that another release has made: what is not understood lets no one pass */
  of (name: string): FactorKind {
    const found = this.all.find(({ kind }) => kind === name)
    if (found === undefined) throw new UnavailableError(`there are factors of a kind that this release does not know: ${name}`)
    return found
  }
}
