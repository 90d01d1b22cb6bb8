import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { recordUnreadable } from '../../audit/record.sql.ts'
import { byOf, wholeUser } from '../../guard.ts'
import { type Caller, sessionKey } from '../../http/auth/caller.ts'
import { operation } from '../../http/openapi.ts'
import { forCaller } from '../../http/plugins/budget.ts'
import { DETAILS, Problem } from '../../http/problem.ts'
import { seal, type Sealed } from '../../keys/seal.ts'
import { unixSeconds } from '../../platform/time.ts'
import { UnavailableError } from '../../platform/unavailable.ts'
import { assuranceSettings, type Services, throttleLimits } from '../../services.ts'
import { type CodeRule, decideCodeRule } from '../../sessions/assurance.ts'
import { checkAudience, issueSettled, remembered } from '../../sessions/issue.ts'
import type { Authentication } from '../../sessions/mfa-token.ts'
import type { Pending, User } from '../../users/user.ts'
import type { Confirmed, FactorKind } from '../factor-kind.ts'
import { nextLabel } from '../labels.ts'
import { detailsOf, problemOf, refuseUnoffered, unofferedCodes } from '../problem.ts'
import { recoveryCodes } from '../recovery-codes/kind.ts'
import { createRecoverySet, type RecoverySet } from '../recovery-codes/recovery-set.ts'
import type { FactorKinds } from '../registry.ts'
import { refuseThrottled } from '../throttle/problem.ts'
import { type ConfirmDecision, decideConfirm, decideStart, type KindRules } from './decide.ts'
import { hasAdministrator, releaseClaim, settleClaimed, settleConfirmed, settleStarted } from './store.ts'

/** What every kind's body may have; a kind's own reads the rest. */
interface StartBody { label?: string }
interface ConfirmBody { factorId: string, audience?: string }

/** How often a start or a confirmation is decided anew when another change of the factors came between. */
const TRIES = 3

/** How a factor of this kind is set up. */
export function registerEnroll (app: FastifyInstance, services: Services, kind: FactorKind): void {
  registerStart(app, services, kind)
  registerConfirm(app, services, kind)
}

function registerStart (app: FastifyInstance, services: Services, kind: FactorKind): void {
  const { config, clock, db, guard, kinds, secrets, warnOfLoginTime } = services
  const { path, answer, answered, body, ...texts } = kind.calls.start
  const settings = assuranceSettings(config, kinds)
  const rules = rulesOf(kinds, kind)
  const findCodeRule = codeRuleOf(services)
  app.post(path, {
    onRequest: guard.user,
    schema: operation({
      ...texts,
      tag: 'Enroll',
      body: Type.Ref(body),
      answers: { 201: { schema: Type.Ref(answer), description: answered } },
      errors: ['step_up_required', 'login_time_unknown', 'too_many_factors', 'label_taken', ...unofferedCodes(kind)]
    })
  }, async (request, reply) => {
    refuseUnoffered(services, kind, request)
    const label = (request.body as StartBody).label?.normalize('NFC')
    const { caller } = request
    const factorId = randomUUID()
    const { secret, parameters, show } = kind.start({ config })
    const sealedBy = { kind: kind.kind, ...parameters }
    try {
      for (let attempt = 1; attempt <= TRIES; attempt++) {
        const { storedUser: user } = request
        const { tenant, userId, epoch } = user
        const needsCode = await findCodeRule(user) === 'required'
        const decision = decideStart(user, caller, rules, label, needsCode, clock(), settings)
        if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
        if (decision.outcome === 'login_time_unknown') warnOfLoginTime(caller)
        if (decision.outcome !== 'start') throw new Problem(decision.outcome)

        const sealed = seal(secrets.sealing, { ...sealedBy, tenant, userId, factorId }, secret)
        const start = {
          ...sealedBy,
          ...sealed,
          tenant,
          userId,
          epoch,
          factorId,
          label: label ?? null,
          session: sessionKey(caller),
          by: byOf(request)
        }
        const started = await forCaller(request, () => settleStarted(db, start))
        refuseThrottled(started)
        if (started.outcome === 'started') {
          reply.code(201)
          return { factorId, ...await show(user), expiresAt: new Date(started.expiresAt).toISOString() }
        }
        await guard.refresh(request)
      }
      throw new UnavailableError('the factors of this user changed again and again')
    } finally {
      secret.fill(0)
    }
  })
}

/** What the user's first factor needs; the database is asked only where that matters. */
const codeRuleOf = ({ config, db }: Services) => async (user: User): Promise<CodeRule> => {
  const mode = config.ENROLL_REQUIRES_CODE
  const isAsked = mode === 'roles' && user.factors.length === 0
  return decideCodeRule(user, mode, isAsked && await hasAdministrator(db, user.tenant))
}

/** What the decision asks of a kind. */
const rulesOf = (kinds: FactorKinds, kind: FactorKind): KindRules =>
  ({ kind: kind.kind, isThrottled: kind.settlement.isThrottled, hasRoom: factors => kinds.hasRoom(kind, factors) })

/** What a confirmation proves: a factor of its kind; after a recovery it stays one, since that is how this session came in. */
function confirmedAuthentication ({ mfa }: Caller, kind: FactorKind, factorId: string, now: Date): Authentication {
  const proved = kind.setUp ?? kind
  const [acr, methods] = mfa?.acr === recoveryCodes.acr
    ? [recoveryCodes.acr, [...proved.amr, ...recoveryCodes.amr]]
    : [proved.acr, [...proved.amr]]
  return { acr, methods, factorId, authTime: unixSeconds(now), isBypass: mfa?.isBypass === true }
}

