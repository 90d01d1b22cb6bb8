import type { FastifyRequest } from 'fastify'
import type { Caller } from '../../core/caller.ts'
import type { Person } from '../../core/person.ts'
import { Problem } from '../../http/problem.ts'
import { decisionSettings, type Services } from '../../services.ts'
import { type Answer, decideAuthorize, decideByToken, type Demands } from './decide.ts'
import type { AuthorizeQuery } from './schema.ts'

/** `login`: no token that counts. */
export type Outcome = { action: 'login' } | Answer & { caller: Caller, userId: string, demands: Demands }

/** Somebody who asks; the person is read only where the token alone may not be enough. */
interface Found { caller: Caller, person: Person | null }

/** The answer to a gateway's question. An MFA token that is enough costs no look into the database, any other one. */
export function createAsk ({ auth, clock, config, endings, gate }: Services): (request: FastifyRequest) => Promise<Outcome> {
  const settings = decisionSettings(config)

  /** Of the tokens that may be taken, the first that is alive. */
  async function find (request: FastifyRequest): Promise<Found> {
    for (const caller of await auth.authenticateForGateway(request)) {
      if (caller.kind === 'service') throw new Problem('forbidden')
      request.caller = caller
      const verdict = caller.mfa === undefined ? 'unknown' : endings.judge({ ...caller, mfa: caller.mfa }, clock())
      if (verdict === 'alive') return { caller, person: null }
      const person = verdict === 'dead' ? null : await orNull(load(request))
      if (person !== null) return { caller, person }
    }
    throw new Problem('invalid_token')
  }

  async function load (request: FastifyRequest): Promise<Person> {
    await gate.refresh(request)
    return request.person
  }

  async function answer (request: FastifyRequest): Promise<Outcome> {
    const { caller, person } = await find(request)
    const demands = readDemands(request)
    const byToken = person === null ? decideByToken(caller, demands, clock()) : null
    const answer = byToken ?? decideAuthorize(person ?? await load(request), caller, demands, clock(), settings)
    return { ...answer, caller, userId: person?.userId ?? caller.mfa?.userId as string, demands }
  }

  return async request => await orNull(answer(request)) ?? { action: 'login' }
}

/** Null for a token that does not count. */
async function orNull<T> (work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Problem && error.code === 'invalid_token') return null
    throw error
  }
}

/** The gateway's own parameters; a path below may bring the original query along, which is nobody's demand. */
function readDemands (request: FastifyRequest): Demands {
  if (request.routeOptions.url?.endsWith('*') === true) return {}
  const isValid = request.getValidationFunction('querystring') as NonNullable<ReturnType<FastifyRequest['getValidationFunction']>>
  if (isValid(request.query) !== true) throw Object.assign(new Error('the query is not well-formed'), { validation: isValid.errors, validationContext: 'querystring' })
  const { acr, maxAge } = request.query as AuthorizeQuery
  return { acr, maxAge: maxAge === undefined ? undefined : Number(maxAge) }
}
