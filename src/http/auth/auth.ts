import type { FastifyInstance, FastifyRequest } from 'fastify'
import { UnavailableError } from '../../platform/unavailable.ts'
import { bearerToken, gatewayToken, peek } from './bearer.ts'
import type { Caller } from './caller.ts'
import type { Claims, JwsHeader } from './claims.ts'
import { type Issuer, pickEntry, readCaller, refuseOver } from './first-factor.ts'
import { doAgree, peerIn, refuseCrossSite } from './gateway.ts'
import { issuedTokens, type VerifyIssued } from './issued-tokens.ts'
import { entryOf } from './issuer.ts'
import type { MfaTokenClaims } from './mfa-claims.ts'
import { type OwnKey, ownTokens } from './own-tokens.ts'
import { refusalOf, refuse, RefusedToken, whatItSays } from './refused-token.ts'
import type { Fetch } from './remote-keys.ts'

export interface AuthOptions {
  issuers: readonly Issuer[]
  /** CIDRs of the gateways whose headers are read. */
  trustedProxies: readonly string[]
  /** The secret, as it is now, of the n-th issuer whose tokens are signed by one. */
  issuerSecret: (index: number) => string
  /** Instead of the global one, for the keys of issuers. */
  fetch?: Fetch | undefined
  own: { issuer: string, audience: string, keys: () => readonly OwnKey[] }
  clock: () => Date
}

export interface Auth {
  /** Who asks. @throws RefusedToken; UnavailableError where a key cannot be had */
  authenticate: (request: FastifyRequest) => Promise<Caller>
  /**
   * The same for a gateway's question: who asks, by each token that may be taken for it, the first that counts first. Beside
   * a good token in the gateway's header an `Authorization` that is not accepted or that disagrees is as absent.
   */
  authenticateForGateway: (request: FastifyRequest) => Promise<Caller[]>
  /** The issuer that a request's token says it is of, unverified: of a bad one, to know where to sign in. */
  claimedIssuer: (request: FastifyRequest) => string | undefined
  /** Signs with the first key (RFC 9068 §2.1). */
  sign: (claims: object) => string
}

/** One trusted issuer, or one of its audiences, and what alone decides of its tokens. */
interface Entry { issuer: Issuer, verify: VerifyIssued }

const DISAGREE = { why: 'the tokens of the request name different users or login sessions' }

/**
 * Two kinds of token, told apart by `iss` and checked by rules that exclude each other (RFC 8725 §3.11): an issuer's, and
 * ours. Each has its own verifier with one list of algorithms and the keys of that issuer alone.
 */
