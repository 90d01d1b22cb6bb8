import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { byOf, wholeUser } from '../../guard.ts'
import { operation } from '../../http/openapi.ts'
import { forCaller } from '../../http/plugins/budget.ts'
import { DETAILS, Problem } from '../../http/problem.ts'
import { afterChange, UnavailableError } from '../../platform/unavailable.ts'
import { assuranceSettings, type Services } from '../../services.ts'
import { issueSettled, remembered } from '../../sessions/issue.ts'
import { authenticationOf } from '../../sessions/mfa-token.ts'
import { listFactors } from '../view.ts'
import { decideFactorChange, decideRemoval } from './decide.ts'
import { FactorParams, FACTORS_SCHEMAS, type RenameRequest } from './schema.ts'
import { settlePendingRemoved, settleRemoved, settleRenamed } from './store.ts'

/** How often a removal is decided anew when another change of the factors came between. */
const TRIES = 3

export function registerFactors (app: FastifyInstance, services: Services): void {
  for (const schema of FACTORS_SCHEMAS) app.addSchema(schema)
  registerListAndRename(app, services)
  registerRemove(app, services)
}

function registerListAndRename (app: FastifyInstance, { config, clock, db, guard, kinds }: Services): void {
  const settings = assuranceSettings(config, kinds)

  app.get('/mfa/factors', {
    onRequest: guard.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'listFactors',
      tag: 'Factors',
      summary: 'List the user\'s authenticators',
      answers: { 200: { schema: Type.Ref('FactorList'), description: 'Oldest first. One that is not confirmed yet comes last.' } },
      errors: []
    })
  }, async request => ({ items: listFactors(kinds, wholeUser(request), clock(), config) }))

  app.patch('/mfa/factors/:factorId', {
    onRequest: guard.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'renameFactor',
      tag: 'Factors',
      summary: 'Rename an authenticator',
      description: 'Needs a fresh MFA token, unless it is not confirmed yet.',
      params: FactorParams,
      body: Type.Ref('RenameRequest'),
      answers: { 200: { schema: Type.Ref('Factor'), description: 'The authenticator as it is now.' } },
      ifUnknown: 'Look at GET /mfa/factors, or repeat the call: that does no harm.',
      errors: ['not_found', 'step_up_required', 'label_taken']
    })
  }, async request => {
    const { factorId } = request.params as FactorParams
    const label = (request.body as RenameRequest).label.normalize('NFC')
    const { caller } = request
    const user = wholeUser(request)
    const decision = decideFactorChange(user, caller, factorId, clock(), settings)
    if (decision.outcome === 'not_found') throw new Problem('not_found')
    if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
    if (user.factors.some(factor => factor.label === label && factor.id !== factorId)) throw new Problem('label_taken')
    const result = await forCaller(request, () => settleRenamed(db, { ...user, factorId, label, by: byOf(request) }))
    if (result.outcome === 'taken') throw new Problem('label_taken')
    await afterChange(guard.refresh(request))
    const renamed = listFactors(kinds, wholeUser(request), clock(), config).find(factor => factor.id === factorId)
    if (result.outcome !== 'renamed' || renamed === undefined) throw new Problem('not_found')
    return renamed
  })
}

function registerRemove (app: FastifyInstance, services: Services): void {
  const { config, clock, db, guard, kinds } = services
  const settings = assuranceSettings(config, kinds)

  app.delete('/mfa/factors/:factorId', {
    onRequest: guard.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'removeFactor',
      tag: 'Factors',
      summary: 'Remove an authenticator',
      description:
        'Needs a fresh MFA token, unless it is not confirmed yet. All earlier MFA tokens of the user end. ' +
        'This session goes on with the token in the answer. Removing the last authenticator removes the recovery codes too.',
      params: FactorParams,
      body: Type.Object({}, { additionalProperties: false }),
      answers: {
        200: { schema: Type.Ref('TokenAnswer'), description: 'Removed. Has a new token for this session.' },
        204: {
          description:
            'Removed. It was not confirmed, was the last one, or was the one that this session proved. If a factor is left, verify again.'
        }
      },
      ifUnknown:
        'Look at GET /mfa/factors with a first-factor token. If the factor is gone, all earlier MFA tokens have ended, and a code ' +
        'gives a new one.',
      errors: ['not_found', 'step_up_required', 'required_by_policy']
    })
  }, async (request, reply) => {
    const { factorId } = request.params as FactorParams
    const { caller } = request
    const by = byOf(request)
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      const user = wholeUser(request)
      const { tenant, userId, epoch, revision } = user
      const decision = decideRemoval(user, caller, factorId, clock(), settings)
      if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
      if (decision.outcome === 'pending') {
        const { outcome } = await forCaller(request, () => settlePendingRemoved(db, { tenant, userId, factorId, by }))
        if (outcome !== 'removed') throw new Problem('not_found')
        return reply.code(204).send()
      }
      if (decision.outcome === 'last_passkey') throw new Problem('required_by_policy', { detail: DETAILS.lastPasskey })
      if (decision.outcome !== 'remove') throw new Problem(decision.outcome)
      const authentication = decision.isSessionKept ? authenticationOf(caller, kinds.methodsOf(config)) : null
      const result = await forCaller(
        request,
        () =>
          settleRemoved(db, {
            tenant,
            userId,
            epoch,
            revision,
            factorId,
            authentication: authentication === null
              ? null
              : remembered(services, { tenant, userId, epoch: epoch + 1 }, caller, authentication),
            by
          })
      )
      if (result.outcome === 'removed') {
        if (authentication === null) return reply.code(204).send()
        return issueSettled(services, caller, { userId, epoch: result.epoch }, authentication, result)
      }
      // A removal that came between ended this token too: then this throws.
      await guard.refresh(request)
    }
    throw new UnavailableError('the factors of this user changed again and again')
  })
}
