/** Whole seconds since 1970, as tokens have them. */
export const unixSeconds = (now: Date): number => Math.floor(now.getTime() / 1000)

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i

/** A moment by RFC 3339 §5.6; undefined for any other text. */
export function parseRfc3339 (text: string): Date | undefined {
  const time = new Date(RFC_3339.test(text) ? text.toUpperCase() : NaN)
  return Number.isNaN(time.getTime()) ? undefined : time
}

/** Seconds of clock difference that two machines may have. */
export const CLOCK_SKEW_SECONDS = 60

export const isFresh = (authTime: number | undefined, now: Date, maxAgeSeconds: number): boolean =>
  authTime !== undefined && now.getTime() / 1000 - authTime <= maxAgeSeconds

/** `old`: a new login helps. `unknown`: it does not, as the issuer's tokens do not say when a login was. */
export type LoginAge = 'fresh' | 'old' | 'unknown'

export function loginAge (authTime: number | undefined, now: Date, freshSeconds: number): LoginAge {
  if (authTime === undefined) return 'unknown'
  return isFresh(authTime, now, freshSeconds) ? 'fresh' : 'old'
}
