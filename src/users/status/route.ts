import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { listFactors } from '../../factors/view.ts'
import { wholeUser } from '../../guard.ts'
import { operation } from '../../http/openapi.ts'
import { decide, trustedDeviceDays } from '../../policy/decide.ts'
import { decisionSettings, type Services } from '../../services.ts'
import { Decision, Status } from './schema.ts'

export function registerStatus (app: FastifyInstance, { config, clock, guard, kinds, warnOfLoginTime }: Services): void {
  app.addSchema(Decision)
  app.addSchema(Status(kinds.names))
  const settings = decisionSettings(config, kinds)

  app.get('/mfa/status', {
    onRequest: guard.user,
    config: { isForDisabled: true, isOfWhole: true },
    schema: operation({
      id: 'getStatus',
      tag: 'Status',
      summary: 'Ask what must happen next',
      description:
        'Call it after each login, and react to `decision.action`. `allow`: let the user in. `verify`: ask for a code, or only for ' +
        'a passkey where `decision.acr` is `phr`. ' +
        '`enroll`: open the set-up page, for a passkey if the reason is `phishing_resistant_required`. `deny`: turn the user away. It ' +
        'also says who the user is and what they have set up.',
      answers: { 200: { schema: Type.Ref('Status'), description: 'The user and the decision.' } },
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
      factors: listFactors(kinds, user, now, config),
      offers: kinds.offered(config, tenant).map(({ kind }) => kind),
      recoveryCodes: recovery === null
        ? null
        : { total: recovery.total, remaining: recovery.remaining, acknowledgedAt: recovery.acknowledgedAt?.toISOString() ?? null },
      trustedDeviceDays: trustedDeviceDays(user, settings),
      decision
    }
  })
}
