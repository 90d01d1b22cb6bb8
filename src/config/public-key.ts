import { type AsymmetricKeyDetails, createPublicKey, type KeyObject } from 'node:crypto'
import { ConfigError } from './readers.ts'

const MIN_RSA_BITS = 2048

/** The issuer's public key, as PEM. */
export function parsePublicKey (name: string, text: string): string {
  if (!/^-----BEGIN PUBLIC KEY-----/.test(text)) throw new ConfigError(name, 'is not a PEM public key (SPKI)')
  let key: KeyObject
  try { key = createPublicKey(text) } catch { throw new ConfigError(name, 'holds a key that does not parse') }
  const { modulusLength = MIN_RSA_BITS } = key.asymmetricKeyDetails as AsymmetricKeyDetails
  if (modulusLength < MIN_RSA_BITS) throw new ConfigError(name, `holds an RSA key of less than ${MIN_RSA_BITS} bits`)
  if (algorithmsOf(text).length === 0) throw new ConfigError(name, 'holds a key that is neither RSA, P-256, P-384, P-521 nor Ed25519')
  return key.export({ format: 'pem', type: 'spki' }) as string
}

const BY_CURVE: Record<string, string[]> = { prime256v1: ['ES256'], secp384r1: ['ES384'], secp521r1: ['ES512'] }

/** What tokens a key can check, the usual one first. */
export function algorithmsOf (pem: string): string[] {
  const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey(pem)
  if (asymmetricKeyType === 'rsa') return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
  if (asymmetricKeyType === 'ec') return BY_CURVE[(asymmetricKeyDetails as AsymmetricKeyDetails).namedCurve as string] ?? []
  return asymmetricKeyType === 'ed25519' ? ['EdDSA'] : []
}

/** By the key: the usual one of it; a key set may hold either of two kinds. */
export const defaultAlgorithms = (isSymmetric: boolean, fitting: string[] | undefined): string[] =>
  isSymmetric ? ['HS256'] : fitting?.slice(0, 1) ?? ['RS256', 'ES256']
