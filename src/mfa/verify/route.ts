import { Type } from 'typebox'
import type { FastifyInstance } from 'fastify'
import { nextCodeAt } from '../../core/factors.ts'
import { stepAt } from '../../core/totp.ts'
import { unixSeconds } from '../../core/time.ts'
import { UnavailableError } from '../../core/unavailable.ts'
import { settleAccepted, settleRefused } from '../../db/attempts.ts'
import { recordUnreadable } from '../../db/audit.ts'
import { settleUncharged } from '../../db/refusals.ts'
import { byOf } from '../../gate.ts'
import { forCaller } from '../../http/budget.ts'
import { refuseThrottled } from '../../http/throttled.ts'
import { operation } from '../../http/openapi.ts'
import { Problem } from '../../http/problem.ts'
import { checkAudience, issueSettled, remembered, type Services, throttleLimits } from '../../services.ts'
import { decideVerify } from './decide.ts'
import { VerifyAnswer, VerifyRequest } from './schema.ts'

export function registerVerify (app: FastifyInstance, services: Services): void {
  const { config, clock, db, gate, metrics, secrets } = services
  const limits = throttleLimits(config)
  app.addSchema(VerifyRequest)
  app.addSchema(VerifyAnswer)

  app.post('/mfa/verify', {
    onRequest: gate.user,
    config: { codeKind: 'totp' },
    schema: operation({
      id: 'verify',
      tag: 'Verify',
      summary: 'Prove the second factor with a code of the authenticator',
      description: 'Accepts each code once. Codes of the time steps just before and after are fine. Without `factorId` every active authenticator is tried. The answer is the same for a code that is wrong, used, expired, or of another user or authenticator.',
      body: Type.Ref('VerifyRequest'),
      answers: { 200: { schema: Type.Ref('VerifyAnswer'), description: 'Accepted. Has the MFA token.' } },
      ifUnknown: 'Look at GET /mfa/status. If `lastUsedAt` of a factor is just now, this code is used up and its token lost. POST /mfa/token gives a token if the session is remembered; otherwise use the next code.',
      errors: ['not_enrolled', 'factor_locked', 'code_refused']
    })
  }, async request => {
    const { code, factorId, audience } = request.body as VerifyRequest
    checkAudience(services, audience)
    const { caller, storedUser: user } = request
    const { tenant, userId, epoch } = user
    const by = byOf(request)
    if (user.factors.length === 0) throw new Problem('not_enrolled')
    const decision = metrics.time('check_totp', () => decideVerify(user, code, factorId, clock(), { window: config.TOTP_WINDOW, ring: secrets.sealing }))
    for (const factor of decision.unreadable) {
      await recordUnreadable(db, user, by, { factorId: factor.id, keyId: factor.keyId })
    }

    refuseThrottled(decision)
    if (decision.outcome === 'match') {
      const { factor, step } = decision
      const now = clock()
      const act = { acr: 'mfa' as const, methods: ['otp'], factorId: factor.id, authTime: unixSeconds(now) }
      const result = await forCaller(request, () => settleAccepted(db, { tenant, userId, epoch, factorId: factor.id, step, act: remembered(services, user, caller, act), by }))
      refuseThrottled(result)
      if (result.outcome !== 'accepted') throw new Problem('code_refused')
      metrics.drift(step - stepAt(now, factor.period))
      return { ...issueSettled(services, caller, user, act, result, audience), factorId: factor.id, nextCodeAt: nextCodeAt({ ...factor, lastStep: step }, now) }
    }
    if (decision.outcome === 'spent') {
      await forCaller(request, () => settleUncharged(db, { tenant, userId, call: 'totp', kind: 'totp', cause: 'spent', by }))
      throw new Problem('code_refused')
    }
    refuseThrottled(await forCaller(request, () => settleRefused(db, { tenant, userId, weight: decision.weight, limits, near: decision.near, by })))
    // It may have been the code of the one that does not open: nobody is told that it was wrong.
    if (decision.unreadable.length > 0) throw new UnavailableError('a sealed secret does not open')
    throw new Problem('code_refused')
  })
}