function registerConfirm (app: FastifyInstance, services: Services, kind: FactorKind): void {
  const { config, clock, db, guard, hasher, kinds, secrets } = services
  const { path, answer, answered, body, ...texts } = kind.calls.confirm
  const assurance = assuranceSettings(config, kinds)
  const { settlement } = kind
  const rules = rulesOf(kinds, kind)
  const { isThrottled } = settlement
  const findCodeRule = codeRuleOf(services)
  const limits = throttleLimits(config)

  app.post(path, {
    onRequest: guard.user,
    config: { codeKind: 'enrollment', isOfWhole: true },
    schema: operation({
      ...texts,
      tag: 'Enroll',
      body: Type.Ref(body),
      answers: { 200: { schema: Type.Ref(answer), description: answered } },
      errors: [
        'not_found',
        'step_up_required',
        'too_many_factors',
        'label_taken',
        ...(isThrottled ? ['factor_locked' as const] : []),
        'code_refused',
        ...unofferedCodes(kind)
      ],
      details: { not_found: DETAILS.setUpOver, ...detailsOf(kind) }
    })
  }, async request => {
    checkAudience(services, request, (kind.setUp ?? kind).acr, (request.body as ConfirmBody).audience)
    refuseUnoffered(services, kind, request)
    const claim = randomUUID()
    try {
      return await confirm(request, claim)
    } catch (error) {
      // Nothing was spent: the same code is good at once, not only when the claim has ended.
      if (error instanceof UnavailableError) await Promise.allSettled([releaseClaim(db, { ...request.storedUser, claim })])
      throw error
    }
  })

  async function confirm (request: FastifyRequest, claim: string): Promise<object> {
    const { caller } = request
    const { factorId, audience } = request.body as ConfirmBody
    const by = byOf(request)
    const setId = randomUUID()
    let made: RecoverySet | undefined

    for (let attempt = 1; attempt <= TRIES; attempt++) {
      const { storedUser: user } = request
      const { tenant, userId, epoch, revision } = user
      const ofKind = { tenant, userId, kind: kind.kind }
      const now = clock()
      const rule = await findCodeRule(user)
      const { pending, isFirst } = decide(request, factorId, rule === 'required', now)
      const proof = await prove(request, pending, now)
      const refuse = async (near: object | null): Promise<never> => {
        refuseThrottled(
          await forCaller(request, () => settlement.refuse(db, { ...ofKind, weight: 1, limits, pendingId: factorId, near, by }))
        )
        throw problemOf(kind, 'code_refused')
      }
      if (proof.outcome === 'refused') return await refuse(proof.near)
      const claimed = await settleClaimed(db, { ...ofKind, isThrottled, factorId, claim })
      refuseThrottled(claimed)
      if (claimed.outcome !== 'claimed') throw problemOf(kind, 'code_refused')
      const codes = isFirst
        ? made ??= await createRecoverySet(text => hasher.hash(text, request.budget.beginBy), secrets.peppers, { tenant, userId })
        : null
      const { counter, credential = null, name } = proof
      const label = pending.label ?? nextLabel(user.factors, name ?? kind.noun, name ?? undefined)
      const kept = replaceSecret(pending, proof, user)
      const authentication = confirmedAuthentication(caller, kind, factorId, now)
      const confirmation = {
        ...ofKind,
        isThrottled,
        ...kept,
        epoch,
        revision,
        factorId,
        claim,
        label,
        counter,
        credential,
        setId,
        codes: codes?.hashed ?? null,
        rule,
        authentication: remembered(services, user, caller, authentication),
        by
      }
      const result = await forCaller(request, () => settleConfirmed(db, confirmation))
      refuseThrottled(result)
      if (result.outcome === 'confirmed') {
        const token = issueSettled(services, caller, user, authentication, result, { audience })
        return { factorId, recoveryCodes: codes?.shown ?? null, ...token, ...kind.view({ ...pending, counter }, clock()) }
      }
      if (result.outcome === 'known') await refuse({ cause: 'known' })
      if (result.outcome !== 'stale') throw problemOf(kind, 'code_refused')
      await guard.refresh(request)
    }
    throw new UnavailableError('the factors of this user changed again and again')
  }

  /** What remains is whether it is proved. */
  function decide (
    request: FastifyRequest,
    factorId: string,
    needsCode: boolean,
    now: Date
  ): Extract<ConfirmDecision, { outcome: 'prove' }> {
    const decision = decideConfirm(wholeUser(request), request.caller, rules, factorId, needsCode, now, assurance)
    refuseThrottled(decision)
    if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
    if (decision.outcome === 'not_found') throw new Problem('not_found', { detail: DETAILS.setUpOver })
    if (decision.outcome === 'spent') throw problemOf(kind, 'code_refused')
    if (decision.outcome !== 'prove') throw new Problem(decision.outcome)
    return decision
  }

  /** What the confirmation itself has brought, sealed as the pending factor was; else that stays as it is. */
  function replaceSecret (
    pending: Pending,
    { secret }: { secret?: Buffer },
    { tenant, userId }: User
  ): Sealed | { sealed: null, keyId: null } {
    if (secret === undefined) return { sealed: null, keyId: null }
    const sealed = seal(secrets.sealing, { ...pending, tenant, userId }, secret)
    secret.fill(0)
    return sealed
  }

  async function prove (request: FastifyRequest, pending: Pending, now: Date): Promise<Confirmed> {
    try {
      return await kind.confirm(request.storedUser, pending, request.body, {
        now,
        ring: secrets.sealing,
        config,
        session: sessionKey(request.caller)
      })
    } catch (cause) {
      await recordUnreadable(db, request.storedUser, byOf(request), kind.kind, { factorId: pending.factorId, keyId: pending.keyId })
      throw new UnavailableError('a sealed secret does not open', { cause })
    }
  }
}
