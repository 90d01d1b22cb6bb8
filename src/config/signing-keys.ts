import { createPrivateKey, createPublicKey, type JsonWebKey, sign, verify } from 'node:crypto'
import { ConfigError, type Reader } from './readers.ts'

/** A key that signs MFA tokens, and the public half as it is published (RFC 7517). */
export interface SigningKey {
  readonly kid: string
  readonly algorithm: 'ES256' | 'EdDSA'
  readonly privatePem: string
  readonly publicPem: string
  readonly publicJwk: Readonly<Record<string, string>>
  /** The private scalar, to refuse the use of one key for two purposes. */
  readonly material: Buffer
}

/** A JWK set of private keys, P-256 (ES256) or Ed25519 (EdDSA), each with a `kid` of its own. */
export const parseSigningKeys: Reader<SigningKey[]> = (name, raw) => {
  let parsed
  try { parsed = JSON.parse(raw) as { keys?: unknown } } catch { throw new ConfigError(name, 'is not JSON') }
  if (!Array.isArray(parsed?.keys) || parsed.keys.length === 0) throw new ConfigError(name, 'is not a JWK set with a key')
  const keys = parsed.keys.map(jwk => readKey(name, jwk as JsonWebKey & { kid?: string }))
  if (new Set(keys.map(key => key.kid)).size !== keys.length) throw new ConfigError(name, 'has two keys of one kid')
  return keys
}

const PROBE = Buffer.from('probe')

function readKey (name: string, jwk: JsonWebKey & { kid?: string }): SigningKey {
  if (typeof jwk?.kid !== 'string' || !/^[A-Za-z0-9._-]{1,64}$/.test(jwk.kid)) throw new ConfigError(name, 'has a key without a kid')
  const algorithm = jwk.kty === 'EC' && jwk.crv === 'P-256' ? 'ES256' : jwk.kty === 'OKP' && jwk.crv === 'Ed25519' ? 'EdDSA' : undefined
  if (algorithm === undefined) throw new ConfigError(name, 'has a key that is neither P-256 nor Ed25519')
  if (typeof jwk.d !== 'string') throw new ConfigError(name, 'has a key without its private part')
  let privateKey
  try { privateKey = createPrivateKey({ key: jwk, format: 'jwk' }) } catch { throw new ConfigError(name, 'has a key that does not parse') }
  const publicKey = createPublicKey(privateKey)
  // Of a P-256 key the public half is taken as it is given: with another's, no one could verify what is signed.
  const hash = algorithm === 'ES256' ? 'sha256' : null
  if (!verify(hash, PROBE, publicKey, sign(hash, PROBE, privateKey))) {
    throw new ConfigError(name, 'has a key whose private and public part do not fit')
  }
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' }) as Record<string, string>
  return {
    kid: jwk.kid,
    algorithm,
    privatePem: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }) as string,
    publicJwk: {
      kty: kty as string,
      crv: crv as string,
      x: x as string,
      ...(y !== undefined && { y }),
      kid: jwk.kid,
      use: 'sig',
      alg: algorithm
    },
    material: Buffer.from(jwk.d, 'base64url')
  }
}
