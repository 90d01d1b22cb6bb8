import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { byOf } from '../guard.ts'
import { refuse } from '../http/auth/refused-token.ts'
import { operation } from '../http/openapi.ts'
import { evenIfGone } from '../http/plugins/budget.ts'
import { DETAILS, Problem } from '../http/problem.ts'
import { decisionSettings, type Services } from '../services.ts'
import { isProved } from './assurance.ts'
import { decideRenew, type RenewSettings } from './decide.ts'
import { checkKnown, issueToken } from './issue.ts'
import { allowedTokenClaims } from './mfa-token.ts'
import { SESSION_SCHEMAS, type TokenRequest } from './schema.ts'
import { settleSessionEnded, settleSignedOut } from './store.ts'

const EMPTY = Type.Object({}, { additionalProperties: false })

export function registerSession (app: FastifyInstance, services: Services): void {
  for (const schema of SESSION_SCHEMAS) app.addSchema(schema)
  registerToken(app, services)
  registerEnd(app, services)
}

function registerToken (app: FastifyInstance, services: Services): void {
  const { auth, config, clock, guard, kinds } = services
  const settings: RenewSettings = {
    ...decisionSettings(config, kinds),
    secondMethods: kinds.methodsOf(config)
  }

  app.post('/mfa/token', {
    onRequest: guard.user,
    schema: operation({
      id: 'renewToken',
      tag: 'Session',
      summary: 'Get a new MFA token without a new code',
      description:
        'Send the first-factor token of a login session whose second factor is remembered, or a good MFA token. The new token keeps ' +
        '`auth_time`, `acr` and `amr` of the original code, so sensitive calls still ask for a new one. It never outlives the session ' +
        "or the token that it was made from. With an application's `audience`, users who are allowed without MFA get a token too, for " +
        "five minutes. Its `acr` is `none` (`idp-mfa` if the identity provider's MFA counted), and `mfa_reason` says why. With `acr` " +
        '`phr` only a passkey of this token or its session counts.',
      body: Type.Ref('TokenRequest'),
      answers: { 200: { schema: Type.Ref('SessionToken'), description: 'The token.' } },
      errors: ['not_enrolled', 'step_up_required']
    })
  }, async request => {
    const { audience, acr } = request.body as TokenRequest
    checkKnown(services, audience)
    const { caller, storedUser: user } = request
    const now = clock()
    const subject = { userId: user.userId, epoch: user.epoch, generation: user.session.generation }
    const renewal = decideRenew(user, caller, audience, acr, now, settings)
    if (renewal.outcome === 'not_enrolled') {
      throw new Problem('not_enrolled', renewal.acr === undefined ? {} : { detail: DETAILS.noPasskey })
    }
    if (renewal.outcome === 'step_up') {
      throw new Problem('step_up_required', {
        action: 'verify',
        maxAge: config.MFA_SESSION_MAX_AGE_SECONDS,
        ...(renewal.acr !== undefined && { acr: renewal.acr, detail: DETAILS.phr })
      })
    }
    if (renewal.outcome === 'renew') return issueToken(services, caller, subject, renewal.authentication, { audience, acr })
    const claims = allowedTokenClaims(caller, subject, renewal.decision, now, {
      issuer: config.MFA_ISSUER,
      audience: audience as string,
      secondMethods: settings.secondMethods
    })
    return { token: auth.sign(claims), tokenType: 'Bearer', expiresIn: claims.exp - claims.iat, acr: claims.acr, amr: claims.amr }
  })
}

function registerEnd (app: FastifyInstance, { config, db, guard }: Services): void {
  app.delete('/mfa/session', {
    onRequest: guard.user,
    schema: operation({
      id: 'endSession',
      tag: 'Session',
      summary: 'Log out: forget the second factor of this session',
      description:
        'Ends the MFA tokens that were issued for this session so far, on every replica. A later code counts again. ' +
        'The answer is the same if there was none.',
      body: EMPTY,
      answers: { 204: { description: 'Forgotten.' } },
      ifUnknown: 'Repeat the call: that does no harm.',
      errors: []
    })
  }, async (request, reply) => {
    const { caller: { session }, storedUser: { tenant, userId } } = request
    if (session?.isRemembered === true) {
      await evenIfGone(
        request,
        () => settleSessionEnded(db, { tenant, userId, issuer: session.issuer, session: session.id, by: byOf(request) })
      )
    }
    return reply.code(204).send()
  })

  app.delete('/mfa/sessions', {
    onRequest: guard.user,
    schema: operation({
      id: 'endAllSessions',
      tag: 'Session',
      summary: 'Sign out everywhere',
      description:
        'Needs an MFA token, and not that of a trusted device. Ends all MFA tokens, remembered sessions and trusted devices of the user.',
      body: EMPTY,
      answers: { 204: { description: 'Ended.' } },
      ifUnknown: 'Look at GET /mfa/status with this token: if it was done, it is `invalid_token`.',
      errors: ['not_enrolled', 'step_up_required']
    })
  }, async (request, reply) => {
    const { caller, storedUser: { tenant, userId, epoch, factors } } = request
    if (!isProved(caller)) {
      if (factors.length === 0) throw new Problem('not_enrolled')
      throw new Problem('step_up_required', { action: 'verify', maxAge: config.MFA_TOKEN_SECONDS })
    }
    const result = await evenIfGone(request, () => settleSignedOut(db, { tenant, userId, epoch, by: byOf(request) }))
    // Another call moved the epoch: this token is dead, and so is every other.
    if (result.outcome !== 'signed_out') refuse('revoked')
    return reply.code(204).send()
  })
}
