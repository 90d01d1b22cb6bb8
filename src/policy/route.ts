import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { byOf } from '../guard.ts'
import { operation } from '../http/openapi.ts'
import { forCaller } from '../http/plugins/budget.ts'
import { DETAILS, Problem } from '../http/problem.ts'
import { UnavailableError } from '../platform/unavailable.ts'
import { assuranceSettings, type Services } from '../services.ts'
import type { AssuranceSettings } from '../sessions/assurance.ts'
import { readChange, refuseBelow, refuseUnprovable } from './change.ts'
import { phrSince } from './decide.ts'
import type { Floor, PolicyFields } from './floor.ts'
import { findPolicy, toPolicy } from './policy.sql.ts'
import type { Policy as PolicyValue } from './policy.ts'
import { IfMatch, POLICY_SCHEMAS, type PolicyChange } from './schema.ts'
import { settlePolicy } from './store.ts'

/** How often a change is decided anew when another one came between. */
const TRIES = 10

export function registerPolicy (app: FastifyInstance, services: Services): void {
  for (const schema of POLICY_SCHEMAS) app.addSchema(schema)
  const { config, clock, db, guard, kinds } = services
  const settings = assuranceSettings(config, kinds)
  const { floor } = settings

  app.get('/admin/policy', {
    onRequest: guard.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'getPolicy',
      tag: 'Policy',
      summary: 'Read who must have MFA',
      description: 'Needs the role `mfa:admin` or `mfa:auditor`, and a fresh MFA token. A machine with `mfa:auditor` needs no MFA.',
      answers: { 200: { schema: Type.Ref('Policy'), description: 'The tenant\'s policy, with its `ETag`.' } },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async ({ caller: { tenant } }, reply) => answer(reply, await findPolicy(db, tenant), floor))

  app.put('/admin/policy', {
    onRequest: guard.admin(['mfa:admin']),
    schema: operation({
      id: 'setPolicy',
      tag: 'Policy',
      summary: 'Set who must have MFA',
      description:
        "Fields that you leave out stay as they are. The change counts on every replica with the next request. You can't go below the " +
        "deployment's `floor`. Users with an authenticator are asked for a code even if MFA is optional. Needs the role `mfa:admin` " +
        'and a fresh MFA token. If by the change you need a passkey, now or later, the token must be from a passkey.',
      headers: IfMatch,
      body: Type.Ref('PolicyChange'),
      answers: { 200: { schema: Type.Ref('Policy'), description: 'The new policy, with its `ETag`.' } },
      ifUnknown: 'Look at GET /admin/policy: if it was done, the `version` is higher.',
      errors: ['step_up_required', 'not_enrolled', 'required_by_policy', 'not_offered', 'precondition_failed']
    })
  }, async (request, reply) => {
    const { tenant } = request.caller
    const change = readChange(request.body as PolicyChange)
    refuseBelow(change, floor)
    const wanted = expectedVersion(request.headers['if-match'])
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      const { policy } = request.storedUser
      if (wanted !== null && wanted !== policy.version) throw new Problem('precondition_failed')
      refuseUnprovable({ ...policy, ...change }, services, tenant)
      refuseSelfLockOut(request, change, clock(), settings)
      const result = await forCaller(
        request,
        () => settlePolicy(db, { tenant, expected: policy.version, change, reason: null, by: byOf(request) })
      )
      if (result.outcome === 'changed') return answer(reply, toPolicy(result.policy), floor)
      await guard.refresh(request)
    }
    throw new UnavailableError('the policy changed again and again')
  })
}

/**
 * A change by which an administrator needs a passkey, now or later, takes the proof of one: so they do not lock themselves out.
 * @throws Problem
 */
function refuseSelfLockOut (
  { caller, storedUser: user }: FastifyRequest,
  change: Partial<PolicyFields>,
  now: Date,
  settings: AssuranceSettings
): void {
  const before = phrSince(user, now, settings)
  const after = phrSince(user, now, settings, { ...user.policy, ...change })
  if (after === null || (before !== null && before <= after) || caller.mfa?.acr === 'phr') return
  if (!settings.canProve('phr', user)) throw new Problem('not_enrolled', { detail: DETAILS.noPasskey })
  throw new Problem('step_up_required', { action: 'verify', maxAge: settings.mfaFreshSeconds, acr: 'phr', detail: DETAILS.phr })
}

/** The version that `If-Match` names (RFC 9110 §13.1.1); null for none or `*`. Anything else matches nothing. */
function expectedVersion (header: string | undefined): number | null {
  if (header === undefined || header === '*') return null
  const version = /^"(\d{1,9})"$/.exec(header)?.[1]
  if (version === undefined) throw new Problem('precondition_failed')
  return Number(version)
}

function answer (reply: FastifyReply, policy: PolicyValue, floor: Floor | null): object {
  reply.header('etag', `"${policy.version}"`)
  return { ...withTexts(policy), floor: floor === null ? null : withTexts(floor) }
}

/** With times as texts. */
const withTexts = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value instanceof Date ? value.toISOString() : value]))
