import { createSigner, createVerifier } from 'fast-jwt'
import type { MfaTokenClaims } from '../core/mfa-token.ts'
import { refuse } from './refused-token.ts'

export interface OwnKey { readonly kid: string, readonly algorithm: 'ES256' | 'EdDSA', readonly privatePem: string, readonly publicPem: string }

export interface OwnTokens {
  /** Signs with the first key (RFC 9068 §2.1). */
  sign: (claims: object) => string
  /** What one of our keys has signed, by the `kid` that the token names; throws for anything else. */
  verify: (kid: unknown, token: string) => MfaTokenClaims
}

/** Of each key; about a kilobyte for each token. */
const CACHED_TOKENS = 5000

/**
 * Our own tokens, with the keys as they are at each call. @fastify/jwt has the keys of its start for ever; this is the
 * library under it, and each key's signer and verifier are made once.
 */
export function ownTokens ({ issuer, audience, keys }: { issuer: string, audience: string, keys: () => readonly OwnKey[] }): OwnTokens {
  const signers = new WeakMap<OwnKey, (claims: object) => string>()
  const verifiers = new WeakMap<OwnKey, (token: string) => MfaTokenClaims>()

  return {
    sign (claims) {
      const [key] = keys() as [OwnKey]
      const { algorithm, kid, privatePem } = key
      const sign = signers.get(key) ?? createSigner({ key: privatePem, algorithm, kid, header: { alg: algorithm, typ: 'at+jwt' } })
      signers.set(key, sign)
      return sign(claims)
    },
    verify (kid, token) {
      const key = keys().find(each => each.kid === kid)
      if (key === undefined) refuse('key', { claim: 'kid' })
      const verify = verifiers.get(key) ?? createVerifier({
        key: key.publicPem,
        algorithms: [key.algorithm],
        allowedIss: issuer,
        allowedAud: audience,
        requiredClaims: ['exp', 'aud', 'sub', 'uid', 'tenant', 'epoch', 'acr', 'auth_time', 'fid'],
        checkTyp: 'at+jwt',
        // A gateway asks of one token again and again: what it says, by a hash of all of it, for at most ten minutes.
        cache: CACHED_TOKENS
      })
      verifiers.set(key, verify)
      return verify(token)
    }
  }
}