export async function registerAuth (
  app: FastifyInstance,
  { issuers, trustedProxies, issuerSecret, fetch, own, clock }: AuthOptions
): Promise<Auth> {
  const ours = ownTokens(own)
  const verifiers = await issuedTokens(app, issuers, issuerSecret, fetch)
  const entries: Entry[] = issuers.map((issuer, index) => ({ issuer, verify: verifiers[index] as VerifyIssued }))
  const gatewayHeaders = new Set(issuers.flatMap(({ header }) => header ?? []))
  const isTrustedPeer = peerIn(trustedProxies)

  /** What the token says unverified picks the entry, exactly one; then that entry's verifier alone decides. */
  async function firstCaller (request: FastifyRequest, token: string, among: Entry[]): Promise<Caller> {
    const { header, payload } = peek(token)
    return await saying(header, payload, async () => {
      const { issuer, verify } = pickEntry(payload, among)
      return await heldAgainst(entryOf(issuer), async () => {
        const claims = await verified(async () => await verify(request, header, token), payload)
        return readCaller(header, claims, issuer, clock())
      })
    })
  }

  async function bearerCaller (request: FastifyRequest): Promise<Caller> {
    const token = bearerToken(request)
    const { header, payload } = peek(token)
    if (payload.iss !== own.issuer) return await firstCaller(request, token, entries)
    return await saying(header, payload, async () => await heldAgainst('our own', async () => {
      const claims = await verified(async () => ours.verify(header.kid, token), payload, own.audience)
      // The library lets the last instant pass, and asks a clock of its own.
      refuseOver(claims.exp, clock().getTime() / 1000)
      return ownCaller(claims)
    }))
  }

  /** The user that the gateways' headers name; a header is read for the issuers that name it, and from our gateways alone. */
  async function gatewayCallers (request: FastifyRequest): Promise<Caller[]> {
    const callers = []
    for (const name of isTrustedPeer(request) ? gatewayHeaders : []) {
      const token = gatewayToken(request, name)
      if (token !== undefined) callers.push(await firstCaller(request, token, entries.filter(({ issuer }) => issuer.header === name)))
    }
    return callers
  }

  return {
    sign: ours.sign,
    async authenticate (request) {
      const [gateway, ...more] = await gatewayCallers(request)
      if (gateway === undefined) return await bearerCaller(request)
      const isAlone = request.headers.authorization === undefined
      const caller = isAlone ? gateway : await bearerCaller(request)
      if (!doAgree([caller, gateway, ...more])) refuse('ambiguous', DISAGREE)
      if (isAlone) refuseCrossSite(request)
      return caller
    },
    async authenticateForGateway (request) {
      const gateways = await gatewayCallers(request)
      const [gateway] = gateways
      if (gateway === undefined) return [await bearerCaller(request)]
      if (!doAgree(gateways)) refuse('ambiguous', DISAGREE)
      const caller = await optional(async () => await bearerCaller(request))
      return caller !== undefined && doAgree([caller, ...gateways]) ? [caller, gateway] : [gateway]
    },
    claimedIssuer (request) {
      const headers = isTrustedPeer(request) ? [...gatewayHeaders] : []
      const readers = [() => bearerToken(request), ...headers.map(name => () => gatewayToken(request, name))]
      for (const read of readers) {
        try {
          const token = read()
          if (token !== undefined) return String(peek(token).payload.iss)
        } catch {} // Not a token at all: it says nothing.
      }
      return undefined
    }
  }
}

async function optional<T> (work: () => Promise<T>): Promise<T | undefined> {
  try { return await work() } catch { return undefined }
}

/** An issuer whose keys cannot be had is our trouble and not the caller's; a key that it has not is no failure of the library. */
async function verified<T> (verify: () => Promise<T>, payload: Claims, audience?: string): Promise<T> {
  try {
    return await verify()
  } catch (error) {
    if (error instanceof UnavailableError || error instanceof RefusedToken) throw error
    const refusal = refusalOf(error)
    throw new RefusedToken({
      value: payload[String(refusal.claim)],
      ...(refusal.cause === 'audience' && audience !== undefined && { expected: [audience] }),
      ...refusal
    })
  }
}

/** A refusal says which of the configured issuers it comes from. */
const heldAgainst = <T>(entry: string, work: () => Promise<T>): Promise<T> =>
  refusedAs(work, ({ refusal, presented }) => new RefusedToken({ ...refusal, entry }, presented))

/** It says, too, what is to be known of the token in it. */
const saying = <T>(header: JwsHeader, payload: Claims, work: () => Promise<T>): Promise<T> =>
  refusedAs(work, ({ refusal }) => new RefusedToken(refusal, whatItSays(header, payload)))

async function refusedAs<T> (work: () => Promise<T>, change: (refused: RefusedToken) => RefusedToken): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof RefusedToken ? change(error) : error
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
  session: claims.sid === undefined || claims.sid_iss === undefined
    ? undefined
    : { id: claims.sid, issuer: claims.sid_iss, isRemembered: claims.sid_gen !== undefined },
  amr: claims.amr,
  authTime: claims.auth_time,
  expiresAt: claims.exp,
  // What counts is in the token itself: it is an MFA token, and nothing made from it outlives it.
  isIdpMfa: false,
  isIdpPhr: false,
  isTokenCapped: true,
  issuerClaims: undefined,
  mfa: {
    userId: claims.uid,
    epoch: claims.epoch,
    acr: claims.acr,
    factorId: claims.fid,
    generation: claims.sid_gen ?? 0,
    isBypass: claims.bypass === true
  }
})
