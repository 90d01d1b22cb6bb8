import { Type } from 'typebox'
import type { FastifyInstance } from 'fastify'
import { listFactors } from '../../core/factors.ts'
import { decide } from '../../core/policy.ts'
import { wholeUser } from '../../gate.ts'
import { operation } from '../../http/openapi.ts'
import { decisionSettings, type Services } from '../../services.ts'
import { Decision, Status } from './schema.ts'

export function registerStatus (app: FastifyInstance, { config, clock, gate, warnOfLoginTime }: Services): void {
  app.addSchema(Decision)
  app.addSchema(Status)
  const settings = decisionSettings(config)

  app.get('/mfa/status', {
    onRequest: gate.user,
    config: { isForDisabled: true, isOfWhole: true },
    schema: operation({
      id: 'getStatus',
      tag: 'Status',
      summary: 'Who is it, what is set up, and what must happen next',
      description: 'A front end reacts to `decision.action` alone: `allow` lets this session pass, `verify` asks for a code, `enroll` leads to the set-up page, `deny` turns away.',
      answers: { 200: { schema: Type.Ref('Status'), description: 'The caller and the decision.' } },
      errors: []
    })
  }, async request => {
    const now = clock()
    const user = wholeUser(request)
    const { userId, subject, account, tenant, namespace, factors, recovery } = user
    const decision = decide(user, request.caller, now, settings)
    if ((decision.wouldBe ?? decision).loginTimeUnknown === true) warnOfLoginTime(request.caller)
    return {
      userId,
      subject,
      account,
      tenant,
      namespace,
      enrolled: factors.length > 0,
      factors: listFactors(user, now),
      recoveryCodes: recovery === null ? null : { total: recovery.total, remaining: recovery.remaining, acknowledgedAt: recovery.acknowledgedAt?.toISOString() ?? null },
      decision
    }
  })
}
