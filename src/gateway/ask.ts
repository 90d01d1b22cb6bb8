import type { FastifyRequest } from 'fastify'
import type { Caller, MfaProof } from '../http/auth/caller.ts'
import { refuse, RefusedToken } from '../http/auth/refused-token.ts'
import { FORBIDDEN, Problem } from '../http/problem.ts'
import { decisionSettings, type Services } from '../services.ts'
import type { User } from '../users/user.ts'
import type { AuthorizationCache } from './authorization-cache.ts'
import { type Answer, decideAuthorize, decideByToken, type Demands } from './decide.ts'
import type { AuthorizeQuery } from './schema.ts'

/** `login`: no token that counts. */
export type Outcome = { action: 'login', refused: RefusedToken } | Answer & { caller: Caller, userId: string, demands: Demands }

/** Who asks, and what is known to count of their second factor; where that is nothing, the user was read. */
type Found = { caller: Caller } & ({ proof: MfaProof, user: null } | { proof: null, user: User })

/**
 * The answer to a gateway's question. An MFA token that is enough costs no look into the database, nor does a first-factor
 * token that has just passed by what its session remembers; any other one.
 */
export function createAsk (
  { auth, clock, config, kinds, revocations, guard }: Services,
  cache: AuthorizationCache
): (request: FastifyRequest) => Promise<Outcome> {
  const settings = decisionSettings(config, kinds)

  /** Of the tokens that may be taken, the first that is alive. */
  async function find (request: FastifyRequest): Promise<Found> {
    for (const caller of await auth.authenticateForGateway(request)) {
      if (caller.kind === 'service') throw new Problem('forbidden', { detail: FORBIDDEN.machine })
      request.caller = caller
      const proof = caller.mfa === undefined ? cache.find(caller, clock()) : { ...caller, mfa: caller.mfa }
      const verdict = proof === undefined ? 'unknown' : revocations.judge(proof, clock())
      if (proof !== undefined && verdict === 'alive') return { caller, proof, user: null }
      // What its session remembered has ended, and not a first-factor token with it.
      const user = verdict === 'dead' && caller.mfa !== undefined ? null : await orNull(load(request))
      if (user !== null) return { caller, proof: null, user }
    }
    return refuse('revoked')
  }

  async function load (request: FastifyRequest): Promise<User> {
    await guard.refresh(request)
    return request.storedUser
  }

  async function answer (request: FastifyRequest): Promise<Outcome> {
    const { caller, proof, user } = await find(request)
    const demands = readDemands(request)
    if (proof !== null) {
      const byToken = decideByToken(proof, demands, clock())
      if (byToken !== null) return { ...byToken, caller, userId: proof.mfa.userId, demands }
    }
    const read = user ?? await load(request)
    const answer = decideAuthorize(read, caller, demands, clock(), settings)
    if (answer.action === 'allow' && caller.mfa === undefined) cache.keep(caller, read, clock())
    return { ...answer, caller, userId: read.userId, demands }
  }

  return async request => {
    try {
      return await answer(request)
    } catch (error) {
      if (error instanceof RefusedToken) return { action: 'login', refused: error }
      throw error
    }
  }
}

/** Null for a token that does not count. */
async function orNull<T> (work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if (error instanceof RefusedToken) return null
    throw error
  }
}

/** The gateway's own parameters; a path below may bring the original query along, which demands nothing. */
function readDemands (request: FastifyRequest): Demands {
  if (request.routeOptions.url?.endsWith('*') === true) return {}
  const isValid = request.getValidationFunction('querystring') as NonNullable<ReturnType<FastifyRequest['getValidationFunction']>>
  if (isValid(request.query) !== true) {
    throw Object.assign(new Error('the query is not well-formed'), { validation: isValid.errors, validationContext: 'querystring' })
  }
  const { acr, maxAge } = request.query as AuthorizeQuery
  return { acr, maxAge: maxAge === undefined ? undefined : Number(maxAge) }
}
