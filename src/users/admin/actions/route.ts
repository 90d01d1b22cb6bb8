import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type TObject, Type } from 'typebox'
import { createBypass } from '../../../factors/recovery-codes/bypass.ts'
import { byOf } from '../../../guard.ts'
import { operation } from '../../../http/openapi.ts'
import { forCaller } from '../../../http/plugins/budget.ts'
import { DETAILS, Problem } from '../../../http/problem.ts'
import type { Database } from '../../../platform/db/client.ts'
import type { TargetRefused } from '../../../platform/db/settlements.ts'
import type { Services } from '../../../services.ts'
import { tombstoneOf } from '../../tombstone.ts'
import type { User } from '../../user.ts'
import { UserParams } from '../schema.ts'
import { findTarget, isSupport, notFound, refuseOneself, refuseSupport } from '../target.ts'
import { ACTION_SCHEMAS, type BypassRequest, DeviceParams, type ResetRequest, type UserAction } from './schema.ts'
import {
  type AdminAction,
  type NewBypass,
  settleErased,
  settleIssued,
  settleReset,
  settleRevoked,
  settleSignOut,
  settleUnlocked
} from './store.ts'

const BYPASS_SECONDS = 900
const HELPERS = ['mfa:admin', 'mfa:support']
const OF_HELPERS =
  "You can't do this to yourself. Needs the role `mfa:admin` and a fresh MFA token. With `mfa:support` you can help users who never " +
  'had an `mfa:` role.'

/** What administrators do to one user, each with a reason that is kept in the audit. */
export function registerUserActions (app: FastifyInstance, services: Services): void {
  const { clock, db, secrets } = services
  for (const schema of ACTION_SCHEMAS) app.addSchema(schema)

  registerAction(app, services, 'reset', {
    id: 'resetUser',
    summary: 'Reset a user: remove all authenticators and codes',
    description:
      'Signs the user out everywhere and deletes their authenticators and codes. They set up a new one at their next login. With ' +
      '`requireCode` they also need the code in the answer: use it if someone else may know the password. The grace period does not ' +
      `begin again. \`not_enrolled\` if they have nothing. ${OF_HELPERS}`,
    body: 'ResetRequest',
    answers: {
      200: { schema: Type.Ref('BypassAnswer'), description: 'With `requireCode`: the code. Give it to the user face to face.' },
      204: { description: 'Reset.' }
    },
    ifUnknown:
      'Look at GET /admin/users/{userId}: if there are no `factors`, it was done. The code of `requireCode` is lost: ' +
      'POST /admin/users/{userId}/bypass gives another.'
  }, async (target, request, reply) => {
    const { requireCode } = request.body as ResetRequest
    const bypass = requireCode === true ? await makeBypass(services, request, target, BYPASS_SECONDS) : null
    const result = await settled(db, target, request, action => settleReset(db, action, bypass?.kept ?? null))
    if (result.outcome === 'nothing') throw new Problem('not_enrolled', { detail: DETAILS.nothingToReset })
    return bypass === null ? reply.code(204).send() : answerBypass(bypass.shown, result.expiresAt as string)
  })

  registerAction(app, services, 'unlock', {
    id: 'unlockUser',
    summary: 'End a user\'s waits and locks',
    description:
      'Clears wrong codes, waits, lock and budget. Someone who goes on guessing can lock the user again: look at the audit, then reset ' +
      `or sign out. ${OF_HELPERS}`,
    answers: { 204: { description: 'Unlocked.' } },
    ifUnknown: 'Look at `locks` of GET /admin/users/{userId}, or repeat the call.'
  }, async (target, request, reply) => {
    await settled(db, target, request, action => settleUnlocked(db, action))
    return reply.code(204).send()
  })

  registerAction(app, services, 'bypass', {
    id: 'issueBypass',
    summary: 'Give a user a bypass code for one login',
    description:
      'The user types it at `POST /mfa/recovery`, once, within `expiresInSeconds`. A newer code replaces it. With the token ' +
      '(`acr` `mfa-recovery`) they can set up an authenticator, but not change another one, and not administer. Users without an ' +
      `authenticator can get one too. ${OF_HELPERS}`,
    body: 'BypassRequest',
    answers: { 201: { schema: Type.Ref('BypassAnswer'), description: 'The code. Give it to the user face to face.' } },
    ifUnknown: 'The code is lost. Repeat the call: a newer one takes its place.'
  }, async (target, request, reply) => {
    const { expiresInSeconds = BYPASS_SECONDS } = request.body as BypassRequest
    const { shown, kept } = await makeBypass(services, request, target, expiresInSeconds)
    const result = await settled(db, target, request, action => settleIssued(db, action, kept))
    reply.code(201)
    return answerBypass(shown, result.expiresAt)
  })

  registerAction(app, services, 'sign-out', {
    id: 'signOutUser',
    summary: 'Sign a user out everywhere',
    description:
      'Ends all MFA tokens, remembered sessions and trusted devices of the user, on every replica within a second. It does not end their ' +
      `session at the issuer. Call it when a password was changed. ${OF_HELPERS}`,
    answers: { 204: { description: 'Signed out.' } },
    ifUnknown: 'Repeat the call: that does no harm.'
  }, async (target, request, reply) => {
    await settled(db, target, request, action => settleSignOut(db, action))
    return reply.code(204).send()
  })

  registerAction(app, services, 'devices', {
    method: 'DELETE',
    id: 'revokeDevices',
    summary: "End the trust in all of a user's devices",
    description:
      'MFA tokens and sessions that the devices have opened end too, on every replica within a second. The answer is the same if there ' +
      `was none. ${OF_HELPERS}`,
    answers: { 204: { description: 'None is trusted any more.' } },
    ifUnknown: 'Look at `devices` of GET /admin/users/{userId}, or repeat the call.'
  }, async (target, request, reply) => {
    await settled(db, target, request, action => settleRevoked(db, action, null))
    return reply.code(204).send()
  })

  registerAction(app, services, 'devices/:deviceId', {
    method: 'DELETE',
    params: DeviceParams,
    id: 'revokeDevice',
    summary: "End the trust in one of a user's devices",
    description: `MFA tokens and sessions that it has opened end too, on every replica within a second. ${OF_HELPERS}`,
    answers: { 204: { description: 'It is not trusted any more.' } },
    ifUnknown: 'Look at `devices` of GET /admin/users/{userId}.'
  }, async (target, request, reply) => {
    const { deviceId } = request.params as DeviceParams
    const result = await settled(db, target, request, action => settleRevoked(db, action, deviceId))
    if (result.outcome !== 'removed') notFound()
    return reply.code(204).send()
  })

  registerAction(app, services, 'erase', {
    id: 'eraseUser',
    summary: 'Erase a user',
    description:
      'Deletes the user with their authenticators, codes and sessions. A keyed hash stays, so that old tokens are refused, and a ' +
      'disabled user stays disabled. Audit events stay until their retention ends. If the user signs in again later, they are a new ' +
      "user. You can't erase yourself. Needs the role `mfa:admin` and a fresh MFA token.",
    answers: { 204: { description: 'Erased.' } },
    ifUnknown: 'Look at GET /admin/users/{userId}: if it was done, it is `not_found`.',
    roles: ['mfa:admin']
  }, async (target, request, reply) => {
    await settled(db, target, request, action => settleErased(db, action, tombstoneOf(secrets.peppers, target), clock()))
    return reply.code(204).send()
  })
}

