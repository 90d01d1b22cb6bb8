import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Caller } from '../core/caller.ts'
import type { MfaTokenClaims } from '../core/mfa-token.ts'
import { CLOCK_SKEW_SECONDS } from '../core/policy.ts'
import { UnavailableError } from '../core/unavailable.ts'
import { bearerToken, type JwsHeader, peek } from './bearer.ts'
import { type Issuer, readCaller } from './first-factor.ts'
import { Problem } from './problem.ts'
import { remoteKeys } from './remote-keys.ts'

export interface AuthOptions {
  issuer: Issuer & {
    audience: string
    algorithms: string[]
    /** An HMAC secret or a PEM; else `jwksUrl`. */
    key: string | undefined
    jwksUrl: string | undefined
  }
  own: { issuer: string, audience: string, keys: ReadonlyArray<{ kid: string, algorithm: 'ES256' | 'EdDSA', privatePem: string, publicPem: string }> }
  clock: () => Date
}

export interface Auth {
  /** Who asks. @throws Problem invalid_token, with one body for every cause; UnavailableError where a key cannot be had */
  authenticate: (request: FastifyRequest) => Promise<Caller>
  /** Signs with the first key (RFC 9068 §2.1). */
  sign: (claims: object) => string
}

type Verify = (token: string) => unknown
type Jwt = Record<string, { verify: Verify, sign: (payload: object) => string }>

/**
 * Two kinds of token, told apart by `iss` and checked by rules that exclude each other (RFC 8725 §3.11): the issuer's, and
 * ours. Each has its own verifier with one list of algorithms and the keys of that issuer alone.
 */
export async function registerAuth (app: FastifyInstance, { issuer, own, clock }: AuthOptions): Promise<Auth> {
  const findKey = issuer.jwksUrl === undefined ? undefined : remoteKeys(issuer.jwksUrl)
  await app.register(fastifyJwt, {
    namespace: 'first',
    secret: findKey === undefined
      ? { public: issuer.key as string }
      : { public: (async ({ header }: { header: JwsHeader }) => await findKey(header) ?? refuse()) as never },
    verify: {
      algorithms: issuer.algorithms as never,
      allowedIss: issuer.issuer,
      allowedAud: issuer.audience,
      requiredClaims: ['exp', 'sub', 'iss', 'aud'],
      clockTolerance: CLOCK_SKEW_SECONDS * 1000,
      cache: false
    }
  })
  for (const { kid, algorithm, privatePem, publicPem } of own.keys) {
    await app.register(fastifyJwt, {
      namespace: `own-${kid}`,
      secret: { private: privatePem, public: publicPem },
      sign: { algorithm, kid, header: { alg: algorithm, typ: 'at+jwt' } } as never,
      verify: {
        algorithms: [algorithm],
        allowedIss: own.issuer,
        allowedAud: own.audience,
        requiredClaims: ['exp', 'aud', 'sub', 'uid', 'tenant', 'epoch', 'acr', 'auth_time', 'fid'],
        checkTyp: 'at+jwt',
        cache: false
      } as never
    })
  }
  const jwt = app.jwt as unknown as Jwt
  const kids = new Set(own.keys.map(key => key.kid))
  const firstKid = own.keys[0]?.kid as string

  return {
    sign: claims => (jwt[`own-${firstKid}`] as Jwt[string]).sign(claims),
    async authenticate (request) {
      const token = bearerToken(request)
      const { header, payload } = peek(token)
      if (payload.iss === own.issuer) {
        if (typeof header.kid !== 'string' || !kids.has(header.kid)) refuse()
        const claims = await verified(jwt[`own-${header.kid as string}`] as Jwt[string], token) as MfaTokenClaims
        // The library lets the last instant pass, and asks a clock of its own.
        if (claims.exp <= clock().getTime() / 1000) refuse()
        return ownCaller(claims)
      }
      if (payload.iss !== issuer.issuer) refuse()
      return readCaller(header, await verified(jwt.first as Jwt[string], token) as Record<string, unknown>, issuer, clock())
    }
  }
}

function refuse (): never { throw new Problem('invalid_token') }

/** One refusal for every cause, but an issuer whose keys cannot be had is our trouble and not the caller's. */
async function verified ({ verify }: { verify: Verify }, token: string): Promise<unknown> {
  try {
    return await verify(token)
  } catch (error) {
    const cause = (error as { originalError?: unknown }).originalError
    if (cause instanceof UnavailableError) throw cause
    throw new Problem('invalid_token')
  }
}

/** Our own token: every claim was written by us. */
const ownCaller = (claims: MfaTokenClaims): Caller => ({
  kind: 'mfa',
  tenant: claims.tenant,
  namespace: claims.ns,
  subject: claims.sub,
  roles: claims.roles,
  groups: claims.groups,
  clientId: claims.client_id,
  session: claims.sid === undefined || claims.sid_iss === undefined ? undefined : { id: claims.sid, issuer: claims.sid_iss, isRemembered: claims.sid_gen !== undefined },
  amr: claims.amr,
  authTime: claims.auth_time,
  expiresAt: claims.exp,
  word: undefined,
  mfa: { userId: claims.uid, epoch: claims.epoch, acr: claims.acr, factorId: claims.fid, generation: claims.sid_gen ?? 0 }
})
