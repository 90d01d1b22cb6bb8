import { KeyObject, type webcrypto } from 'node:crypto'
import { addAbortSignal, Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type FlattenedJWSInput,
  type JWKSCacheInput,
  jwksCache,
  type JWSHeaderParameters
} from 'jose'
import { UnavailableError } from '../../platform/unavailable.ts'

const MAX_BYTES = 256 * 1024

/** Times in milliseconds. */
export const KEY_SET_LIMITS = {
  timeout: 5000,
  /** How often at most an unknown `kid` asks again, and a set that could not be renewed. */
  cooldown: 30_000,
  /**
   * For so long the failure to have a set for the first time is the answer to all who ask: who waited in vain is not followed by
   * others.
   */
  firstCooldown: 1000,
  maxAge: 600_000,
  /** How old a set may become while it cannot be renewed: an outage must not keep a withdrawn key alive for ever. */
  maxStale: 3_600_000
}

type Header = { alg?: unknown, kid?: unknown }

export interface KeySet {
  /** The public keys (PEM, SPKI) that a token may be signed by: one where it names it, else as many as fit, within bounds. */
  find: (header: Header) => Promise<string[]>
  /** The same of a new answer, for a token that names no key and that none of them has signed. Nothing where it was asked a moment ago. */
  renew: (header: Header) => Promise<string[]>
}

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** As many signatures are checked for a token that names no key. */
export const MAX_TRIED = 10

/**
 * Keys of a JWK set at a URL: cached for ten minutes, an unknown `kid` asks again at most once in 30 s, five seconds for
 * an answer, 256 KiB of it, no redirects. What is cached answers through an outage, for an hour.
 * @throws UnavailableError when the set cannot be had
 */
export function remoteKeys (
  url: string,
  fetch: Fetch = globalThis.fetch,
  { timeout, cooldown, firstCooldown, maxAge, maxStale } = KEY_SET_LIMITS
): KeySet {
  const cache: JWKSCacheInput = {}
  let failedAt = -Infinity

  const isCoolingDown = (): boolean => Date.now() - failedAt < (hasSet(cache) ? cooldown : firstCooldown)
  const failed = (): void => { if (!isCoolingDown()) failedAt = Date.now() }
  const unavailable = (cause: unknown): UnavailableError => new UnavailableError('the issuer\'s key set cannot be fetched', { cause })

  /** The library waits between two questions only after an answer: a failure is remembered here. */
  async function ask (url: string, init: RequestInit): Promise<Response> {
    if (isCoolingDown()) throw new Error('the key set could not be had a moment ago')
    return await limited(await fetch(url, { ...init, redirect: 'error' }), init.signal as AbortSignal)
  }

  const set = createRemoteJWKSet(new URL(url), {
    timeoutDuration: timeout,
    cooldownDuration: cooldown,
    cacheMaxAge: maxAge,
    [customFetch]: ask,
    [jwksCache]: cache
  })

  async function findCached (header: JWSHeaderParameters, cause: unknown): Promise<string[]> {
    if (!hasSet(cache) || Date.now() - cache.uat > maxStale) throw unavailable(cause)
    // A key that is not in it may be a new one: that is not known now.
    try { return await keysOf(createLocalJWKSet(cache.jwks), header) } catch { throw unavailable(cause) }
  }

  async function find (given: Header): Promise<string[]> {
    const header = toHeader(given)
    if (header === undefined) return []
    try {
      return await keysOf(set, header)
    } catch (error) {
      if (isUnfit(error)) return []
      failed()
      return await findCached(header, error)
    }
  }

  async function renew (header: Header): Promise<string[]> {
    if (set.coolingDown) return []
    try {
      await set.reload()
    } catch (error) {
      failed()
      throw unavailable(error)
    }
    return await find(header)
  }

  return { find, renew }
}

function toHeader ({ alg, kid }: Header): JWSHeaderParameters | undefined {
  if (typeof alg !== 'string') return undefined
  if (kid === undefined) return { alg }
  return typeof kid === 'string' && kid.length <= 255 ? { alg, kid } : undefined
}

type Find = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<webcrypto.CryptoKey>

async function keysOf (find: Find, header: JWSHeaderParameters): Promise<string[]> {
  try {
    return [pemOf(await find(header, { payload: '', signature: '' }))]
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    const pems = []
    for await (const key of error) {
      pems.push(pemOf(key))
      if (pems.length === MAX_TRIED) break
    }
    return pems
  }
}

const pems = new WeakMap<object, string>()

function pemOf (key: webcrypto.CryptoKey): string {
  const pem = pems.get(key) ?? KeyObject.from(key).export({ format: 'pem', type: 'spki' }) as string
  pems.set(key, pem)
  return pem
}

const hasSet = (cache: JWKSCacheInput): cache is Required<JWKSCacheInput> => 'jwks' in cache

const isUnfit = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JOSENotSupported

/** @throws unless it is a key set of a bearable size, all of it in time */
async function limited (response: Response, signal: AbortSignal): Promise<Response> {
  const stream = response.body === null ? Readable.from([]) : Readable.fromWeb(response.body as ReadableStream)
  // The signal should end the body too (Fetch standard, 5.6), and does not in Node once the garbage collector has taken the request.
  addAbortSignal(signal, stream)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += (chunk as Buffer).length
    if (size > MAX_BYTES) throw new Error('the key set is too large')
    chunks.push(chunk as Buffer)
  }
  const text = Buffer.concat(chunks).toString()
  // What is no key set is a failure like any other, and so is one without keys: no issuer withdraws all that there are.
  const keys = response.status === 200 ? (JSON.parse(text) as { keys?: unknown } | null)?.keys : undefined
  if (!Array.isArray(keys) || keys.length === 0) throw new Error('the answer is no key set, or one without keys')
  return new Response(text, { status: 200 })
}
