import { isName, MAX_GROUPS, MAX_LENGTH } from '../../platform/text.ts'
import { parseRfc3339 } from '../../platform/time.ts'
import type { ClaimPath } from './issuer.ts'

export type Claims = Record<string, unknown>

/** The header of a signed token (RFC 7515, section 4), before it is checked. */
export interface JwsHeader { alg?: unknown, kid?: unknown, typ?: unknown, [name: string]: unknown }

/**
 * What was found of a claim. *Unreadable* is what is there and has not the shape that it should: it must never pass for
 * *absent*, since that is the open side of more than one rule. So there is no way to the value that does not say what each means.
 */
export type Reading<T> =
  | { readonly state: 'absent' }
  | { readonly state: 'unreadable' }
  | { readonly state: 'readable', readonly value: T }

/** A list of which some may be unreadable: then it `isWhole` no more, and what could be read of it is there. */
export type ListReading =
  | { readonly state: 'absent' }
  | { readonly state: 'present', readonly items: string[], readonly isWhole: boolean }

const ABSENT = { state: 'absent' } as const
const UNREADABLE = { state: 'unreadable' } as const

/** What a reading comes to: the value, or what the other two states mean here. */
export function resolve<T, U> (reading: Reading<T>, { absent, unreadable }: { absent: () => U, unreadable: () => U }): T | U {
  switch (reading.state) {
    case 'absent': return absent()
    case 'unreadable': return unreadable()
    case 'readable': return reading.value
  }
}

/** What is where the path leads, if every step on the way is an object's own member. */
function find (claims: Claims, path: ClaimPath): Reading<unknown> {
  let value: unknown = claims
  for (const name of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return UNREADABLE
    if (!Object.hasOwn(value, name)) return ABSENT
    value = (value as Claims)[name]
  }
  return { state: 'readable', value }
}

/** What is there, if it is only to be shown. */
export const valueAt = (claims: Claims, path: ClaimPath): unknown =>
  resolve(find(claims, path), { absent: () => undefined, unreadable: () => undefined })

function read<T> (claims: Claims, path: ClaimPath, parse: (value: unknown) => T | undefined): Reading<T> {
  const found = find(claims, path)
  if (found.state !== 'readable') return found
  const value = parse(found.value)
  return value === undefined ? UNREADABLE : { state: 'readable', value }
}

const toName = (maxLength: number) => (value: unknown): string | undefined =>
  typeof value === 'string' && isName(value, maxLength) ? value : undefined

/** A name of at most so many characters. */
export const readName = (claims: Claims, path: ClaimPath, maxLength: number): Reading<string> => read(claims, path, toName(maxLength))

/** Names a login session: text, or a positive whole number, as its digits. */
export const readId = (claims: Claims, path: ClaimPath): Reading<string> => read(claims, path, value =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? String(value) : toName(255)(value))

const toSeconds = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 && value < 1e11 ? Math.floor(value) : undefined

/** Unix seconds (RFC 7519 §2), a fraction cut off. */
export const readSeconds = (claims: Claims, path: ClaimPath): Reading<number> => read(claims, path, toSeconds)

/** The same, also as digits (Keycloak's session notes) and as RFC 3339 text (AD FS). */
export const readTime = (claims: Claims, path: ClaimPath): Reading<number> => read(claims, path, value =>
  toSeconds(typeof value !== 'string' ? value : /^\d{1,11}$/.test(value) ? Number(value) : (parseRfc3339(value)?.getTime() ?? NaN) / 1000))

/**
 * A list of names: a single one is a list of one, an object the list of its keys (Zitadel's roles). As many are read as a
 * user may have groups, each once.
 */
export function readList (claims: Claims, path: ClaimPath): ListReading {
  const found = find(claims, path)
  if (found.state === 'absent') return ABSENT
  const given = found.state === 'unreadable' ? undefined : listed(found.value)
  if (given === undefined) return { state: 'present', items: [], isWhole: false }
  const items = new Set<string>()
  let isWhole = true
  for (const value of given) {
    const item = toName(MAX_LENGTH.group)(value)
    if (item === undefined || (items.size === MAX_GROUPS && !items.has(item))) isWhole = false
    else items.add(item)
  }
  return { state: 'present', items: [...items], isWhole }
}

function listed (value: unknown): unknown[] | undefined {
  if (Array.isArray(value)) return value
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.keys(value) : undefined
}
