import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { recordUnreadable } from '../../audit/record.sql.ts'
import { byOf, wholeUser } from '../../guard.ts'
import { accepts } from '../../http/accepts.ts'
import { operation } from '../../http/openapi.ts'
import { forCaller } from '../../http/plugins/budget.ts'
import { DETAILS, Problem } from '../../http/problem.ts'
import { unixSeconds } from '../../platform/time.ts'
import { UnavailableError } from '../../platform/unavailable.ts'
import { assuranceSettings, type Services } from '../../services.ts'
import { decideChange } from '../../sessions/assurance.ts'
import { checkAudience, issueSettled, remembered } from '../../sessions/issue.ts'
import { recoveryCodes } from '../recovery-codes/kind.ts'
import { type CodeOwner, digest, tagOf } from '../recovery-codes/recovery-code.ts'
import { createRecoverySet } from '../recovery-codes/recovery-set.ts'
import { settleUncharged } from '../refusals.sql.ts'
import { refuseThrottled } from '../throttle/problem.ts'
import { decideRecover } from './decide.ts'
import { NOT_A_CODE, type RecoverRequest, RECOVERY_SCHEMAS } from './schema.ts'
import { recoverySheet } from './sheet.ts'
import {
  findBypass,
  findCode,
  releaseRenewal,
  settleAcknowledged,
  settleBypassed,
  settleRecovered,
  settleRenewalClaimed,
  settleReplaced,
  type StoredCode
} from './store.ts'

export function registerRecovery (app: FastifyInstance, services: Services): void {
  for (const schema of RECOVERY_SCHEMAS) app.addSchema(schema)
  registerRecover(app, services)
  registerCodes(app, services)
}

function registerRecover (app: FastifyInstance, services: Services): void {
  const { clock, db, guard, hasher, kinds, secrets } = services

  app.post('/mfa/recovery', {
    onRequest: guard.user,
    config: { codeKind: recoveryCodes.kind },
    schema: operation({
      id: 'recover',
      tag: 'Recovery',
      summary: 'Prove the second factor with a recovery code, or a code from an administrator',
      description:
        "The code is used up. The token's `acr` is `mfa-recovery`. With it the user can set up a new authenticator, remove old ones " +
        "and make new codes, but not administer. With a token from an administrator's code they can only set up an authenticator. The " +
        'call ends the waits and the lock of the authenticators. Wrong codes cause no waits and no lock here: a right one is never ' +
        'refused because of them.',
      body: Type.Ref('RecoverRequest'),
      answers: { 200: { schema: Type.Ref('RecoverAnswer'), description: 'Accepted. Has the MFA token.' } },
      ifUnknown:
        'Look at GET /mfa/status. If one recovery code less is `remaining`, this one is used up and its token lost. POST /mfa/token ' +
        "gives a token if the session is remembered; otherwise use another code. An administrator's code is used up if it is refused " +
        'now.',
      errors: ['code_refused', 'step_up_required'],
      details: { code_refused: DETAILS.recoveryCode }
    })
  }, async request => {
    const { caller, storedUser: user } = request
    const { tenant, userId, epoch } = user
    const by = byOf(request)
    const { code, audience } = request.body as RecoverRequest
    checkAudience(services, request, recoveryCodes.acr, audience)
    const decision = decideRecover(code)
    if (decision.outcome === 'malformed') throw new Problem('invalid_request', { errors: [{ field: 'code', message: NOT_A_CODE }] })
    const { kind } = decision
    const refusal = { detail: kind === 'bypass' ? DETAILS.bypassCode : DETAILS.recoveryCode }
    if (decision.outcome === 'mistyped') {
      await forCaller(request, () => settleUncharged(db, { tenant, userId, call: recoveryCodes.kind, kind, cause: 'checksum', by }))
      throw new Problem('code_refused', refusal)
    }

    const { canonical, slot } = decision
    const stored = kind === 'bypass' ? await findBypass(db, tenant, userId) : await findCode(db, tenant, userId, slot)
    const pepper = stored === null ? undefined : secrets.peppers.keys.get(stored.pepperId)
    if (stored !== null && pepper === undefined) {
      await recordUnreadable(db, user, by, recoveryCodes.kind, { pepperId: stored.pepperId })
      throw new UnavailableError('a pepper is missing')
    }
    if (stored === null || !await isCode(stored, pepper as Buffer, user, canonical, request.budget.beginBy)) {
      await forCaller(request, () => settleUncharged(db, { tenant, userId, call: recoveryCodes.kind, kind, by }))
      throw new Problem('code_refused', refusal)
    }
    const authentication = {
      acr: recoveryCodes.acr,
      methods: [...recoveryCodes.amr],
      factorId: stored.id,
      authTime: unixSeconds(clock()),
      isBypass: kind === 'bypass'
    }
    const settling = {
      tenant,
      userId,
      epoch,
      slot,
      hash: stored.hash,
      kinds: kinds.throttled,
      authentication: remembered(services, user, caller, authentication),
      by
    }
    const result = await forCaller(request, () => kind === 'bypass' ? settleBypassed(db, settling) : settleRecovered(db, settling))
    if (result.outcome !== 'accepted') throw new Problem('code_refused', refusal)
    return { ...issueSettled(services, caller, user, authentication, result, { audience }), remaining: result.remaining }
  })

  /** The slow hash runs where the tag fits alone: a wrong code costs none, and so holds up no one. */
  async function isCode ({ hash, tag }: StoredCode, pepper: Buffer, owner: CodeOwner, canonical: string, until: number): Promise<boolean> {
    return tagOf(pepper, owner, canonical) === tag && await hasher.compare(digest(pepper, owner, canonical), hash, until)
  }
}

