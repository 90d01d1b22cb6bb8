import { Secret } from 'otpauth'

/** Why a row stays behind. */
export type Reason =
  | 'malformed' | 'not_totp' | 'not_sha1' | 'not_six_digits' | 'not_30_seconds' | 'no_base32' | 'secret_too_short' | 'secret_too_long'
  /** The adapter's own encryption, or another secret than the one that was given. */
  | 'encrypted'
  /** Set up there and never proved. */
  | 'not_verified'
  /** They have no slot and no checksum here: their owner makes new ones. */
  | 'recovery_codes'
  | 'no_subject' | 'too_many_factors'

/** Who somebody is there; which of them our tokens name as `sub` is for whoever imports to know. */
export interface Identity { id?: string | undefined, username?: string | undefined, email?: string | undefined }

/** What a file has of one authenticator, or of recovery codes. */
export interface Found extends Identity {
  /** Its id there, or its line: what a person finds it by. */
  row: string
  /** What tells it from the person's others, today and the next time; without it `row` does. */
  key?: string | undefined
  label?: string | undefined
  content: { secret: Buffer } | { reason: Reason }
}

/** A file that is not what it was said to be; the message never holds a part of it. */
export class ImportError extends Error { override name = 'ImportError' }

/** Bytes: RFC 4226 §4 R6 asks for the first, and nobody makes more than the second. */
const [SHORTEST, LONGEST] = [16, 128]

export function takeSecret (secret: Buffer): Found['content'] {
  if (secret.length < SHORTEST) return { reason: 'secret_too_short' }
  return secret.length > LONGEST ? { reason: 'secret_too_long' } : { secret }
}

export function takeBase32 (text: string): Found['content'] {
  const bare = text.replace(/[\s-]/g, '')
  return /^[A-Za-z2-7]+=*$/.test(bare) ? takeSecret(Buffer.from(Secret.fromBase32(bare).bytes)) : { reason: 'no_base32' }
}

/** What our authenticators do, and so all that can be brought: SHA-1, six digits, 30 seconds. */
export function refuseOthers ({ algorithm, digits, period }: { algorithm: unknown, digits: unknown, period: unknown }): Reason | undefined {
  if (algorithm !== 'SHA1') return 'not_sha1'
  if (digits !== 6) return 'not_six_digits'
  return period === 30 ? undefined : 'not_30_seconds'
}

export type Json = Record<string, unknown>

export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
export const objects = (value: unknown): Json[] => Array.isArray(value) ? value.filter(isObject) : []
export const text = (value: unknown): string | undefined => typeof value === 'string' && value !== '' ? value : undefined

export function parseJson (file: string): unknown {
  try { return JSON.parse(file) } catch { throw new ImportError('The file is not JSON.') }
}
