import { randomUUID } from 'node:crypto'
import { Type } from 'typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Caller, sessionKey } from '../../core/caller.ts'
import { nextCodeAt } from '../../core/factors.ts'
import { DEFAULT_PARAMETERS, base32, generateSecret, otpauthUri, qrCode } from '../../core/totp.ts'
import type { Act } from '../../core/mfa-token.ts'
import { createRecoverySet, type RecoverySet } from '../../core/recovery-set.ts'
import { seal } from '../../core/seal.ts'
import { unixSeconds } from '../../core/time.ts'
import { UnavailableError } from '../../core/unavailable.ts'
import { recordUnreadable } from '../../db/audit.ts'
import { settleRefused } from '../../db/throttle.ts'
import { byOf } from '../../gate.ts'
import { refuseClosed } from '../../http/closed.ts'
import { operation } from '../../http/openapi.ts'
import { Problem } from '../../http/problem.ts'
import { assuranceSettings, checkAudience, issueSettled, remembered, type Services, throttleLimits } from '../../services.ts'
import { type ConfirmDecision, decideConfirm, decideStart } from './decide.ts'
import { type ConfirmRequest, ENROLL_SCHEMAS, type EnrollRequest } from './schema.ts'
import { releaseClaim, settleClaimed, settleConfirmed, settleStarted } from './store.ts'

export function registerEnroll (app: FastifyInstance, services: Services): void {
  for (const schema of ENROLL_SCHEMAS) app.addSchema(schema)
  registerStart(app, services)
  registerConfirm(app, services)
}

function registerStart (app: FastifyInstance, { config, clock, db, gate, secrets }: Services): void {
  const settings = assuranceSettings(config)
  app.post('/mfa/enroll', {
    onRequest: gate.user,
    schema: operation({
      id: 'startEnrollment',
      tag: 'Enroll',
      summary: 'Start to set up an authenticator',
      description: 'Answers the secret as a QR code and as text, once. It counts only after `POST /mfa/enroll/confirm` within ten minutes, in the same login session. A start replaces an earlier one that was not confirmed; active authenticators stay as they are. The first needs a login of the last 15 minutes, a further one an MFA token of the last 15 minutes.',
      body: Type.Ref('EnrollRequest'),
      answers: { 201: { schema: Type.Ref('EnrollAnswer'), description: 'Started: show the QR code, and the secret beside it.' } },
      errors: ['step_up_required', 'too_many_factors', 'label_taken']
    })
  }, async (request, reply) => {
    const label = (request.body as EnrollRequest).label?.normalize('NFC')
    const { caller, person } = request
    const { tenant, userId } = person
    const decision = decideStart(person, caller, label, clock(), settings)
    if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
    if (decision.outcome !== 'start') throw new Problem(decision.outcome)

    const factorId = randomUUID()
    const secret = generateSecret()
    const sealed = seal(secrets.sealing, { tenant, userId, factorId }, secret)
    const [text, uri] = [base32(secret), otpauthUri(secret, config.TOTP_ISSUER_NAME, person.account)]
    secret.fill(0)
    const started = await settleStarted(db, { tenant, userId, factorId, label: label ?? null, session: sessionKey(caller), ...sealed, by: byOf(request) })
    refuseClosed(started)
    reply.code(201)
    return { factorId, secret: text, otpauthUri: uri, qrCode: await qrCode(uri), expiresAt: new Date(started.expiresAt as string).toISOString() }
  })
}

/** What a confirmation proves: TOTP; after a recovery it stays one, since that is how this session came in. */
function confirmedAct ({ mfa }: Caller, factorId: string, now: Date): Act {
  const isRecovery = mfa?.acr === 'mfa-recovery'
  return { acr: isRecovery ? 'mfa-recovery' : 'mfa', methods: isRecovery ? ['otp', 'recovery'] : ['otp'], factorId, authTime: unixSeconds(now) }
}

/** How often a confirmation is decided anew when another change of the factors came between. */
const TRIES = 3

