import { createSigner, createVerifier } from 'fast-jwt'
import { MAX_TOKEN_LENGTH } from '../head.ts'
import { CheckedTokens } from './checked-tokens.ts'
import type { MfaTokenClaims } from './mfa-claims.ts'
import { refuse } from './refused-token.ts'

export interface OwnKey {
  readonly kid: string
  readonly algorithm: 'ES256' | 'EdDSA'
  readonly privatePem: string
  readonly publicPem: string
}

export interface OwnTokens {
  /** Signs with the first key (RFC 9068 §2.1); groups that make it too long are left out. */
  sign: (claims: object) => string
  /** What one of our keys has signed, by the `kid` that the token names; throws for anything else. */
  verify: (kid: unknown, token: string) => MfaTokenClaims
}

/**
 * Our own tokens, with the keys as they are at each call. @fastify/jwt has the keys of its start for ever; this is the
 * library under it, and each key's signer and verifier are made once.
 */
export function ownTokens ({ issuer, audience, keys }: { issuer: string, audience: string, keys: () => readonly OwnKey[] }): OwnTokens {
  const signers = new WeakMap<OwnKey, (claims: object) => string>()
  const verifiers = new WeakMap<OwnKey, (token: string) => MfaTokenClaims>()
  const checked = new CheckedTokens<OwnKey, MfaTokenClaims>()

  return {
    sign (claims) {
      const [key] = keys() as [OwnKey]
      const { algorithm, kid, privatePem } = key
      const sign = signers.get(key) ?? createSigner({ key: privatePem, algorithm, kid, header: { alg: algorithm, typ: 'at+jwt' } })
      signers.set(key, sign)
      const token = sign(claims)
      if (token.length <= MAX_TOKEN_LENGTH) return token
      // Longer than what is taken it would be of no use. What names the groups instead is a claim that others know from Entra ID.
      const { groups, ...others } = claims as { groups?: string[] }
      return sign({ ...others, hasgroups: true })
    },
    verify (kid, token) {
      const key = keys().find(each => each.kid === kid)
      if (key === undefined) refuse('key', { claim: 'kid', value: kid, expected: 'one of our keys', setting: 'MFA_SIGNING_KEYS' })
      const verify = verifiers.get(key) ?? createVerifier({
        key: key.publicPem,
        algorithms: [key.algorithm],
        allowedIss: issuer,
        allowedAud: audience,
        requiredClaims: ['exp', 'aud', 'sub', 'uid', 'tenant', 'epoch', 'acr', 'auth_time', 'fid'],
        checkTyp: 'at+jwt',
        cache: false
      })
      verifiers.set(key, verify)
      return checked.find(key.kid, token, key) ?? checked.keep(key.kid, token, key, verify(token))
    }
  }
}