function registerCodes (app: FastifyInstance, { config, clock, db, guard, hasher, kinds, secrets }: Services): void {
  const settings = assuranceSettings(config, kinds)

  app.get('/mfa/recovery', {
    onRequest: guard.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'getRecovery',
      tag: 'Recovery',
      summary: 'Read how many recovery codes are left',
      answers: { 200: { schema: Type.Ref('RecoveryStatus'), description: 'Counts and dates. Never a code.' } },
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
    onRequest: guard.user,
    schema: operation({
      id: 'replaceRecoveryCodes',
      tag: 'Recovery',
      summary: 'Make new recovery codes',
      description:
        "The old ones stop working. Needs a fresh MFA token that is not from an administrator's code. At most six times an hour, one " +
        'at a time. With `Accept: text/plain` the answer is a sheet to print or save.',
      body: Type.Object({}, { additionalProperties: false }),
      answers: {
        201: {
          schema: Type.Ref('NewRecoveryCodes'),
          description: 'The whole new set. It is shown only now.',
          contentTypes: {
            'text/plain': {
              schema: Type.String({ examples: [recoverySheet('Headless MFA', 'alice', ['0K7M-2Q9R-WX4T-BN3C'], new Date(0))] })
            }
          }
        }
      },
      ifUnknown:
        'Look at GET /mfa/status. If `recoveryCodes.acknowledgedAt` is null, the old codes may no longer work, and the new ones are ' +
        'lost: make new ones.',
      errors: ['not_enrolled', 'step_up_required', 'too_many_attempts']
    })
  }, async (request, reply) => {
    const { caller, storedUser: user } = request
    const { tenant, userId, epoch } = user
    if (user.factors.length === 0) throw new Problem('not_enrolled')
    const stepUp = decideChange(user, caller, clock(), settings)
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
      const { shown, hashed } = await createRecoverySet(text => hasher.hashLast(text, request.budget.beginBy), secrets.peppers, {
        tenant,
        userId
      })
      const result = await forCaller(
        request,
        () => settleReplaced(db, { tenant, userId, epoch, setId: randomUUID(), codes: hashed, by: byOf(request) })
      )
      if (result.outcome !== 'replaced') throw new Problem('not_enrolled')
      return shown
    } catch (error) {
      // It may be tried again at once, as often as an hour allows.
      await Promise.allSettled([releaseRenewal(db, tenant, userId)])
      throw error
    }
  }

  app.post('/mfa/recovery/acknowledge', {
    onRequest: guard.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'acknowledgeRecoveryCodes',
      tag: 'Recovery',
      summary: 'Say that the user has saved the codes',
      description: 'Until then, offer new ones.',
      body: Type.Object({}, { additionalProperties: false }),
      answers: { 204: { description: 'Noted.' } },
      ifUnknown: 'Look at `acknowledgedAt` of GET /mfa/recovery, or repeat the call: that does no harm.',
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
