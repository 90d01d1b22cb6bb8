import type { TSchema } from 'typebox'
import type { Settings } from '../config/secrets.ts'
import type { Acr } from '../http/auth/caller.ts'
import type { DETAILS } from '../http/problem.ts'
import type { KeyRing } from '../keys/keys.ts'
import type { ProvableFactor } from '../policy/decide.ts'
import type { Credential, Factor, Pending, SealedParameters, User } from '../users/user.ts'
import type { AlarmType } from '../webhooks/event.ts'
import type { FactorSettlement } from './settlement.ts'

/** A way to prove a second factor: what a token says of it, and the audit. */
export interface ProofKind {
  /** As rows, the API and the audit name it. */
  readonly kind: string
  /** RFC 8176: what a token says was proved. */
  readonly amr: readonly string[]
  readonly acr: Acr
  /** The audit's actions of what was accepted and refused, and of what its owner is told. */
  readonly audit: { readonly accepted: readonly string[], readonly refused: readonly string[], readonly told: readonly AlarmType[] }
}

/** What belongs to a kind of factor and to no other. Shared calls ask the registry for it, and know no kind by name. */
export interface FactorKind extends ProofKind {
  /** What one without a label is called, with a number. */
  readonly noun: string
  /** What a set-up proves, where that is less than a use does. */
  readonly setUp?: Pick<ProofKind, 'acr' | 'amr'>
  /** So many a user may have; kinds that can be guessed share theirs, as each of them is one more to guess. */
  readonly most: number
  readonly settlement: FactorSettlement
  /** What a user does next without a factor of the kind, and after a refused answer, where that is not about codes. */
  readonly says: { readonly missing: keyof typeof DETAILS, readonly refused?: keyof typeof DETAILS }
  /** Its components of the specification. */
  readonly schemas: readonly TSchema[]
  readonly calls: { readonly start: KindCall, readonly confirm: KindCall, readonly verify: KindCall }
  /** Has this deployment it for any tenant, and for this one? Without these, always. */
  isConfigured?: (config: Settings) => boolean
  isOffered?: (config: Settings, tenant: string) => boolean
  /** Can this one be proved, as the service is configured now? Without it, always. */
  isUsable?: (factor: ProvableFactor, tenant: string, config: Pick<Settings, 'PASSKEYS'>) => boolean
  /** A new factor: what is kept of it sealed, and what its user is shown, once. */
  start: (context: Pick<KindContext, 'config'>) => Started
  /**
   * Does the body prove the pending factor?
   * @throws SealError if its secret does not open
   */
  confirm: (user: User, pending: Pending, body: unknown, context: KindContext) => Confirmed | Promise<Confirmed>
  /** Does the body prove one of these, which are the user's and of this kind? Says nothing final: the settling statement decides. */
  verify: (user: User, factors: Factor[], body: unknown, context: KindContext) => Verified | Promise<Verified>
  /** What a client has to ask for before it can prove one of these, where that is something: nothing of it is stored. */
  challenge?: { readonly call: Omit<KindCall, 'ifUnknown'>, make: (user: User, factors: Factor[], context: KindContext) => object }
  /** What a client sees of one besides what every kind has; `counter` is the newest that was accepted. */
  view: (factor: Pick<Factor, 'counter' | keyof SealedParameters>, now: Date) => { nextCodeAt?: string | null }
  /** A member of each factor that is null for other kinds; `credential` is null of a pending one. */
  readonly details?: {
    readonly name: string,
    readonly schema: TSchema,
    make: (credential: Credential | null, tenant: string, config: Settings) => object | null
  }
}

/** Of a call: its path and its part of the specification. `body` and `answer` name components. */
export interface KindCall {
  path: string
  id: string
  summary: string
  description: string
  body: string
  answer: string
  answered: string
  ifUnknown: string
}

/** `session`: the login session that the caller's token names. */
export interface KindContext { now: Date, ring: KeyRing, config: Settings, session: string | null }

export interface Started {
  /** To be sealed; it is overwritten then. */
  secret: Buffer
  parameters: Omit<SealedParameters, 'kind'>
  show: (user: User) => object | Promise<object>
}

/**
 * `near`: for the audit alone, what would have made a refused one right. `secret`: to be sealed in place of what was kept until now,
 * such as the public key that has answered a challenge; it is overwritten then. `name`: what it is called without a label.
 */
export type Confirmed = { outcome: 'refused', near: object | null } | {
  outcome: 'match',
  counter: number,
  secret?: Buffer,
  credential?: Credential,
  name?: string | null
}

/** `unreadable`: those whose secret does not open. */
export type Verified = { unreadable: Factor[] } & (
  /** `drift`: by how many time steps the user's clock is off. `proof`: what the settlement decides by besides. */
  | { outcome: 'match', factor: Factor, counter: number, drift?: number, proof?: object }
  /** Right once, and spent: refused, and it costs nothing. */
  | { outcome: 'spent' }
  /** `weight`: how many factors it was tried against. */
  | { outcome: 'refused', weight: number, near: object | null }
)

/** As the functions of the database name them. */
export const auditOf = (kind: string, alarm: 'locked' | 'suspected' = 'locked'): ProofKind['audit'] =>
  ({ accepted: [`${kind}.accepted`], refused: [`${kind}.refused`], told: [`${kind}.${alarm}`] })
