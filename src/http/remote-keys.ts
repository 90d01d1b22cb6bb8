import { KeyObject, type webcrypto } from 'node:crypto'
import { createRemoteJWKSet, customFetch, errors } from 'jose'
import { UnavailableError } from '../core/unavailable.ts'

const MAX_BYTES = 256 * 1024
const TIMEOUT_MS = 5000
const COOLDOWN_MS = 30_000
const CACHE_MS = 600_000

/** Finds an issuer's public key (PEM, SPKI), or undefined if its key set has none that fits. */
export type FindKey = (header: { alg?: unknown, kid?: unknown }) => Promise<string | undefined>

/**
 * Keys of a JWK set at a URL: cached for ten minutes, an unknown `kid` asks again at most once in 30 s, five seconds for
 * an answer, 256 KiB of it, no redirects. What is cached answers through an outage.
 * @throws UnavailableError when the set cannot be had
 */
export function remoteKeys (url: string): FindKey {
  const find = createRemoteJWKSet(new URL(url), {
    timeoutDuration: TIMEOUT_MS,
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: CACHE_MS,
    [customFetch]: fetchLimited
  })
  const pems = new WeakMap<object, string>()
  return async ({ alg, kid }) => {
    if (typeof alg !== 'string' || (kid !== undefined && (typeof kid !== 'string' || kid.length > 255))) return undefined
    try {
      const key = await find(kid === undefined ? { alg } : { alg, kid }, { payload: '', signature: '' })
      let pem = pems.get(key)
      if (pem === undefined) {
        pem = KeyObject.from(key as webcrypto.CryptoKey).export({ format: 'pem', type: 'spki' }) as string
        pems.set(key, pem)
      }
      return pem
    } catch (cause) {
      const isUnfit = cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys || cause instanceof errors.JOSENotSupported
      if (isUnfit) return undefined
      throw new UnavailableError('the issuer\'s key set cannot be had', { cause })
    }
  }
}

async function fetchLimited (url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, redirect: 'error' })
  const chunks = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).length
    if (size > MAX_BYTES) throw new Error('the key set is too large')
    chunks.push(chunk as Uint8Array)
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers })
}
