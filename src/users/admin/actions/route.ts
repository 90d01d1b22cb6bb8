import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest, FastifySchema } from 'fastify'
import { Type } from 'typebox'
import { createBypass } from '../../../factors/recovery-codes/bypass.ts'
import { byOf } from '../../../guard.ts'
import { operation } from '../../../http/openapi.ts'
import { forCaller } from '../../../http/plugins/budget.ts'
import { DETAILS, Problem } from '../../../http/problem.ts'
import type { TargetRefused } from '../../../platform/db/settlements.ts'
import type { Services } from '../../../services.ts'
import { tombstoneOf } from '../../tombstone.ts'
import type { User } from '../../user.ts'
import { UserParams } from '../schema.ts'
import { findTarget, isSupport, notFound, refuseOneself, refuseSupport } from '../target.ts'
import { ACTION_SCHEMAS, type BypassRequest, type ResetRequest, type UserAction } from './schema.ts'
import { type AdminAction, type NewBypass, settleErased, settleIssued, settleReset, settleSignOut, settleUnlocked } from './store.ts'

const BYPASS_SECONDS = 900
const HELPERS = ['mfa:admin', 'mfa:support']
const OF_HELPERS =
  "You can't do this to yourself. Needs the role `mfa:admin` and a fresh MFA token. With `mfa:support` you can help users who never " +
  'had an `mfa:` role.'

/** What administrators do to one user, each with a reason that is kept in the audit. */
export function registerUserActions (app: FastifyInstance, services: Services): void {
  for (const schema of ACTION_SCHEMAS) app.addSchema(schema)
  registerReset(app, services)
  registerUnlock(app, services)
  registerBypass(app, services)
  registerSignOut(app, services)
  registerErase(app, services)
}

const actionSchema = (
  id: string,
  summary: string,
  description: string,
  { body = 'UserAction', ...rest }: { body?: string } & Pick<Parameters<typeof operation>[0], 'answers' | 'details' | 'ifUnknown'>
): FastifySchema =>
  operation({
    id,
    tag: 'Users',
    summary,
    description,
    params: UserParams,
    body: Type.Ref(body),
    ...rest,
    errors: ['step_up_required', 'not_enrolled', 'not_found']
  })

function registerReset (app: FastifyInstance, services: Services): void {
  const { db, guard } = services
  app.post('/admin/users/:userId/reset', {
    onRequest: guard.admin(HELPERS),
    schema: actionSchema('resetUser', 'Reset a user: remove all authenticators and codes',
      'Signs the user out everywhere and deletes their authenticators and codes. They set up a new one at their next login. With ' +
      '`requireCode` they also need the code in the answer: use it if someone else may know the password. The grace period does not ' +
      `begin again. \`not_enrolled\` if they have nothing. ${OF_HELPERS}`,
      {
        body: 'ResetRequest',
        answers: {
          200: { schema: Type.Ref('BypassAnswer'), description: 'With `requireCode`: the code. Give it to the user face to face.' },
          204: { description: 'Reset.' }
        },
        ifUnknown:
          'Look at GET /admin/users/{userId}: if there are no `factors`, it was done. The code of `requireCode` is lost: ' +
          'POST /admin/users/{userId}/bypass gives another.'
      })
  }, async (request, reply) => {
    const { requireCode } = request.body as ResetRequest
    const target = await allowedTarget(services, request)
    const bypass = requireCode === true ? await makeBypass(services, request, target, BYPASS_SECONDS) : null
    const result = await settled(
      services,
      request,
      forCaller(request, () => settleReset(db, actionOn(request, target), bypass?.kept ?? null))
    )
    if (result.outcome === 'nothing') throw new Problem('not_enrolled', { detail: DETAILS.nothingToReset })
    return bypass === null ? reply.code(204).send() : answerBypass(bypass.shown, result.expiresAt as string)
  })
}

function registerUnlock (app: FastifyInstance, services: Services): void {
  const { db, guard } = services
  app.post('/admin/users/:userId/unlock', {
    onRequest: guard.admin(HELPERS),
    schema: actionSchema('unlockUser', 'End a user\'s waits and locks',
      'Clears wrong codes, waits, lock and budget. Someone who goes on guessing can lock the user again: look at the audit, then reset ' +
      `or sign out. ${OF_HELPERS}`,
      {
        answers: { 204: { description: 'Unlocked.' } },
        ifUnknown: 'Look at `locks` of GET /admin/users/{userId}, or repeat the call.'
      })
  }, async (request, reply) => {
    const target = await allowedTarget(services, request)
    await settled(services, request, forCaller(request, () => settleUnlocked(db, actionOn(request, target))))
    return reply.code(204).send()
  })
}

