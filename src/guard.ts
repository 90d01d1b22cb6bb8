import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { type By, recordEvent } from './audit/record.sql.ts'
import type { Auth } from './http/auth/auth.ts'
import type { Caller, FirstFactor } from './http/auth/caller.ts'
import { refuse as refuseToken, RefusedToken } from './http/auth/refused-token.ts'
import { addressOf } from './http/plugins/limits.ts'
import type { Metrics } from './http/plugins/metrics.ts'
import { DETAILS, FORBIDDEN, needsRole, Problem } from './http/problem.ts'
import type { KeyRing } from './keys/keys.ts'
import type { Database } from './platform/db/client.ts'
import { UnavailableError } from './platform/unavailable.ts'
import { policyContactOf } from './policy/contact.ts'
import { decideAdmin, type AssuranceSettings } from './sessions/assurance.ts'
import { tombstoneOf } from './users/tombstone.ts'
import { findUser, findWholeUser, hasNewClaims, upsertUser, recordPolicyContact } from './users/user.sql.ts'
import type { User, WholeUser } from './users/user.ts'

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller
    /** Null for a machine, which only calls of administrators let in: they take the tenant from `caller`. */
    storedUser: User
  }
  interface FastifyContextConfig {
    /** This call answers a disabled user, too. */
    isForDisabled?: boolean
    /** It asks what is pending, or about recovery codes: `wholeUser` has them. */
    isOfWhole?: boolean
    /** A gateway's: it changes nothing, whatever its method. */
    isQuestion?: boolean
  }
}

export interface GuardOptions {
  db: Database
  auth: Auth
  metrics: Metrics
  clock: () => Date
  peppers: () => KeyRing
  assurance: AssuranceSettings
}

export interface Guard {
  /** Hooks of a user's call, before its body is read: who is it, and may they come in at all? */
  user: onRequestAsyncHookHandler[]
  /**
   * The same for an administrator's: one of the roles, and MFA of the last minutes. A machine needs no more than a role that it
   * may have.
   */
  admin: (roles: string[]) => onRequestAsyncHookHandler[]
  /** Reads the caller's user once more, for a decision that another change has overtaken. */
  refresh: (request: FastifyRequest) => Promise<void>
}

/** What a machine may do: read, and tell of an application's users. */
const MACHINE_ROLES = new Set(['mfa:auditor', 'mfa:sync'])

