import { createHash } from 'node:crypto'
import type { Credential, Factor } from '../../users/user.ts'

/** As its factors are called everywhere. */
export const PASSKEY_KIND = 'passkey'

/** A factor of this kind, by what the database sees to. */
export interface Passkey extends Factor { kind: typeof PASSKEY_KIND, credential: Credential }

export const isPasskey = (factor: Factor): factor is Passkey => factor.kind === PASSKEY_KIND

/** Why an answer is refused: the audit says it, and the caller is not told. */
export type Cause =
  | 'unknown'
  | 'handle'
  | 'challenge'
  | 'expired'
  | 'origin'
  | 'frame'
  | 'rp'
  | 'user'
  | 'flags'
  | 'signature'
  | 'spent'
  | 'counter'
  | 'stale'
  | 'known'

/** ES256, EdDSA, RS256, the most wanted first (RFC 9053, RFC 8812). */
export const ALGORITHMS = [-7, -8, -257]

/** WebAuthn Level 3 §6.5.1. */
export const MAX_ID_BYTES = 1023

export const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')

/** Null for what is no base64url, or not written as browsers do: no two texts are one credential. */
export function toBytes (text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url')
  return toText(bytes) === text ? bytes : null
}

/** How a relying party's authenticators know a user: by what says nothing of them. */
export const handleOf = (userId: string): Buffer => Buffer.from(userId.replaceAll('-', ''), 'hex')

export const sha256 = (data: string | Uint8Array): Buffer => createHash('sha256').update(data).digest()