function registerBypass (app: FastifyInstance, services: Services): void {
  const { db, guard } = services
  app.post('/admin/users/:userId/bypass', {
    onRequest: guard.admin(HELPERS),
    schema: actionSchema('issueBypass', 'Give a user a bypass code for one login',
      'The user types it at `POST /mfa/recovery`, once, within `expiresInSeconds`. A newer code replaces it. With the token ' +
      '(`acr` `mfa-recovery`) they can set up an authenticator, but not change another one, and not administer. Users without an ' +
      `authenticator can get one too. ${OF_HELPERS}`,
      {
        body: 'BypassRequest',
        answers: { 201: { schema: Type.Ref('BypassAnswer'), description: 'The code. Give it to the user face to face.' } },
        ifUnknown: 'The code is lost. Repeat the call: a newer one takes its place.'
      })
  }, async (request, reply) => {
    const { expiresInSeconds = BYPASS_SECONDS } = request.body as BypassRequest
    const target = await allowedTarget(services, request)
    const { shown, kept } = await makeBypass(services, request, target, expiresInSeconds)
    const result = await settled(services, request, forCaller(request, () => settleIssued(db, actionOn(request, target), kept)))
    reply.code(201)
    return answerBypass(shown, result.expiresAt)
  })
}

function registerSignOut (app: FastifyInstance, services: Services): void {
  const { db, guard } = services
  app.post('/admin/users/:userId/sign-out', {
    onRequest: guard.admin(HELPERS),
    schema: actionSchema('signOutUser', 'Sign a user out everywhere',
      'Ends all MFA tokens and remembered sessions of the user, on every replica within a second. It does not end their session at the ' +
      `issuer. ${OF_HELPERS}`,
      {
        answers: { 204: { description: 'Signed out.' } },
        ifUnknown: 'Repeat the call: that does no harm.'
      })
  }, async (request, reply) => {
    const target = await allowedTarget(services, request)
    await settled(services, request, forCaller(request, () => settleSignOut(db, actionOn(request, target))))
    return reply.code(204).send()
  })
}

function registerErase (app: FastifyInstance, services: Services): void {
  const { clock, db, guard, secrets } = services
  app.post('/admin/users/:userId/erase', {
    onRequest: guard.admin(['mfa:admin']),
    schema: actionSchema('eraseUser', 'Erase a user',
      'Deletes the user with their authenticators, codes and sessions. A keyed hash stays, so that old tokens are refused, and a ' +
      'disabled user stays disabled. Audit events stay until their retention ends. If the user signs in again later, they are a new ' +
      "user. You can't erase yourself. Needs the role `mfa:admin` and a fresh MFA token.",
      {
        answers: { 204: { description: 'Erased.' } },
        ifUnknown: 'Look at GET /admin/users/{userId}: if it was done, it is `not_found`.'
      })
  }, async (request, reply) => {
    const target = await allowedTarget(services, request)
    await settled(
      services,
      request,
      forCaller(request, () => settleErased(db, actionOn(request, target), tombstoneOf(secrets.peppers, target), clock()))
    )
    return reply.code(204).send()
  })
}

/** The user to act on, if the caller may. Only for an early answer: the statement that does it asks again. */
async function allowedTarget ({ db }: Services, request: FastifyRequest): Promise<User> {
  const target = await findTarget(db, request)
  await refuseOneself(db, request)
  if (isSupport(request) && target.isAdministrator) await refuseSupport(db, request)
  return target
}

const actionOn = (request: FastifyRequest, { tenant, userId }: User): AdminAction =>
  ({ tenant, userId, reason: (request.body as UserAction).reason, isSupport: isSupport(request), by: byOf(request) })

/** What came between: the user was erased, or seen as an administrator. */
async function settled<T extends { outcome: string }> (
  { db }: Services,
  request: FastifyRequest,
  settling: Promise<T>
): Promise<Exclude<T, TargetRefused>> {
  const result = await settling
  if (result.outcome === 'gone') notFound()
  if (result.outcome === 'forbidden') await refuseSupport(db, request)
  return result as Exclude<T, TargetRefused>
}

async function makeBypass (
  { hasher, secrets }: Services,
  { budget }: FastifyRequest,
  { tenant, userId }: User,
  seconds: number
): Promise<{ shown: string, kept: NewBypass }> {
  const { shown, hashed } = await createBypass(text => hasher.hash(text, budget.beginBy), secrets.peppers, { tenant, userId })
  return { shown, kept: { id: randomUUID(), ...hashed, seconds } }
}

const answerBypass = (code: string, expiresAt: string): object => ({ code, expiresAt: new Date(expiresAt).toISOString() })