export function createGuard ({ db, auth, metrics, clock, peppers, assurance }: GuardOptions): Guard {
  async function identify (request: FastifyRequest): Promise<void> {
    request.caller = await auth.authenticate(request)
    if (request.caller.kind !== 'service') await refresh(request)
  }

  async function refuseMachine (request: FastifyRequest): Promise<void> {
    if (request.caller.kind === 'service') await refuse(request, 'machine')
  }

  async function refresh (request: FastifyRequest): Promise<void> {
    request.storedUser = await meetPolicy(request, await loadUser(request))
    if (request.storedUser.isDisabled && request.routeOptions.config.isForDisabled !== true) await refuse(request, 'disabled')
  }

  /**
   * The user of a token, recorded at first sight. An MFA token of an older epoch, or of before its session's log-out, is
   * dead, and so is any token of before the user was erased.
   */
  async function loadUser ({ caller, log, routeOptions }: FastifyRequest): Promise<User> {
    const find = routeOptions.config.isOfWhole === true ? findWholeUser : findUser
    let user = await find(db, caller, peppers())
    if (user?.session.isForged === true) {
      log.warn(
        { tenant: user.tenant, userId: user.userId },
        'a remembered second factor was not made by this service, or by a pepper that is gone (MFA_PEPPERS): it does not count'
      )
    }
    if (caller.mfa !== undefined) {
      if (user === null || user.epoch !== caller.mfa.epoch || user.session.generation > caller.mfa.generation) refuseToken('revoked')
      return user
    }
    // Neither a machine's token nor an MFA token: it is a first-factor token.
    const first = caller as FirstFactor
    if (user !== null && isOlder(first, user.tokensSince)) refuseToken('revoked')
    if (user === null || hasNewClaims(user, first)) {
      const { outcome } = await upsertUser(db, first, randomUUID(), user, tombstoneOf(peppers(), caller).hashes)
      if (outcome === 'erased') refuseToken('revoked')
      user = await find(db, caller, peppers())
    }
    if (user === null) throw new UnavailableError('a user that was just stored is gone')
    return user
  }

  /** First sight may be of a deadline, too: it is given before anything is decided. */
  async function meetPolicy (request: FastifyRequest, user: User): Promise<User> {
    const contact = policyContactOf(user, request.caller, clock(), assurance)
    if (contact === null) return user
    if (contact.wouldBe !== null) metrics.wouldEnroll()
    await recordPolicyContact(db, user, contact, byOf(request, user))
    return await loadUser(request)
  }

  async function refuse (
    request: FastifyRequest,
    cause: keyof typeof FORBIDDEN | 'role',
    detail = FORBIDDEN[cause as keyof typeof FORBIDDEN] as string
  ): Promise<never> {
    await recordEvent(db, {
      tenant: request.caller.tenant,
      subject: actorOf(request.caller, request.storedUser),
      action: 'access.refused',
      outcome: 'failure',
      by: byOf(request),
      details: { cause }
    })
    throw new Problem('forbidden', { detail })
  }

  const admin = (roles: string[]) => async (request: FastifyRequest): Promise<void> => {
    const isMachine = request.caller.kind === 'service'
    const opening = isMachine ? roles.filter(role => MACHINE_ROLES.has(role)) : roles
    const needed = opening.length > 0 ? needsRole(opening) : FORBIDDEN.machine
    if (!request.caller.roles.some(role => opening.includes(role))) await refuse(request, 'role', needed)
    if (isMachine) return
    const refusal = decideAdmin(request.storedUser, request.caller, clock(), assurance)
    if (refusal === null) return
    if (refusal === 'forbidden') await refuse(request, 'factor set up after a recovery')
    if (refusal === 'not_enrolled') throw new Problem('not_enrolled')
    if (refusal === 'no_passkey') throw new Problem('not_enrolled', { detail: DETAILS.noPasskey })
    throw new Problem('step_up_required', refusal as Exclude<typeof refusal, string>)
  }

  return { user: [identify, refuseMachine], admin: roles => [identify, admin(roles)], refresh }
}

const isOlder = ({ issuerClaims: { issuedAt } }: FirstFactor, since: Date | null): boolean =>
  since !== null && issuedAt * 1000 <= since.getTime()

/** The user of a call that is configured to read all of them. */
export function wholeUser ({ storedUser: user }: Pick<FastifyRequest, 'storedUser'>): WholeUser {
  if (!('pending' in user)) throw new Error('this call is not configured to read the whole user')
  return user as WholeUser
}

/** A user's id, or a machine's name. */
const actorOf = (caller: Caller, user: User | null): string => user?.userId ?? `service:${caller.subject}`

/** Who did it, for the audit. */
export const byOf = (request: FastifyRequest, user: User | null = request.storedUser): By => ({
  actor: actorOf(request.caller, user),
  address: addressOf(request),
  requestId: request.id,
  ...(user !== null && { epoch: user.epoch })
})

/** The body may come long after the head: by then the token may have ended. */
export function refuseEnded (app: FastifyInstance, clock: () => Date): void {
  app.addHook('preHandler', (request, _reply, done) => {
    const isOver = (request.caller as Caller | null) !== null && request.caller.expiresAt * 1000 <= clock().getTime()
    done(isOver ? new RefusedToken({ cause: 'expired', why: 'it ended before the body had arrived' }) : undefined)
  })
}

export function decorateRequests (app: FastifyInstance): void {
  app.decorateRequest('caller', null as unknown as Caller)
  app.decorateRequest('storedUser', null as unknown as User)
}
