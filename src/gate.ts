import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { Caller, FirstFactor } from './core/caller.ts'
import { decideAdmin, type AssuranceSettings } from './core/assurance.ts'
import type { KeyRing } from './core/keys.ts'
import { noteOf } from './core/note.ts'
import type { Person, WholePerson } from './core/person.ts'
import type { DecisionSettings } from './core/policy.ts'
import { traceOf } from './core/trace.ts'
import { UnavailableError } from './core/unavailable.ts'
import { type By, recordEvent } from './db/audit.ts'
import type { Database } from './db/client.ts'
import { findPerson, findWholePerson, isWordNew, seePerson, settleNote } from './db/person.ts'
import type { Auth } from './http/auth.ts'
import { addressOf } from './http/limits.ts'
import type { Metrics } from './http/metrics.ts'
import { FORBIDDEN, needsRole, Problem } from './http/problem.ts'
import { refuse as refuseToken, RefusedToken } from './http/refused-token.ts'

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller
    /** Null for a machine, which only calls of administrators let in: they take the tenant from `caller`. */
    person: Person
  }
  interface FastifyContextConfig {
    /** This call answers somebody who is disabled too. */
    isForDisabled?: boolean
    /** It asks what is pending, or about recovery codes: `wholePerson` has them. */
    isOfWhole?: boolean
    /** A gateway's: it changes nothing, whatever its method. */
    isQuestion?: boolean
  }
}

export interface GateOptions { db: Database, auth: Auth, metrics: Metrics, clock: () => Date, peppers: () => KeyRing, assurance: AssuranceSettings, decision: DecisionSettings }

export interface Gate {
  /** Hooks of a user's call, before its body is read: who is it, and may he come in at all? */
  user: onRequestAsyncHookHandler[]
  /** The same for an administrator's: one of the roles, and MFA of the last minutes. A machine needs no more than a role that it may have. */
  admin: (roles: string[]) => onRequestAsyncHookHandler[]
  /** Reads the caller's person once more, for a decision that another change has overtaken. */
  refresh: (request: FastifyRequest) => Promise<void>
}

/** What a machine may do: read, and tell of an application's people. */
const MACHINE_ROLES = new Set(['mfa:auditor', 'mfa:sync'])

export function createGate ({ db, auth, metrics, clock, peppers, assurance, decision }: GateOptions): Gate {
  async function identify (request: FastifyRequest): Promise<void> {
    request.caller = await auth.authenticate(request)
    if (request.caller.kind !== 'service') await refresh(request)
  }

  async function refuseMachine (request: FastifyRequest): Promise<void> {
    if (request.caller.kind === 'service') await refuse(request, 'machine')
  }

  async function refresh (request: FastifyRequest): Promise<void> {
    request.person = await notePerson(request, await loadPerson(request))
    if (request.person.isDisabled && request.routeOptions.config.isForDisabled !== true) await refuse(request, 'disabled')
  }

  /**
   * The person of a token, recorded at first sight. An MFA token of an older epoch, or of before its session's log-out, is
   * dead, and so is any token of before somebody was erased.
   */
  async function loadPerson ({ caller, log, routeOptions }: FastifyRequest): Promise<Person> {
    const find = routeOptions.config.isOfWhole === true ? findWholePerson : findPerson
    let person = await find(db, caller, peppers())
    if (person?.session.isForged === true) {
      log.warn({ tenant: person.tenant, userId: person.userId }, 'a remembered second factor was not made by this service, or by a pepper that is gone (MFA_PEPPERS): it does not count')
    }
    if (caller.mfa !== undefined) {
      if (person === null || person.epoch !== caller.mfa.epoch || person.session.generation > caller.mfa.generation) refuseToken('revoked')
      return person
    }
    // What is no machine's and not ours is a first factor's.
    const first = caller as FirstFactor
    if (person !== null && isOlder(first, person.tokensSince)) refuseToken('revoked')
    if (person === null || isWordNew(person, first)) {
      const { outcome } = await seePerson(db, first, randomUUID(), person, traceOf(peppers(), caller).hashes)
      if (outcome === 'erased') refuseToken('revoked')
      person = await find(db, caller, peppers())
    }
    if (person === null) throw new UnavailableError('a person that was just recorded is lost')
    return person
  }

  /** First sight may be of a deadline, too: it is given before anything is decided. */
  async function notePerson (request: FastifyRequest, person: Person): Promise<Person> {
    const note = noteOf(person, request.caller, clock(), decision)
    if (note === null) return person
    if (note.wouldBe !== null) metrics.wouldEnroll()
    await settleNote(db, person, note, byOf(request, person))
    return await loadPerson(request)
  }

  async function refuse (request: FastifyRequest, cause: keyof typeof FORBIDDEN | 'role', detail = FORBIDDEN[cause as keyof typeof FORBIDDEN] as string): Promise<never> {
    await recordEvent(db, { tenant: request.caller.tenant, subject: actorOf(request.caller, request.person), action: 'access.refused', outcome: 'failure', by: byOf(request), details: { cause } })
    throw new Problem('forbidden', { detail })
  }

  const admin = (roles: string[]) => async (request: FastifyRequest): Promise<void> => {
    const isMachine = request.caller.kind === 'service'
    const opening = isMachine ? roles.filter(role => MACHINE_ROLES.has(role)) : roles
    if (!request.caller.roles.some(role => opening.includes(role))) await refuse(request, 'role', opening.length > 0 ? needsRole(opening) : FORBIDDEN.machine)
    if (isMachine) return
    const refusal = decideAdmin(request.person, request.caller, clock(), assurance)
    if (refusal === null) return
    if (refusal === 'forbidden') await refuse(request, 'factor set up after a recovery')
    if (refusal === 'not_enrolled') throw new Problem('not_enrolled')
    throw new Problem('step_up_required', refusal as Exclude<typeof refusal, string>)
  }

  return { user: [identify, refuseMachine], admin: roles => [identify, admin(roles)], refresh }
}

const isOlder = ({ word: { issuedAt } }: FirstFactor, since: Date | null): boolean => since !== null && issuedAt * 1000 <= since.getTime()

/** The person of a call that is configured to read all of him. */
export function wholePerson ({ person }: Pick<FastifyRequest, 'person'>): WholePerson {
  if (!('pending' in person)) throw new Error('this call is not configured to read all of a person')
  return person as WholePerson
}

/** A user's id, or a machine's name. */
const actorOf = (caller: Caller, person: Person | null): string => person?.userId ?? `service:${caller.subject}`

/** Who did it, for the audit. */
export const byOf = (request: FastifyRequest, person: Person | null = request.person): By =>
  ({ actor: actorOf(request.caller, person), address: addressOf(request), requestId: request.id, ...(person !== null && { epoch: person.epoch }) })

/** The body may come long after the head: by then the token may have ended. */
export function refuseEnded (app: FastifyInstance, clock: () => Date): void {
  app.addHook('preHandler', (request, _reply, done) => {
    const isOver = (request.caller as Caller | null) !== null && request.caller.expiresAt * 1000 <= clock().getTime()
    done(isOver ? new RefusedToken({ cause: 'expired', why: 'it ended before the body had arrived' }) : undefined)
  })
}

export function decorateRequests (app: FastifyInstance): void {
  app.decorateRequest('caller', null as unknown as Caller)
  app.decorateRequest('person', null as unknown as Person)
}
