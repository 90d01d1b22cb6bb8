import { randomUUID } from 'node:crypto'
import { Type } from 'typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type CodeRule, decideCodeRule } from '../../core/assurance.ts'
import { type Caller, sessionKey } from '../../core/caller.ts'
import { nextCodeAt } from '../../core/factors.ts'
import { DEFAULT_PARAMETERS, base32, generateSecret, otpauthUri } from '../../core/totp.ts'
import type { Act } from '../../core/mfa-token.ts'
import type { User } from '../../core/user.ts'
import { qrCode } from '../../core/qr-code.ts'
import { createRecoverySet, type RecoverySet } from '../../core/recovery-set.ts'
import { seal } from '../../core/seal.ts'
import { unixSeconds } from '../../core/time.ts'
import { UnavailableError } from '../../core/unavailable.ts'
import { settleRefused } from '../../db/attempts.ts'
import { recordUnreadable } from '../../db/audit.ts'
import { byOf, wholeUser } from '../../gate.ts'
import { forCaller } from '../../http/budget.ts'
import { refuseThrottled } from '../../http/throttled.ts'
import { operation } from '../../http/openapi.ts'
import { DETAILS, Problem } from '../../http/problem.ts'
import { assuranceSettings, checkAudience, issueSettled, remembered, type Services, throttleLimits } from '../../services.ts'
import { type ConfirmDecision, decideConfirm, decideStart } from './decide.ts'
import { type ConfirmRequest, ENROLL_SCHEMAS, type EnrollRequest } from './schema.ts'
import { hasAdministrator, releaseClaim, settleClaimed, settleConfirmed, settleStarted } from './store.ts'

/** How often a start or a confirmation is decided anew when another change of the factors came between. */
const TRIES = 3

export function registerEnroll (app: FastifyInstance, services: Services): void {
  for (const schema of ENROLL_SCHEMAS) app.addSchema(schema)
  registerStart(app, services)
  registerConfirm(app, services)
}

function registerStart (app: FastifyInstance, services: Services): void {
  const { config, clock, db, gate, secrets, warnOfLoginTime } = services
  const settings = assuranceSettings(config)
  const findCodeRule = codeRuleOf(services)
  app.post('/mfa/enroll', {
    onRequest: gate.user,
    schema: operation({
      id: 'startEnrollment',
      tag: 'Enroll',
      summary: 'Start setting up an authenticator',
      description: 'Answers the secret as a QR code and as text, once. It counts only after `POST /mfa/enroll/confirm`, within ten minutes and in the same login session. A start replaces an earlier one that was not confirmed. Active authenticators stay as they are. The first authenticator needs a fresh login. If the token does not say when the login was, the answer is `login_time_unknown`, and a new login would not help. If the `action` of `step_up_required` is `recovery`, it needs a code from an administrator, at `POST /mfa/recovery`. A further authenticator needs a fresh MFA token.',
      body: Type.Ref('EnrollRequest'),
      answers: { 201: { schema: Type.Ref('EnrollAnswer'), description: 'Started: show the QR code, and the secret beside it.' } },
      ifUnknown: 'Its secret is lost. Start again: the new start takes its place.',
      errors: ['step_up_required', 'login_time_unknown', 'too_many_factors', 'label_taken']
    })
  }, async (request, reply) => {
    const label = (request.body as EnrollRequest).label?.normalize('NFC')
    const { caller } = request
    const factorId = randomUUID()
    const secret = generateSecret()
    try {
      for (let attempt = 1; attempt <= TRIES; attempt++) {
        const { storedUser: user } = request
        const { tenant, userId, epoch } = user
        const isCodeDue = await findCodeRule(user) === 'due'
        const decision = decideStart(user, caller, label, isCodeDue, clock(), settings)
        if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
        if (decision.outcome === 'login_time_unknown') warnOfLoginTime(caller)
        if (decision.outcome !== 'start') throw new Problem(decision.outcome)

        const sealed = seal(secrets.sealing, { ...DEFAULT_PARAMETERS, tenant, userId, factorId }, secret)
        const started = await forCaller(request, () => settleStarted(db, { tenant, userId, epoch, factorId, label: label ?? null, session: sessionKey(caller), ...sealed, by: byOf(request) }))
        refuseThrottled(started)
        if (started.outcome === 'started') {
          reply.code(201)
          return await show(secret, { factorId, account: user.account, expiresAt: started.expiresAt })
        }
        await gate.refresh(request)
      }
      throw new UnavailableError('the factors of this user changed again and again')
    } finally {
      secret.fill(0)
    }
  })

  /** All of it, once. */
  async function show (secret: Uint8Array, { factorId, account, expiresAt }: { factorId: string, account: string, expiresAt: string }): Promise<object> {
    const uri = otpauthUri(secret, config.TOTP_ISSUER_NAME, account)
    return { factorId, secret: base32(secret), otpauthUri: uri, qrCode: qrCode(uri), expiresAt: new Date(expiresAt).toISOString() }
  }
}

/** What somebody's first factor rests on; the database is asked only where that says something. */
const codeRuleOf = ({ config, db }: Services) => async (user: User): Promise<CodeRule> => {
  const mode = config.ENROLL_REQUIRES_CODE
  const isAsked = mode === 'roles' && user.factors.length === 0
  return decideCodeRule(user, mode, isAsked && await hasAdministrator(db, user.tenant))
}

