import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { recordUnreadable } from '../../audit/record.sql.ts'
import type { Settings } from '../../config/secrets.ts'
import { byOf } from '../../guard.ts'
import { type Acr, sessionKey } from '../../http/auth/caller.ts'
import { operation } from '../../http/openapi.ts'
import { forCaller } from '../../http/plugins/budget.ts'
import { Problem } from '../../http/problem.ts'
import { unixSeconds } from '../../platform/time.ts'
import { UnavailableError } from '../../platform/unavailable.ts'
import { type Services, throttleLimits } from '../../services.ts'
import { checkAudience, issueSettled, remembered } from '../../sessions/issue.ts'
import type { Factor, User } from '../../users/user.ts'
import type { FactorKind, KindContext } from '../factor-kind.ts'
import { detailsOf, problemOf, refuseUnoffered, unofferedCodes } from '../problem.ts'
import { settleUncharged } from '../refusals.sql.ts'
import { refuseThrottled } from '../throttle/problem.ts'
import { throttledBy, throttleOf } from '../throttle/throttle.ts'

/** What every kind's body may have; a kind's own reads the rest. */
interface VerifyBody { factorId?: string, audience?: string, acr?: Acr }

/** How a factor of this kind is proved. */
export function registerVerify (app: FastifyInstance, services: Services, kind: FactorKind): void {
  const { config, clock, db, guard, metrics, secrets } = services
  const { path, answer, answered, body, ...texts } = kind.calls.verify
  const { settlement } = kind
  const limits = throttleLimits(config)
  registerChallenge(app, services, kind)
  const contextOf = ({ caller }: FastifyRequest): KindContext => ({
    now: clock(),
    ring: secrets.sealing,
    config,
    session: sessionKey(caller)
  })

  app.post(path, {
    onRequest: guard.user,
    config: { codeKind: kind.kind },
    schema: operation({
      ...texts,
      tag: 'Verify',
      body: Type.Ref(body),
      answers: { 200: { schema: Type.Ref(answer), description: answered } },
      errors: [
        'not_enrolled',
        // A passkey is enough for any application.
        ...(kind.acr === 'phr' ? [] : ['step_up_required' as const]),
        ...(settlement.isThrottled ? ['factor_locked' as const] : []), 'code_refused',
        ...unofferedCodes(kind)
      ],
      details: detailsOf(kind)
    })
  }, async request => {
    const { factorId, audience, acr } = request.body as VerifyBody
    checkAudience(services, request, kind.acr, audience)
    refuseUnoffered(services, kind, request)
    const { caller, storedUser: user } = request
    const { tenant, userId, epoch } = user
    const ofKind = { tenant, userId, kind: kind.kind }
    const by = byOf(request)
    const factors = usableOf(kind, user, config)
    if (factors.length === 0) throw problemOf(kind, 'not_enrolled')
    const tried = factorId === undefined ? factors : factors.filter(({ id }) => id === factorId)
    const decision = await metrics.timeAsync(`check_${kind.kind}`, async () =>
      (settlement.isThrottled ? throttledBy(throttleOf(user, kind.kind)) : null) ??
          await kind.verify(user, tried, request.body, contextOf(request))
    )
    refuseThrottled(decision)
    for (const factor of decision.unreadable) {
      await recordUnreadable(db, user, by, kind.kind, { factorId: factor.id, keyId: factor.keyId })
    }

    if (decision.outcome === 'match') {
      const { factor, counter, drift, proof } = decision
      const now = clock()
      const authentication = { acr: kind.acr, methods: [...kind.amr], factorId: factor.id, authTime: unixSeconds(now) }
      const acceptance = {
        ...ofKind,
        epoch,
        factorId: factor.id,
        counter,
        authentication: remembered(services, user, caller, authentication),
        by
      }
      const result = await forCaller(request, () => settlement.accept(db, acceptance, proof))
      refuseThrottled(result)
      if (result.outcome !== 'accepted') throw problemOf(kind, 'code_refused')
      if (drift !== undefined) metrics.drift(drift)
      return {
        ...issueSettled(services, caller, user, authentication, result, { audience, acr }),
        factorId: factor.id,
        ...kind.view({ ...factor, counter }, now)
      }
    }
    if (decision.outcome === 'spent') {
      await forCaller(request, () => settleUncharged(db, { ...ofKind, call: kind.kind, cause: 'spent', by }))
      throw new Problem('code_refused')
    }
    refuseThrottled(
      await forCaller(request, () => settlement.refuse(db, { ...ofKind, weight: decision.weight, limits, near: decision.near, by }))
    )
    // It may have been the code of the one that does not open: the caller is not told that it was wrong.
    if (decision.unreadable.length > 0) throw new UnavailableError('a sealed secret does not open')
    throw problemOf(kind, 'code_refused')
  })
}

/** Those of a kind that can be proved. */
const usableOf = ({ kind, isUsable }: FactorKind, { tenant, factors }: User, config: Settings): Factor[] =>
  factors.filter(factor => factor.kind === kind && isUsable?.(factor, tenant, config) !== false)

/** What a kind's client has to ask for before. */
function registerChallenge (app: FastifyInstance, services: Services, kind: FactorKind): void {
  const { config, clock, guard, secrets } = services
  const { challenge } = kind
  if (challenge === undefined) return
  const { path, answer, answered, body, ...texts } = challenge.call
  app.post(path, {
    onRequest: guard.user,
    schema: operation({
      ...texts,
      tag: 'Verify',
      body: Type.Ref(body),
      answers: { 200: { schema: Type.Ref(answer), description: answered } },
      errors: ['not_enrolled', ...unofferedCodes(kind)],
      details: detailsOf(kind)
    })
  }, async request => {
    const { caller, storedUser: user } = request
    refuseUnoffered(services, kind, request)
    const factors = usableOf(kind, user, config)
    if (factors.length === 0) throw problemOf(kind, 'not_enrolled')
    return challenge.make(user, factors, { now: clock(), ring: secrets.sealing, config, session: sessionKey(caller) })
  })
}
