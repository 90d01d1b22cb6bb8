import { KeyObject, type webcrypto } from 'node:crypto'
import { addAbortSignal, Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { createLocalJWKSet, createRemoteJWKSet, customFetch, errors, type JWKSCacheInput, jwksCache } from 'jose'
import { UnavailableError } from '../core/unavailable.ts'

const MAX_BYTES = 256 * 1024

/** Times in milliseconds. */
export const KEY_SET_LIMITS = {
  timeout: 5000,
  /** How often at most an unknown `kid` asks again, and a set that could not be renewed. One that was never had is asked for each time. */
  cooldown: 30_000,
  maxAge: 600_000,
  /** How old a set may become while it cannot be renewed: an outage must not keep a withdrawn key alive for ever. */
  maxStale: 3_600_000
}

/** Finds an issuer's public key (PEM, SPKI), or undefined if its key set has none that fits. */
export type FindKey = (header: { alg?: unknown, kid?: unknown }) => Promise<string | undefined>

/**
 * Keys of a JWK set at a URL: cached for ten minutes, an unknown `kid` asks again at most once in 30 s, five seconds for
 * an answer, 256 KiB of it, no redirects. What is cached answers through an outage, for an hour.
 * @throws UnavailableError when the set cannot be had
 */
export function remoteKeys (url: string, { timeout, cooldown, maxAge, maxStale } = KEY_SET_LIMITS): FindKey {
  const cache: JWKSCacheInput = {}
  let failedAt = -Infinity

  const isCoolingDown = (): boolean => hasSet(cache) && Date.now() - failedAt < cooldown

  /** The library waits between two questions only after an answer: a failure is remembered here. */
  async function ask (url: string, init: RequestInit): Promise<Response> {
    if (isCoolingDown()) throw new Error('the key set could not be had a moment ago')
    return await fetchLimited(url, init)
  }

  const find = createRemoteJWKSet(new URL(url), { timeoutDuration: timeout, cooldownDuration: cooldown, cacheMaxAge: maxAge, [customFetch]: ask, [jwksCache]: cache })

  async function findCached (header: { alg: string, kid?: string }, cause: unknown): Promise<webcrypto.CryptoKey> {
    const unavailable = new UnavailableError('the issuer\'s key set cannot be had', { cause })
    if (!hasSet(cache) || Date.now() - cache.uat > maxStale) throw unavailable
    // A key that is not in it may be a new one: nobody can tell now.
    try { return await createLocalJWKSet(cache.jwks)(header) } catch { throw unavailable }
  }

  const pems = new WeakMap<object, string>()
  return async ({ alg, kid }) => {
    if (typeof alg !== 'string' || (kid !== undefined && (typeof kid !== 'string' || kid.length > 255))) return undefined
    const header = kid === undefined ? { alg } : { alg, kid }
    let key
    try {
      key = await find(header, { payload: '', signature: '' })
    } catch (error) {
      if (isUnfit(error)) return undefined
      if (!isCoolingDown()) failedAt = Date.now()
      key = await findCached(header, error)
    }
    const pem = pems.get(key) ?? KeyObject.from(key).export({ format: 'pem', type: 'spki' }) as string
    pems.set(key, pem)
    return pem
  }
}

const hasSet = (cache: JWKSCacheInput): cache is Required<JWKSCacheInput> => 'jwks' in cache

const isUnfit = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys || error instanceof errors.JOSENotSupported

/** @throws unless it is a key set of a bearable size, all of it in time */
async function fetchLimited (url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, redirect: 'error' })
  const stream = response.body === null ? Readable.from([]) : Readable.fromWeb(response.body as ReadableStream)
  // The signal should end the body too (Fetch standard, 5.6), and does not in Node once the garbage collector has taken the request.
  addAbortSignal(init.signal as AbortSignal, stream)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += (chunk as Buffer).length
    if (size > MAX_BYTES) throw new Error('the key set is too large')
    chunks.push(chunk as Buffer)
  }
  const text = Buffer.concat(chunks).toString()
  // What is no key set is a failure like any other.
  if (response.status !== 200 || !Array.isArray((JSON.parse(text) as { keys?: unknown } | null)?.keys)) throw new Error('the answer is no key set')
  return new Response(text, { status: 200 })
}