/** What a confirmation proves: TOTP; after a recovery it stays one, since that is how this session came in. */
function confirmedAct ({ mfa }: Caller, factorId: string, now: Date): Act {
  const isRecovery = mfa?.acr === 'mfa-recovery'
  return { acr: isRecovery ? 'mfa-recovery' : 'mfa', methods: isRecovery ? ['otp', 'recovery'] : ['otp'], factorId, authTime: unixSeconds(now), isBypass: mfa?.isBypass === true }
}

function registerConfirm (app: FastifyInstance, services: Services): void {
  const { config, clock, db, gate, hasher, secrets } = services
  const assurance = assuranceSettings(config)
  const findCodeRule = codeRuleOf(services)
  const limits = throttleLimits(config)

  app.post('/mfa/enroll/confirm', {
    onRequest: gate.user,
    config: { codeKind: 'enrollment', isOfWhole: true },
    schema: operation({
      id: 'confirmEnrollment',
      tag: 'Enroll',
      summary: 'Prove a code of the new authenticator, so that it counts',
      description: 'The code is used up. With the first authenticator you get ten recovery codes. Show them, offer to save them, and call `POST /mfa/recovery/acknowledge` when the user has saved them. The fifth wrong code ends the set-up.',
      body: Type.Ref('ConfirmRequest'),
      answers: { 200: { schema: Type.Ref('ConfirmAnswer'), description: 'Active. Has the recovery codes, and an MFA token.' } },
      ifUnknown: 'Look at GET /mfa/status. If the factor is `active`, go on with POST /mfa/verify and its next code. If `recoveryCodes.acknowledgedAt` is null, the user has not seen the recovery codes: make new ones, POST /mfa/recovery/codes.',
      errors: ['not_found', 'step_up_required', 'too_many_factors', 'label_taken', 'factor_locked', 'code_refused'],
      details: { not_found: DETAILS.setUpOver }
    })
  }, async request => {
    const body = request.body as ConfirmRequest
    checkAudience(services, body.audience)
    const claim = randomUUID()
    try {
      return await confirm(request, body, claim)
    } catch (error) {
      // Nothing was spent: the same code is good at once, not only when the claim has ended.
      if (error instanceof UnavailableError) await Promise.allSettled([releaseClaim(db, { ...request.storedUser, claim })])
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
      const { storedUser: user } = request
      const { tenant, userId, epoch, revision } = user
      const now = clock()
      const rule = await findCodeRule(user)
      const decision = await decide(request, body, rule === 'due', now)
      if (decision.outcome === 'refused') {
        const { stepsAway } = decision
        refuseThrottled(await forCaller(request, () => settleRefused(db, { tenant, userId, weight: 1, limits, pendingId: factorId, near: stepsAway === null ? null : { factorId, stepsAway }, by })))
        throw new Problem('code_refused')
      }
      const claimed = await settleClaimed(db, { tenant, userId, factorId, claim })
      refuseThrottled(claimed)
      if (claimed.outcome !== 'claimed') throw new Problem('code_refused')
      const codes = decision.isFirst ? made ??= await createRecoverySet(text => hasher.hash(text, request.budget.actBy), secrets.peppers, { tenant, userId }) : null
      const { step, label } = decision
      const act = confirmedAct(caller, factorId, now)
      const result = await forCaller(request, () => settleConfirmed(db, { tenant, userId, epoch, revision, factorId, claim, label, step, setId, codes: codes?.hashed ?? null, rule, act: remembered(services, user, caller, act), by }))
      refuseThrottled(result)
      if (result.outcome === 'confirmed') {
        const token = issueSettled(services, caller, user, act, result, audience)
        return { factorId, recoveryCodes: codes?.shown ?? null, ...token, nextCodeAt: nextCodeAt({ lastStep: step, period: DEFAULT_PARAMETERS.period }, clock()) }
      }
      if (result.outcome !== 'stale') throw new Problem('code_refused')
      await gate.refresh(request)
    }
    throw new UnavailableError('the factors of this user changed again and again')
  }

  /** What remains is a code that is wrong, or one that matches. */
  async function decide (request: FastifyRequest, body: ConfirmRequest, isCodeDue: boolean, now: Date): Promise<Extract<ConfirmDecision, { outcome: 'refused' | 'match' }>> {
    const { caller } = request
    const user = wholeUser(request)
    const settings = { ...assurance, window: config.TOTP_WINDOW, ring: secrets.sealing }
    let decision: ConfirmDecision
    try {
      decision = decideConfirm(user, caller, body, isCodeDue, now, settings)
    } catch (cause) {
      await recordUnreadable(db, user, byOf(request), { factorId: body.factorId, keyId: user.pending?.keyId })
      throw new UnavailableError('a sealed secret does not open', { cause })
    }
    refuseThrottled(decision)
    if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
    if (decision.outcome === 'not_found') throw new Problem('not_found', { detail: DETAILS.setUpOver })
    if (decision.outcome !== 'refused' && decision.outcome !== 'match') throw new Problem(decision.outcome)
    return decision
  }
}
