import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { CLOCK_SKEW_SECONDS } from '../../platform/time.ts'
import { CheckedTokens } from './checked-tokens.ts'
import type { Claims, JwsHeader } from './claims.ts'
import type { Issuer } from './first-factor.ts'
import { isSymmetric, keySettingOf, settingOf } from './issuer.ts'
import { refusalOf, refuse } from './refused-token.ts'
import { type Fetch, type KeySet, remoteKeys } from './remote-keys.ts'

/**
 * What a token says that one issuer has signed by one of its keys of now; throws for anything else.
 * @throws UnavailableError when the issuer's keys cannot be had
 */
export type VerifyIssued = (request: FastifyRequest, header: JwsHeader, token: string) => Promise<Claims>

declare module 'fastify' {
  interface FastifyRequest {
    /** What the library checks at the moment: a token, by the key that was found for it. */
    toVerify: { token: string, key: string }
  }
}

/**
 * A verifier for each issuer, with one list of algorithms and the keys of that issuer alone. Whose key is looked for at each
 * call, as it may be withdrawn; that it signed this token, whole, is checked once.
 * @param secret the secret, as it is now, of the n-th issuer whose tokens are signed by one
 */
export async function issuedTokens (
  app: FastifyInstance,
  issuers: readonly Issuer[],
  secret: (index: number) => string,
  fetch?: Fetch
): Promise<VerifyIssued[]> {
  const keySets = new Map<string, KeySet>()
  const checked = new CheckedTokens<string, Claims>()
  app.decorateRequest('toVerify', null as unknown as FastifyRequest['toVerify'])

  function keysOf ({ jwksUrl, key, algorithms }: Issuer, index: number): KeySet {
    if (isSymmetric(algorithms)) return only(() => secret(index))
    if (jwksUrl === undefined) return only(() => key as string)
    // Entries of one provider ask it for its keys once.
    const keySet = keySets.get(jwksUrl) ?? remoteKeys(jwksUrl, fetch)
    keySets.set(jwksUrl, keySet)
    return keySet
  }

  return await Promise.all(issuers.map(async (issuer, index) => {
    const { find, renew } = keysOf(issuer, index)
    const verify = await registerIssuer(app, issuer, index)
    const by = String(index)

    /** What it says, if one of the keys has signed it. */
    async function signedBy (keys: string[], request: FastifyRequest, token: string): Promise<Claims | undefined> {
      for (const key of keys) {
        const known = checked.find(by, token, key)
        if (known !== undefined) return known
        const claims = await verify(request, key, token)
        if (claims !== undefined) return checked.keep(by, token, key, claims)
      }
      return undefined
    }

    return async (request, header, token) => {
      if (!issuer.algorithms.includes(header.alg as string)) {
        refuse('algorithm', { claim: 'alg', value: header.alg, expected: issuer.algorithms, setting: settingOf(issuer, 'algorithms') })
      }
      const keys = await find(header)
      if (keys.length === 0) {
        refuse('key', { claim: 'kid', value: header.kid, expected: "a key of the issuer's key set", setting: settingOf(issuer, 'jwksUrl') })
      }
      const claims = await signedBy(keys, request, token)
      if (claims !== undefined) return claims
      // Where no token names its key, a new key shows by that alone that it has signed one.
      const others = header.kid === undefined ? (await renew(header)).filter(key => !keys.includes(key)) : []
      return await signedBy(others, request, token) ?? refuse('signature', { setting: keySettingOf(issuer) })
    }
  }))
}

const only = (key: () => string): KeySet => ({ find: async () => [key()], renew: async () => [] })

/**
 * What a token says that a key has signed, undefined for one that it has not; throws for what is wrong besides. The library keeps
 * what it makes of a key only where it reads the request itself.
 */
async function registerIssuer (
  app: FastifyInstance,
  { issuer, algorithms, audienceClaim, audiences }: Issuer,
  index: number
): Promise<(request: FastifyRequest, key: string, token: string) => Promise<Claims | undefined>> {
  const jwtVerify = `verifyIssued${index}`
  await app.register(fastifyJwt, {
    namespace: `issued${index}`,
    jwtVerify,
    secret: { public: async ({ toVerify }: FastifyRequest) => toVerify.key } as never,
    verify: {
      algorithms: algorithms as never,
      allowedIss: issuer,
      ...(audienceClaim === 'aud' && { allowedAud: [...audiences] }),
      // That `exp` must be there too, the reader of the claims says.
      requiredClaims: ['iss', audienceClaim],
      clockTolerance: CLOCK_SKEW_SECONDS * 1000,
      cache: false,
      extractToken: ({ toVerify }) => (toVerify as FastifyRequest['toVerify']).token
    }
  })
  return async (request, key, token) => {
    request.toVerify = { token, key }
    try {
      return await request[jwtVerify as 'jwtVerify']<Claims>()
    } catch (error) {
      if (refusalOf(error).cause === 'signature') return undefined
      throw error
    }
  }
}
