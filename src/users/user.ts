import type { Acr } from '../http/auth/caller.ts'
import type { Policy } from '../policy/policy.ts'

/** What an issuer last claimed of a user. */
export interface SourceClaims {
  local?: boolean
  sso?: boolean
  groups?: string[]
  /** Its newest token claimed that it left groups out. */
  groupsUnknown?: boolean
}

/** One snapshot of all that a decision about a user needs. May be stale by the time of the write; the write decides. */
export interface User {
  tenant: string
  userId: string
  namespace: string
  subject: string
  account: string
  epoch: number
  revision: number
  sources: Record<string, SourceClaims>
  isDisabled: boolean
  /** Were they ever seen with an `mfa:` role? */
  isAdministrator: boolean
  /** An administrator wants them to set up a first factor with a code only. */
  isCodeRequired: boolean
  /** First-factor tokens of until then belong to a user who was erased. */
  tokensSince: Date | null
  createdAt: Date
  /** The database's time of this snapshot: what deadlines and exemptions end by. */
  readAt: Date
  /** When an enforcing policy first met them, and the deadline that they were given, once. */
  policyMetAt: Date | null
  graceUntil: Date | null
  exemption: Exemption | null
  /** The version of the policy that was last reported to ask something of them. */
  reportedVersion: number | null
  factors: Factor[]
  /** The caller's login session, where it is remembered. */
  session: RememberedSession
  /** By their kinds: one that was not needed yet is not there. Ask `throttleOf`. */
  throttles: Record<string, Throttle>
  policy: Policy
}

/** With what a login does not ask about. */
export interface WholeUser extends User {
  /** One of each kind at most, oldest first. */
  pending: Pending[]
  recovery: RecoverySet | null
  /** Those of this epoch, the newest first, however old they are. */
  devices: TrustedDevice[]
}

/** A device that the user trusts; `earnedAt` in unix seconds. `mac` says that it was made by this service. */
export interface TrustedDevice {
  id: string
  name: string | null
  factorId: string
  earnedAt: number
  createdAt: Date
  lastUsedAt: Date | null
  mac: Buffer
}

/** An administrator's; `until` null: without an end. */
export interface Exemption { since: Date, until: Date | null, reason: string, by: string }

export interface SealedSecret { sealed: Buffer, keyId: string }

/** What a secret is bound to besides whose it is, as its row has it: what its kind computes by; null where that is nothing. */
export interface SealedParameters { kind: string, algorithm: string | null, digits: number | null, period: number | null }

/** A confirmed factor of any kind: which one it is tells the kinds apart. */
export interface Factor extends SealedSecret, SealedParameters {
  id: string
  label: string
  /** The newest that was accepted. */
  counter: number
  createdAt: Date
  confirmedAt: Date
  lastUsedAt: Date | null
  afterRecoveryAt: Date | null
  /** What an authenticator of WebAuthn has besides its public key, which is the secret. */
  credential: Credential | null
}

/** `isEligible`: it may live on several devices. `aaguid`: what keeps it, as that says itself. */
export interface Credential { id: Buffer, rpId: string, isEligible: boolean, aaguid: string, transports: string[] }

/** A factor that was started and not yet confirmed; expired ones are not in the snapshot. */
export interface Pending extends SealedSecret, SealedParameters {
  factorId: string
  label: string | null
  session: string | null
  createdAt: Date
}

/**
 * What is known of a login session: how often it was logged out of, and the second factor that counts for it. `isForged`: there is
 * one that counts for nothing, as none of our peppers made its MAC for this session.
 */
export interface RememberedSession { generation: number, authentication: RememberedAuthentication | null, isForged: boolean }

/** Times in unix seconds. */
export interface RememberedAuthentication {
  acr: Acr
  methods: string[]
  factorId: string
  authTime: number
  endsAt: number
  isBypass?: boolean
}

export interface RecoverySet { id: string, total: number, remaining: number, generatedAt: Date, acknowledgedAt: Date | null }

/** As the database's clock has it. */
export interface Throttle { failures: number, waitSeconds: number | null, waitUntil: Date | null, lockedAt: Date | null }
