import type { FastifyInstance, FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { byOf } from '../guard.ts'
import { operation } from '../http/openapi.ts'
import { forCaller } from '../http/plugins/budget.ts'
import { Problem } from '../http/problem.ts'
import { decisionSettings, type Services } from '../services.ts'
import { readChange, refuseBelow } from './change.ts'
import type { Floor } from './floor.ts'
import { findPolicy, toPolicy } from './policy.sql.ts'
import type { Policy as PolicyValue } from './policy.ts'
import { IfMatch, POLICY_SCHEMAS, type PolicyChange } from './schema.ts'
import { settlePolicy } from './store.ts'

export function registerPolicy (app: FastifyInstance, { config, db, guard }: Services): void {
  for (const schema of POLICY_SCHEMAS) app.addSchema(schema)
  const { floor } = decisionSettings(config)

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
        'and a fresh MFA token.',
      headers: IfMatch,
      body: Type.Ref('PolicyChange'),
      answers: { 200: { schema: Type.Ref('Policy'), description: 'The new policy, with its `ETag`.' } },
      ifUnknown: 'Look at GET /admin/policy: if it was done, the `version` is higher.',
      errors: ['step_up_required', 'not_enrolled', 'required_by_policy', 'precondition_failed']
    })
  }, async (request, reply) => {
    const change = readChange(request.body as PolicyChange)
    refuseBelow(change, floor)
    const result = await forCaller(
      request,
      () =>
        settlePolicy(db, {
          tenant: request.caller.tenant,
          expected: expectedVersion(request.headers['if-match']),
          change,
          reason: null,
          by: byOf(request)
        })
    )
    if (result.outcome === 'stale') throw new Problem('precondition_failed')
    return answer(reply, toPolicy(result.policy), floor)
  })
}

/** The version that `If-Match` names (RFC 9110 §13.1.1); null for none or `*`. Anything else matches nothing. */
function expectedVersion (header: string | undefined): number | null {
  if (header === undefined || header === '*') return null
  const version = /^"(\d{1,9})"$/.exec(header)?.[1]
  if (version === undefined) throw new Problem('precondition_failed')
  return Number(version)
}

function answer (reply: FastifyReply, { enforceFrom, updatedAt, ...policy }: PolicyValue, floor: Floor | null): object {
  reply.header('etag', `"${policy.version}"`)
  return {
    ...policy,
    enforceFrom: enforceFrom?.toISOString() ?? null,
    updatedAt: updatedAt?.toISOString() ?? null,
    floor: floor === null ? null : { ...floor, ...(floor.enforceFrom instanceof Date && { enforceFrom: floor.enforceFrom.toISOString() }) }
  }
}