function registerConfirm (app: FastifyInstance, services: Services): void {
  const { config, clock, db, gate, hasher, secrets } = services
  const assurance = assuranceSettings(config)
  const limits = throttleLimits(config)

  app.post('/mfa/enroll/confirm', {
    onRequest: gate.user,
    config: { codeKind: 'enrollment' },
    schema: operation({
      id: 'confirmEnrollment',
      tag: 'Enroll',
      summary: 'Prove a code of the new authenticator: now it counts',
      description: 'The code is spent with it. With the first authenticator come ten recovery codes: show them, offer to save them, and call `POST /mfa/recovery/acknowledge` when the user has. The fifth wrong code destroys what was started.',
      body: Type.Ref('ConfirmRequest'),
      answers: { 200: { schema: Type.Ref('ConfirmAnswer'), description: 'Active: the recovery codes, and an MFA token.' } },
      errors: ['not_found', 'step_up_required', 'too_many_factors', 'label_taken', 'factor_locked', 'code_refused']
    })
  }, async request => {
    const body = request.body as ConfirmRequest
    checkAudience(services, body.audience)
    const claim = randomUUID()
    try {
      return await confirm(request, body, claim)
    } catch (error) {
      // Nothing was spent: the same code is good at once, not only when the claim has ended.
      if (error instanceof UnavailableError) await Promise.allSettled([releaseClaim(db, { ...request.person, claim })])
      throw error
    }
  })

  async function confirm (request: FastifyRequest, body: ConfirmRequest, claim: string): Promise<object> {
    const { caller } = request
    const { factorId, audience } = body
    const by = byOf(request)
    const setId = randomUUID()
    let made: RecoverySet | undefined

    for (let attempt = 1; attempt <= TRIES; attempt++) {
      const { person } = request
      const { tenant, userId, epoch, revision } = person
      const now = clock()
      const decision = await decide(request, body, now)
      if (decision.outcome === 'refused') {
        refuseClosed(await settleRefused(db, { tenant, userId, kind: 'totp', weight: 1, limits, pendingId: factorId, by }))
        throw new Problem('code_refused')
      }
      const claimed = await settleClaimed(db, { tenant, userId, factorId, claim })
      refuseClosed(claimed)
      if (claimed.outcome !== 'claimed') throw new Problem('code_refused')
      const codes = decision.isFirst ? made ??= await createRecoverySet(hasher, secrets.peppers) : null
      const { step, label } = decision
      const act = confirmedAct(caller, factorId, now)
      const result = await settleConfirmed(db, { tenant, userId, epoch, revision, factorId, claim, label, step, setId, codes: codes?.hashed ?? null, act: remembered(services, caller, act), by })
      refuseClosed(result)
      if (result.outcome === 'confirmed') {
        const token = issueSettled(services, caller, person, act, result, audience)
        return { factorId, recoveryCodes: codes?.shown ?? null, ...token, nextCodeAt: nextCodeAt({ lastStep: step, period: DEFAULT_PARAMETERS.period }, clock()) }
      }
      if (result.outcome !== 'stale') throw new Problem('code_refused')
      await gate.refresh(request)
    }
    throw new UnavailableError('the factors of one user change all the time')
  }

  /** What remains is a code that is wrong, or one that matches. */
  async function decide (request: FastifyRequest, body: ConfirmRequest, now: Date): Promise<Extract<ConfirmDecision, { outcome: 'refused' | 'match' }>> {
    const { caller, person } = request
    const settings = { ...assurance, window: config.TOTP_WINDOW, ring: secrets.sealing }
    let decision: ConfirmDecision
    try {
      decision = decideConfirm(person, caller, body, now, settings)
    } catch (cause) {
      await recordUnreadable(db, person, byOf(request), { factorId: body.factorId, keyId: person.pending?.keyId })
      throw new UnavailableError('a sealed secret does not open', { cause })
    }
    refuseClosed(decision)
    if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
    if (decision.outcome !== 'refused' && decision.outcome !== 'match') throw new Problem(decision.outcome)
    return decision
  }
}
