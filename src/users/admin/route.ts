import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { byOf } from '../../guard.ts'
import { operation } from '../../http/openapi.ts'
import { forCaller } from '../../http/plugins/budget.ts'
import { DETAILS, Problem } from '../../http/problem.ts'
import { readTime } from '../../http/time.ts'
import type { Settled } from '../../platform/db/settlements.ts'
import { afterChange } from '../../platform/unavailable.ts'
import { decisionSettings, type Services } from '../../services.ts'
import { type ExemptionChange, type GraceChange, UserParams, usersSchemas } from './schema.ts'
import { settleExemption, settleGrace } from './store.ts'
import { findTarget, isSupport, notFound, refuseOneself, refuseSupport, userIdOf } from './target.ts'
import { viewUser } from './view.ts'

export function registerUsers (app: FastifyInstance, services: Services): void {
  for (const schema of usersSchemas(services.kinds)) app.addSchema(schema)
  registerUser(app, services)
  registerExemption(app, services)
  registerGrace(app, services)
}

function registerUser (app: FastifyInstance, services: Services): void {
  const { config, db, clock, guard, kinds } = services
  const settings = decisionSettings(config, kinds)

  app.get('/admin/users/:userId', {
    onRequest: guard.admin(['mfa:admin', 'mfa:support', 'mfa:auditor']),
    schema: operation({
      id: 'getUser',
      tag: 'Users',
      summary: 'Read what is known about a user',
      description:
        '`decision` is that of a session without a second factor. Needs the role `mfa:admin`, `mfa:auditor` or `mfa:support`, and a ' +
        'fresh MFA token. `mfa:support` sees the users who never had an `mfa:` role.',
      params: UserParams,
      answers: { 200: { schema: Type.Ref('User'), description: 'The user. Never a secret.' } },
      errors: ['step_up_required', 'not_enrolled', 'not_found']
    })
  }, async request => {
    const user = await findTarget(db, request)
    if (isSupport(request, 'mfa:auditor') && user.isAdministrator) await refuseSupport(db, request)
    return viewUser(services, user, clock(), settings)
  })
}

function registerExemption (app: FastifyInstance, services: Services): void {
  const { config, db, clock, guard, kinds } = services
  const settings = decisionSettings(config, kinds)
  const maxDays = settings.floor?.maxExemptionDays ?? null

  app.put('/admin/users/:userId/exemption', {
    onRequest: guard.admin(['mfa:admin']),
    schema: operation({
      id: 'setExemption',
      tag: 'Users',
      summary: 'Exempt a user from the policy, or end the exemption',
      description:
        "Until `until`, or without an end. A user with an authenticator is still asked for a code. You can't exempt yourself. Needs " +
        'the role `mfa:admin` and a fresh MFA token.',
      params: UserParams,
      body: Type.Ref('ExemptionChange'),
      answers: { 200: { schema: Type.Ref('User'), description: 'The user as they are now.' } },
      ifUnknown: 'Look at GET /admin/users/{userId}.',
      errors: ['step_up_required', 'not_enrolled', 'not_found', 'required_by_policy']
    })
  }, async request => {
    const { exempt, reason, until } = request.body as ExemptionChange
    const { tenant } = request.caller
    const userId = userIdOf(request)
    if (exempt) await refuseOneself(db, request)
    if (!exempt && until !== undefined) {
      throw new Problem('invalid_request', { errors: [{ field: 'until', message: 'is of an exemption alone' }] })
    }
    const end = until === undefined ? null : readTime('until', until)
    refuseUnset(
      await forCaller(request, () =>
        settleExemption(db, { tenant, userId, isExempt: exempt, until: end, reason, maxDays, by: byOf(request) }))
    )
    return viewUser(services, await afterChange(findTarget(db, request)), clock(), settings)
  })
}

function registerGrace (app: FastifyInstance, services: Services): void {
  const { config, db, clock, guard, kinds } = services
  const settings = decisionSettings(config, kinds)
  const maxDays = settings.floor?.gracePeriodDays ?? null

  app.put('/admin/users/:userId/grace', {
    onRequest: guard.admin(['mfa:admin']),
    schema: operation({
      id: 'setGrace',
      tag: 'Users',
      summary: 'Set until when a user may go on without a factor',
      description: 'Replaces the deadline that the policy gave. You can\'t set your own. Needs the role `mfa:admin` and a fresh MFA token.',
      params: UserParams,
      body: Type.Ref('GraceChange'),
      answers: { 200: { schema: Type.Ref('User'), description: 'The user as they are now.' } },
      ifUnknown: 'Look at GET /admin/users/{userId}.',
      errors: ['step_up_required', 'not_enrolled', 'not_found', 'required_by_policy']
    })
  }, async request => {
    const { until, reason } = request.body as GraceChange
    const { tenant } = request.caller
    const userId = userIdOf(request)
    await refuseOneself(db, request)
    refuseUnset(
      await forCaller(
        request,
        () => settleGrace(db, { tenant, userId, until: readTime('until', until), reason, maxDays, by: byOf(request) })
      )
    )
    return viewUser(services, await afterChange(findTarget(db, request)), clock(), settings)
  })
}

function refuseUnset ({ outcome }: Settled<'exempt_user' | 'set_grace'>): void {
  if (outcome === 'gone') notFound()
  if (outcome === 'past') throw new Problem('invalid_request', { errors: [{ field: 'until', message: 'is over' }] })
  if (outcome === 'below') {
    throw new Problem('required_by_policy', {
      detail: DETAILS.floor,
      errors: [{ field: 'until', message: "is later than the deployment's floor allows" }]
    })
  }
}
