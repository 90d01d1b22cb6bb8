import { Type } from 'typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Policy as PolicyValue } from '../../core/policy.ts'
import { byOf } from '../../gate.ts'
import { operation } from '../../http/openapi.ts'
import { Problem } from '../../http/problem.ts'
import { type Services } from '../../services.ts'
import { IfMatch, Policy, PolicyChange } from './schema.ts'
import { findPolicy, settlePolicy } from './store.ts'

export function registerPolicy (app: FastifyInstance, { db, gate }: Services): void {
  app.addSchema(Policy)
  app.addSchema(PolicyChange)

  app.get('/admin/policy', {
    onRequest: gate.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'getPolicy',
      tag: 'Administration',
      summary: 'Who must have MFA',
      description: 'Roles `mfa:admin` and `mfa:auditor`, with an MFA token of the last 15 minutes; a machine with `mfa:auditor` needs none.',
      answers: { 200: { schema: Type.Ref('Policy'), description: 'The tenant\'s policy, with its `ETag`.' } },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async ({ caller: { tenant } }, reply) => answer(reply, await findPolicy(db, tenant)))

  app.put('/admin/policy', {
    onRequest: gate.admin(['mfa:admin']),
    schema: operation({
      id: 'setPolicy',
      tag: 'Administration',
      summary: 'Set who must have MFA',
      description: 'Fields that are left out stay. Counts on every replica with the next request. Role `mfa:admin`, with an MFA token of the last 15 minutes.',
      headers: IfMatch,
      body: Type.Ref('PolicyChange'),
      answers: { 200: { schema: Type.Ref('Policy'), description: 'The policy as it is now, with its `ETag`.' } },
      errors: ['step_up_required', 'not_enrolled', 'precondition_failed']
    })
  }, async (request, reply) => {
    const { tenant } = request.caller
    const result = await settlePolicy(db, tenant, expectedVersion(request.headers['if-match']), request.body as object, byOf(request))
    if (result.outcome === 'stale') throw new Problem('precondition_failed')
    return answer(reply, await findPolicy(db, tenant))
  })
}

/** The version that `If-Match` names (RFC 9110 §13.1.1); null for none or `*`. Anything else matches nothing. */
function expectedVersion (header: string | undefined): number | null {
  if (header === undefined || header === '*') return null
  const version = /^"(\d{1,9})"$/.exec(header)?.[1]
  if (version === undefined) throw new Problem('precondition_failed')
  return Number(version)
}

function answer (reply: FastifyReply, { enforcement, ssoRule, version, updatedAt, updatedBy }: PolicyValue): object {
  reply.header('etag', `"${version}"`)
  return { enforcement, groups: null, gracePeriodDays: 0, enforceFrom: null, ssoRule, version, updatedAt: updatedAt?.toISOString() ?? null, updatedBy, floor: null }
}
