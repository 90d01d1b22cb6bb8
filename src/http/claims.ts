import type { ClaimPath } from '../core/issuer.ts'

export type Claims = Record<string, unknown>

// eslint-disable-next-line no-control-regex -- NUL can't be stored, the others don't belong into a name
const isPrintable = (value: string): boolean => !/[\u0000-\u001f\u007f\u2028\u2029\ud800-\udfff]/u.test(value)

export const string = (value: unknown, maxLength: number): string | undefined =>
  typeof value === 'string' && value !== '' && value.length <= maxLength && isPrintable(value) ? value : undefined

/** An array of strings, whole or not at all: half of one would be somebody else's. */
export const strings = (value: unknown, maxItems: number, maxLength: number): string[] | undefined =>
  Array.isArray(value) && value.length <= maxItems && value.every(item => string(item, maxLength) !== undefined) ? value as string[] : undefined

/** Whole unix seconds. */
export const seconds = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 && value < 1e11 ? Math.floor(value) : undefined

/** What is where the path leads, if every step of it is an object's own member. */
export function claimAt (claims: Claims, path: ClaimPath): unknown {
  let value: unknown = claims
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Claims)[name]
  }
  return value
}
