import { randomBytes, timingSafeEqual } from 'node:crypto'
import { HOTP, Secret, TOTP } from 'otpauth'
import type { Factor } from '../../users/user.ts'

export const SECRET_BYTES = 20
export const PERIOD_SECONDS = 30

/** How a factor computes its codes. Data and not code, so that it can be raised (RFC 6238 §1.2). */
export interface TotpParameters { algorithm: string, digits: number, period: number }

/** As its factors are called everywhere. */
export const TOTP_KIND = 'totp'

/** A factor of this kind, by what the database sees to. */
export interface TotpFactor extends Factor { kind: typeof TOTP_KIND, algorithm: string, digits: number, period: number }

export const isTotp = (factor: Factor): factor is TotpFactor => factor.kind === TOTP_KIND

export const DEFAULT_PARAMETERS: Readonly<TotpParameters> = { algorithm: 'SHA1', digits: 6, period: PERIOD_SECONDS }

/** `1`: {T−1, T, T+1}; `past`: {T−1, T} (RFC 6238 §5.2). */
export type TotpWindow = '1' | 'past'

/** 160 random bits (RFC 4226 §4 R6). */
export const generateSecret = (): Buffer => randomBytes(SECRET_BYTES)

/** The time step of RFC 6238 §4.2. */
export const stepAt = (now: Date, period = PERIOD_SECONDS): number => Math.floor(now.getTime() / 1000 / period)

/** When step `step` ends and the next one's code is taken. */
export const stepEnd = (step: number, period = PERIOD_SECONDS): Date => new Date((step + 1) * period * 1000)

/** The code of one step (RFC 6238 §4, RFC 4226 §5.3). */
export function codeAt (secret: Uint8Array, step: number, { algorithm, digits } = DEFAULT_PARAMETERS): string {
  return HOTP.generate({ secret: toSecret(secret), counter: step, algorithm, digits })
}

/**
 * The newest step of the window whose code this is, or null. The newest, because where two neighbours have one code,
 * accepting the older would leave the same digits good for the other.
 * @param code six ASCII digits, as `readTyped` makes them
 */
export function matchStep (
  secret: Uint8Array,
  code: string,
  now: Date,
  window: TotpWindow,
  parameters = DEFAULT_PARAMETERS
): number | null {
  const current = stepAt(now, parameters.period)
  const offset = lastMatch(secret, code, current, window === 'past' ? [-1, 0] : [-1, 0, 1], parameters)
  return offset === null ? null : current + offset
}

/** How far off a clock may be for the audit to say so, in steps: ten minutes. */
const FAR = 20
/** The far ones first, so that the nearest is what remains. */
const FAR_OFFSETS = Array.from({ length: FAR }, (_, index) => [index - FAR, FAR - index]).flat()

/**
 * How many steps before (negative) or after this one the code would have been right, or null. It helps a user
 * whose clock is off, and lets no one in.
 */
export const stepsAway = (secret: Uint8Array, code: string, now: Date, parameters = DEFAULT_PARAMETERS): number | null =>
  lastMatch(secret, code, stepAt(now, parameters.period), FAR_OFFSETS, parameters)

/** The last of these offsets whose code it is. Every one is computed, whichever matches: the time says nothing. */
function lastMatch (
  secret: Uint8Array,
  code: string,
  current: number,
  offsets: readonly number[],
  { algorithm, digits }: TotpParameters
): number | null {
  const given = Buffer.from(code)
  const key = toSecret(secret)
  let match = null
  for (const offset of offsets) {
    const expected = Buffer.from(HOTP.generate({ secret: key, counter: current + offset, algorithm, digits }))
    if (expected.length === given.length && timingSafeEqual(expected, given)) match = offset
  }
  key.bytes.fill(0)
  return match
}

/** The key URI that authenticator apps read: exactly the parameters that the verifier uses, no padding. */
export function otpauthUri (secret: Uint8Array, issuer: string, account: string): string {
  return new TOTP({ ...DEFAULT_PARAMETERS, issuer, label: shorten(account), secret: toSecret(secret) }).toString()
}

/** A QR code can't hold everything: 64 characters tell users their account. A colon would part it anew, as the issuer from the account. */
const shorten = (account: string): string => [...account.replaceAll(':', '-')].slice(0, 64).join('')

export const base32 = (secret: Uint8Array): string => toSecret(secret).base32

function toSecret (secret: Uint8Array): Secret {
  return new Secret({ buffer: secret.buffer.slice(secret.byteOffset, secret.byteOffset + secret.byteLength) as ArrayBuffer })
}
