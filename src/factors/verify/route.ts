import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { recordUnreadable } from '../../audit/record.sql.ts'
import { byOf } from '../../guard.ts'
import { operation } from '../../http/openapi.ts'
import { forCaller } from '../../http/plugins/budget.ts'
import { Problem } from '../../http/problem.ts'
import { unixSeconds } from '../../platform/time.ts'
import { UnavailableError } from '../../platform/unavailable.ts'
import { type Services, throttleLimits } from '../../services.ts'
import { checkAudience, issueSettled, remembered } from '../../sessions/issue.ts'
import { settleAccepted, settleRefused } from '../attempts.sql.ts'
import type { FactorKind } from '../factor-kind.ts'
import { settleUncharged } from '../refusals.sql.ts'
import { refuseThrottled } from '../throttle/problem.ts'
import { throttledBy, throttleOf } from '../throttle/throttle.ts'

/** What every kind's body may have; a kind's own reads the rest. */
interface VerifyBody { factorId?: string, audience?: string }

/** How a factor of this kind is proved. */
export function registerVerify (app: FastifyInstance, services: Services, kind: FactorKind): void {
  const { config, clock, db, guard, metrics, secrets } = services
  const { path, answer, answered, body, ...texts } = kind.calls.verify
  const limits = throttleLimits(config)
  registerChallenge(app, services, kind)

  app.post(path, {
    onRequest: guard.user,
    config: { codeKind: kind.kind },
    schema: operation({
      ...texts,
      tag: 'Verify',
      body: Type.Ref(body),
      answers: { 200: { schema: Type.Ref(answer), description: answered } },
      errors: ['not_enrolled', 'factor_locked', 'code_refused']
    })
  }, async request => {
    const { factorId, audience } = request.body as VerifyBody
    checkAudience(services, audience)
    const { caller, storedUser: user } = request
    const { tenant, userId, epoch } = user
    const ofKind = { tenant, userId, kind: kind.kind }
    const by = byOf(request)
    const factors = user.factors.filter(factor => factor.kind === kind.kind)
    if (factors.length === 0) throw new Problem('not_enrolled')
    const tried = factorId === undefined ? factors : factors.filter(({ id }) => id === factorId)
    const decision = await metrics.timeAsync(`check_${kind.kind}`, async () =>
      throttledBy(throttleOf(user, kind.kind)) ?? await kind.verify(user, tried, request.body, { now: clock(), ring: secrets.sealing, config }))
    refuseThrottled(decision)
    for (const factor of decision.unreadable) {
      await recordUnreadable(db, user, by, kind.kind, { factorId: factor.id, keyId: factor.keyId })
    }

    if (decision.outcome === 'match') {
      const { factor, counter, drift } = decision
      const now = clock()
      const authentication = { acr: kind.acr, methods: [...kind.amr], factorId: factor.id, authTime: unixSeconds(now) }
      const acceptance = { ...ofKind, epoch, factorId: factor.id, counter, authentication: remembered(services, user, caller, authentication), by }
      const result = await forCaller(request, () => settleAccepted(db, acceptance))
      refuseThrottled(result)
      if (result.outcome !== 'accepted') throw new Problem('code_refused')
      if (drift !== undefined) metrics.drift(drift)
      return { ...issueSettled(services, caller, user, authentication, result, audience), factorId: factor.id, ...kind.view({ ...factor, counter }, now) }
    }
    if (decision.outcome === 'spent') {
      await forCaller(request, () => settleUncharged(db, { ...ofKind, call: kind.kind, cause: 'spent', by }))
      throw new Problem('code_refused')
    }
    refuseThrottled(await forCaller(request, () => settleRefused(db, { ...ofKind, weight: decision.weight, limits, near: decision.near, by })))
    // It may have been the code of the one that does not open: the caller is not told that it was wrong.
    if (decision.unreadable.length > 0) throw new UnavailableError('a sealed secret does not open')
    throw new Problem('code_refused')
  })
}

/** What a kind's client has to ask for before. */
function registerChallenge (app: FastifyInstance, { config, clock, guard, secrets }: Services, { kind, challenge }: FactorKind): void {
  if (challenge === undefined) return
  const { path, answer, answered, body, ...texts } = challenge.call
  app.post(path, {
    onRequest: guard.user,
    schema: operation({
      ...texts,
      tag: 'Verify',
      body: Type.Ref(body),
      answers: { 200: { schema: Type.Ref(answer), description: answered } },
      errors: ['not_enrolled']
    })
  }, async ({ storedUser: user }) => {
    const factors = user.factors.filter(factor => factor.kind === kind)
    if (factors.length === 0) throw new Problem('not_enrolled')
    return challenge.make(user, factors, { now: clock(), ring: secrets.sealing, config })
  })
}
