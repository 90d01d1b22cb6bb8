import { randomUUID } from 'node:crypto'
import { Type } from 'typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { decideChange } from '../../core/assurance.ts'
import { type CodeOwner, digest, tagOf } from '../../core/recovery-code.ts'
import { createRecoverySet } from '../../core/recovery-set.ts'
import { unixSeconds } from '../../core/time.ts'
import { UnavailableError } from '../../core/unavailable.ts'
import { recordUnreadable } from '../../db/audit.ts'
import { settleUncharged } from '../../db/refusals.ts'
import { byOf, wholeUser } from '../../gate.ts'
import { forCaller } from '../../http/budget.ts'
import { refuseThrottled } from '../../http/throttled.ts'
import { accepts } from '../../http/accepts.ts'
import { operation } from '../../http/openapi.ts'
import { DETAILS, Problem } from '../../http/problem.ts'
import { assuranceSettings, checkAudience, issueSettled, remembered, type Services } from '../../services.ts'
import { decideRecover } from './decide.ts'
import { NOT_A_CODE, type RecoverRequest, RECOVERY_SCHEMAS } from './schema.ts'
import { recoverySheet } from './sheet.ts'
import { findBypass, findCode, releaseRenewal, settleAcknowledged, settleBypassed, settleRecovered, settleRenewalClaimed, settleReplaced, type StoredCode } from './store.ts'

export function registerRecovery (app: FastifyInstance, services: Services): void {
  for (const schema of RECOVERY_SCHEMAS) app.addSchema(schema)
  registerRecover(app, services)
  registerCodes(app, services)
}

function registerRecover (app: FastifyInstance, services: Services): void {
  const { clock, db, gate, hasher, secrets } = services

  app.post('/mfa/recovery', {
    onRequest: gate.user,
    config: { codeKind: 'recovery' },
    schema: operation({
      id: 'recover',
      tag: 'Recovery',
      summary: 'Prove the second factor with a recovery code, or a code of an administrator',
      description: 'Spends the code. The token says `mfa-recovery`: it may set up a new authenticator, remove old ones and make new codes, and opens no administration; a token from the code of an administrator may set up an authenticator alone. It ends the waits and the lock of the authenticators. Wrong codes cost neither waits nor a lock: a right one is never refused for their sake.',
      body: Type.Ref('RecoverRequest'),
      answers: { 200: { schema: Type.Ref('RecoverAnswer'), description: 'Accepted: the MFA token.' } },
      ifUnknown: 'Look at GET /mfa/status. If a recovery code less is `remaining`, this one is spent and its token lost: POST /mfa/token gives one where the session is remembered, and else another code does. The code of an administrator is spent where it is refused now.',
      errors: ['code_refused'],
      details: { code_refused: DETAILS.recoveryCode }
    })
  }, async request => {
    const { caller, storedUser: user } = request
    const { tenant, userId, epoch } = user
    const by = byOf(request)
    const { code, audience } = request.body as RecoverRequest
    checkAudience(services, audience)
    const decision = decideRecover(code)
    if (decision.outcome === 'malformed') throw new Problem('invalid_request', { errors: [{ field: 'code', message: NOT_A_CODE }] })
    const { kind } = decision
    const refusal = { detail: kind === 'bypass' ? DETAILS.bypassCode : DETAILS.recoveryCode }
    if (decision.outcome === 'mistyped') {
      await forCaller(request, () => settleUncharged(db, { tenant, userId, call: 'recovery', kind, cause: 'checksum', by }))
      throw new Problem('code_refused', refusal)
    }

    const { canonical, slot } = decision
    const stored = kind === 'bypass' ? await findBypass(db, tenant, userId) : await findCode(db, tenant, userId, slot)
    const pepper = stored === null ? undefined : secrets.peppers.keys.get(stored.pepperId)
    if (stored !== null && pepper === undefined) {
      await recordUnreadable(db, user, by, { pepperId: stored.pepperId }, 'recovery')
      throw new UnavailableError('a pepper is missing')
    }
    if (stored === null || !await isCode(stored, pepper as Buffer, user, canonical, request.budget.actBy)) {
      await forCaller(request, () => settleUncharged(db, { tenant, userId, call: 'recovery', kind, by }))
      throw new Problem('code_refused', refusal)
    }
    const act = { acr: 'mfa-recovery' as const, methods: ['recovery'], factorId: stored.id, authTime: unixSeconds(clock()), isBypass: kind === 'bypass' }
    const settling = { tenant, userId, epoch, slot, hash: stored.hash, act: remembered(services, user, caller, act), by }
    const result = await forCaller(request, () => kind === 'bypass' ? settleBypassed(db, settling) : settleRecovered(db, settling))
    if (result.outcome !== 'accepted') throw new Problem('code_refused', refusal)
    return { ...issueSettled(services, caller, user, act, result, audience), remaining: result.remaining as number }
  })

  /** The slow hash runs where the tag fits alone: a wrong code costs none, and so stands in nobody's way. */
  async function isCode ({ hash, tag }: StoredCode, pepper: Buffer, owner: CodeOwner, canonical: string, until: number): Promise<boolean> {
    return tagOf(pepper, owner, canonical) === tag && await hasher.compare(digest(pepper, owner, canonical), hash, until)
  }
}

