import type { TSchema } from 'typebox'
import type { Settings } from '../config/secrets.ts'
import type { Acr } from '../http/auth/caller.ts'
import type { KeyRing } from '../keys/keys.ts'
import type { Factor, Pending, SealedParameters, User } from '../users/user.ts'

/** A way to prove a second factor: what a token says of it, and the audit. */
export interface ProofKind {
  /** As rows, the API and the audit name it. */
  readonly kind: string
  /** RFC 8176: what a token says was proved. */
  readonly amr: readonly string[]
  readonly acr: Acr
  /** The audit's actions of what was accepted and refused: attacks are seen by them. */
  readonly audit: { readonly accepted: readonly string[], readonly refused: readonly string[] }
}

/** What belongs to a kind of factor and to no other. Shared calls ask the registry for it, and know no kind by name. */
export interface FactorKind extends ProofKind {
  /** Its components of the specification. */
  readonly schemas: readonly TSchema[]
  readonly calls: { readonly start: KindCall, readonly confirm: KindCall, readonly verify: KindCall }
  /** A new factor: what is kept of it sealed, and what its user is shown, once. */
  start: (context: KindContext) => Started
  /**
   * Does the body prove the pending factor?
   * @throws SealError if its secret does not open
   */
  confirm: (user: User, pending: Pending, body: unknown, context: KindContext) => Confirmed | Promise<Confirmed>
  /** Does the body prove one of these, which are the user's and of this kind? Says nothing final: the settling statement decides. */
  verify: (user: User, factors: Factor[], body: unknown, context: KindContext) => Verified | Promise<Verified>
  /** What a client has to ask for before it can prove one of these, where that is something: nothing of it is stored. */
  challenge?: { readonly call: KindCall, make: (user: User, factors: Factor[], context: KindContext) => object }
  /** What a client sees of one besides what every kind has; `counter` is the newest that was accepted. */
  view: (factor: Pick<Factor, 'counter' | keyof SealedParameters>, now: Date) => { nextCodeAt?: string | null }
}

/** Of a call: its path and its part of the specification. `body` and `answer` name components. */
export interface KindCall { path: string, id: string, summary: string, description: string, body: string, answer: string, answered: string, ifUnknown: string }

export interface KindContext { now: Date, ring: KeyRing, config: Settings }

export interface Started {
  /** To be sealed; it is overwritten then. */
  secret: Buffer
  parameters: Omit<SealedParameters, 'kind'>
  show: (account: string) => object | Promise<object>
}

/**
 * `near`: for the audit alone, what would have made a refused one right. `secret`: to be sealed in place of what was kept until now,
 * such as the public key that has answered a challenge; it is overwritten then.
 */
export type Confirmed = { outcome: 'refused', near: object | null } | { outcome: 'match', counter: number, secret?: Buffer }

/** `unreadable`: those whose secret does not open. */
export type Verified = { unreadable: Factor[] } & (
  /** Of a counter that is higher than any accepted one. `drift`: by how many time steps the user's clock is off. */
  | { outcome: 'match', factor: Factor, counter: number, drift?: number }
  /** Right once, and spent: refused, and it costs nothing. */
  | { outcome: 'spent' }
  /** `weight`: how many factors it was tried against. */
  | { outcome: 'refused', weight: number, near: object | null }
)

/** As the functions of the database name them. */
export const auditOf = (kind: string): ProofKind['audit'] => ({ accepted: [`${kind}.accepted`], refused: [`${kind}.refused`] })
