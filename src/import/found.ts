import { Secret } from 'otpauth'
import { readTyped } from '../factors/typed-code.ts'

/** Why a row stays behind; docs/import.md says what each means. */
export const REASONS = [
  'malformed', 'no_uri', 'no_secret', 'no_base32', 'no_hex', 'secret_too_short', 'secret_too_long', 'encrypted',
  'not_totp', 'passkey', 'steam', 'not_sha1', 'not_six_digits', 'not_30_seconds', 'not_verified', 'unclear_flag', 'recovery_codes',
  'no_subject', 'ambiguous_subject', 'shared_secret', 'other_issuer', 'too_many_factors'
] as const

export type Reason = typeof REASONS[number]

/** The names of a user there; which of them our tokens have as `sub`, the operator who imports must know. */
export interface Identity { id?: string | undefined, username?: string | undefined, email?: string | undefined }

/** What a file has of one authenticator, or of recovery codes. */
export interface Found extends Identity {
  /** Its id there, or its line, or its number in the file: what the operator finds it by. */
  row: string
  /** What tells it from the user's others, today and the next time; without it its place among them does. */
  key?: string | undefined
  label?: string | undefined
  /** Of an app, which has accounts of many. */
  issuer?: string | undefined
  content: { secret: Buffer } | { reason: Reason }
}

/** A file that is not what it was said to be; the message never holds what is in it. */
export class ImportError extends Error { override name = 'ImportError' }

/** Bytes: RFC 4226 §4 R6 asks for the first, and no app makes more than the second. */
const [SHORTEST, LONGEST] = [16, 128]

export function takeSecret (secret: Buffer): Found['content'] {
  if (secret.length < SHORTEST) return { reason: 'secret_too_short' }
  return secret.length > LONGEST ? { reason: 'secret_too_long' } : { secret }
}

export function takeBase32 (text: string): Found['content'] {
  const bare = readTyped(text)
  if (bare === '') return { reason: 'no_secret' }
  return /^[A-Za-z2-7]+=*$/.test(bare) ? takeSecret(Buffer.from(Secret.fromBase32(bare).bytes)) : { reason: 'no_base32' }
}

export function takeHex (text: string): Found['content'] {
  if (text === '') return { reason: 'no_secret' }
  return /^([0-9A-Fa-f]{2})+$/.test(text) ? takeSecret(Buffer.from(text, 'hex')) : { reason: 'no_hex' }
}

/** Our authenticators do SHA-1, six digits, 30 seconds, and nothing else can be brought. In whatever spelling, but nothing is supposed. */
export function refuseOthers ({ algorithm, digits, period }: { algorithm: unknown, digits: unknown, period: unknown }): Reason | undefined {
  if (!/^(hmac-?)?sha-?1$/i.test(String(algorithm))) return 'not_sha1'
  if (!isNumber(digits, 6)) return 'not_six_digits'
  return isNumber(period, 30) ? undefined : 'not_30_seconds'
}

const isNumber = (value: unknown, expected: number): boolean =>
  value === expected || (typeof value === 'string' && /^\d+$/.test(value) && Number(value) === expected)

export type Json = Record<string, unknown>

export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
export const objects = (value: unknown): Json[] => Array.isArray(value) ? value.filter(isObject) : []
export const text = (value: unknown): string | undefined => typeof value === 'string' && value !== '' ? value : undefined

/** An id or a name, which may be a number: but none that JSON has rounded, since that is another user's. */
export const nameOf = (value: unknown): string | undefined => Number.isSafeInteger(value) ? String(value) : text(value)

/** The name that a user signs in with is their address, if it is one. */
export function login (name: string | undefined): Identity {
  const isAddress = name !== undefined && /^[^\s@]+@[^\s@]+$/.test(name)
  return { username: name, email: isAddress ? name : undefined }
}

/** A user by their key. The same once more is a table that was joined; another one of that key is a file that says nothing of either. */
export function putOnce<Who extends object> (users: Map<string, Who>, key: string, who: Who, row: string): void {
  const known = users.get(key) ?? who
  if (JSON.stringify(known) !== JSON.stringify(who)) throw new ImportError(`The file has two users of one key, the second in row ${row}.`)
  users.set(key, who)
}

/** The objects of a list, with their numbers in it, from 1. */
export const numbered = (list: unknown): Array<{ number: string, entry: Json }> =>
  Array.isArray(list) ? list.flatMap((entry, index) => isObject(entry) ? [{ number: String(index + 1), entry }] : []) : []

const TRUE = ['true', 't', 'yes', 'y', 'on', '1', '\u0001']
const FALSE = ['false', 'f', 'no', 'n', 'off', '0', '\u0000']

/** A truth value as any database spells it: 1, "t", "TRUE", a BIT … `unknown` is there and cannot be read; null and undefined stay. */
export function flagOf (value: unknown): boolean | null | undefined | 'unknown' {
  if (value === null || value === undefined) return value
  const text = ['string', 'number', 'boolean'].includes(typeof value) ? String(value).trim().toLowerCase() : ''
  return TRUE.includes(text) ? true : FALSE.includes(text) ? false : 'unknown'
}

/** One JSON text, or one a line (https://jsonlines.org), which is their array. */
export function parseJson (file: string): unknown {
  try { return JSON.parse(file) } catch { return parseLines(file.trimEnd().split(/\r?\n/)) }
}

function parseLines (lines: string[]): unknown[] {
  return lines.map((line, index) => {
    try {
      const parsed = JSON.parse(line) as unknown
      if (isObject(parsed)) return parsed
    } catch {}
    if (index === 0) throw new ImportError('The file is not JSON.')
    throw new ImportError(`The file is not JSON: its first lines are, one a line, and line ${index + 1} is not.`)
  })
}