function registerCodes (app: FastifyInstance, { config, clock, db, gate, hasher, secrets }: Services): void {
  const settings = assuranceSettings(config)

  app.get('/mfa/recovery', {
    onRequest: gate.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'getRecovery',
      tag: 'Recovery',
      summary: 'How many recovery codes are left',
      answers: { 200: { schema: Type.Ref('RecoveryStatus'), description: 'Counts and dates; never a code.' } },
      errors: ['not_enrolled'],
      details: { not_enrolled: DETAILS.noCodes }
    })
  }, async request => {
    const { recovery } = wholeUser(request)
    if (recovery === null) throw new Problem('not_enrolled', { detail: DETAILS.noCodes })
    const { total, remaining, generatedAt, acknowledgedAt } = recovery
    return { total, remaining, generatedAt: generatedAt.toISOString(), acknowledgedAt: acknowledgedAt?.toISOString() ?? null }
  })

  app.post('/mfa/recovery/codes', {
    onRequest: gate.user,
    schema: operation({
      id: 'replaceRecoveryCodes',
      tag: 'Recovery',
      summary: 'New recovery codes in place of all from before',
      description: 'Needs an MFA token of the last 15 minutes, not by the code of an administrator. Six times an hour, and one after the other. With `Accept: text/plain` the answer is a sheet to print or save.',
      body: Type.Object({}, { additionalProperties: false }),
      answers: {
        201: {
          schema: Type.Ref('NewRecoveryCodes'),
          description: 'The whole new set, shown now and never again.',
          contentTypes: { 'text/plain': { schema: Type.String({ examples: [recoverySheet('Headless MFA', 'alice', ['0K7M-2Q9R-WX4T-BN3C'], new Date(0))] }) } }
        }
      },
      ifUnknown: 'Look at GET /mfa/status. If `recoveryCodes.acknowledgedAt` is null, the codes of before may be void, and nobody has seen the new ones: make them anew.',
      errors: ['not_enrolled', 'step_up_required', 'too_many_attempts']
    })
  }, async (request, reply) => {
    const { caller, storedUser: user } = request
    const { tenant, userId, epoch } = user
    if (user.factors.length === 0) throw new Problem('not_enrolled')
    const stepUp = decideChange(caller, clock(), settings)
    if (stepUp !== null) throw new Problem('step_up_required', stepUp)
    const claimed = await settleRenewalClaimed(db, { tenant, userId, epoch })
    refuseThrottled(claimed)
    if (claimed.outcome !== 'claimed') throw new Problem('not_enrolled')
    const shown = await renew(request)
    reply.code(201)
    if (!accepts(request, 'text/plain')) return { recoveryCodes: shown }
    return reply.type('text/plain; charset=utf-8').send(recoverySheet(config.TOTP_ISSUER_NAME, user.account, shown, clock()))
  })

  /** The new codes, to be shown once. */
  async function renew (request: FastifyRequest): Promise<string[]> {
    const { tenant, userId, epoch } = request.storedUser
    try {
      const { shown, hashed } = await createRecoverySet(text => hasher.hashLast(text, request.budget.actBy), secrets.peppers, { tenant, userId })
      const result = await forCaller(request, () => settleReplaced(db, { tenant, userId, epoch, setId: randomUUID(), codes: hashed, by: byOf(request) }))
      if (result.outcome !== 'replaced') throw new Problem('not_enrolled')
      return shown
    } catch (error) {
      // It may be tried again at once, as often as an hour allows.
      await Promise.allSettled([releaseRenewal(db, tenant, userId)])
      throw error
    }
  }

  app.post('/mfa/recovery/acknowledge', {
    onRequest: gate.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'acknowledgeRecoveryCodes',
      tag: 'Recovery',
      summary: 'The user says that the codes are saved',
      description: 'Until then a front end may offer new ones.',
      body: Type.Object({}, { additionalProperties: false }),
      answers: { 204: { description: 'Noted.' } },
      ifUnknown: 'Look at `acknowledgedAt` of GET /mfa/recovery, or repeat it: that does no harm.',
      errors: ['not_enrolled'],
      details: { not_enrolled: DETAILS.noCodes }
    })
  }, async (request, reply) => {
    const { tenant, userId, recovery } = wholeUser(request)
    if (recovery === null) throw new Problem('not_enrolled', { detail: DETAILS.noCodes })
    await forCaller(request, () => settleAcknowledged(db, tenant, userId, recovery.id))
    return reply.code(204).send()
  })
}