type Texts = Pick<Parameters<typeof operation>[0], 'id' | 'summary' | 'description' | 'answers' | 'ifUnknown'>

/** @param act what it does to the user, once the caller may, and what it answers */
function registerAction (
  app: FastifyInstance,
  services: Services,
  name: string,
  { method = 'POST', params = UserParams, body = 'UserAction', roles = HELPERS, ...texts }: Texts & {
    method?: 'POST' | 'DELETE',
    params?: TObject,
    body?: string,
    roles?: string[]
  },
  act: (target: User, request: FastifyRequest, reply: FastifyReply) => Promise<object>
): void {
  app.route({
    method,
    url: `/admin/users/:userId/${name}`,
    onRequest: services.guard.admin(roles),
    schema: operation({
      ...texts,
      tag: 'Users',
      params,
      body: Type.Ref(body),
      errors: ['step_up_required', 'not_enrolled', 'not_found']
    }),
    handler: async (request, reply) => await act(await allowedTarget(services, request), request, reply)
  })
}

/** The user to act on, if the caller may. Only for an early answer: the statement that does it asks again. */
async function allowedTarget ({ db }: Services, request: FastifyRequest): Promise<User> {
  const target = await findTarget(db, request)
  await refuseOneself(db, request)
  if (isSupport(request) && target.isAdministrator) await refuseSupport(db, request)
  return target
}

/** What came between: the user was erased, or seen as an administrator. */
async function settled<T extends { outcome: string }> (
  db: Database,
  { tenant, userId }: User,
  request: FastifyRequest,
  settle: (action: AdminAction) => Promise<T>
): Promise<Exclude<T, TargetRefused>> {
  const action = { tenant, userId, reason: (request.body as UserAction).reason, isSupport: isSupport(request), by: byOf(request) }
  const result = await forCaller(request, () => settle(action))
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
