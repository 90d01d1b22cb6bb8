import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { byOf } from '../guard.ts'
import { operation } from '../http/openapi.ts'
import { forCaller } from '../http/plugins/budget.ts'
import { Problem } from '../http/problem.ts'
import type { Services } from '../services.ts'
import { WebhookEventParams, WEBHOOK_SCHEMAS, UndeliveredQuery } from './schema.ts'
import { findUndelivered, settleRetried, type UndeliveredRow } from './store.ts'

const PAGE = 50

export function registerWebhooks (app: FastifyInstance, { db, guard }: Services): void {
  for (const schema of WEBHOOK_SCHEMAS) app.addSchema(schema)

  app.get('/admin/notices', {
    onRequest: guard.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'listUndeliveredWebhookEvents',
      tag: 'Webhooks',
      summary: 'List webhook events that were not delivered, newest first',
      description:
        'While all is well, the list is empty or has events of the last second. They are kept for thirty days. ' +
        'Needs the role `mfa:admin` or `mfa:auditor`, and a fresh MFA token. A machine with `mfa:auditor` needs no MFA.',
      querystring: UndeliveredQuery,
      answers: { 200: { schema: Type.Ref('UndeliveredPage'), description: 'A page, and the cursor of the next one.' } },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async request => {
    const { cursor, limit } = request.query as UndeliveredQuery
    const size = Number(limit ?? PAGE)
    const found = await findUndelivered(db, request.caller.tenant, cursor, size + 1)
    const items = found.slice(0, size)
    return { items, nextCursor: found.length > size ? (items.at(-1) as UndeliveredRow).cursor : null }
  })

  app.post('/admin/notices/:id/retry', {
    onRequest: guard.admin(['mfa:admin']),
    schema: operation({
      id: 'retryWebhookEvent',
      tag: 'Webhooks',
      summary: 'Retry a webhook event',
      description:
        'Tries at once, and for another day. Later events of the same user that still wait come after it. ' +
        'Needs the role `mfa:admin` and a fresh MFA token.',
      params: WebhookEventParams,
      body: Type.Object({}, { additionalProperties: false }),
      answers: { 204: { description: 'It will be tried now.' } },
      ifUnknown: 'Look at GET /admin/notices, or repeat the call: that does no harm.',
      errors: ['step_up_required', 'not_enrolled', 'not_found']
    })
  }, async (request, reply) => {
    const { id } = request.params as WebhookEventParams
    const { outcome } = await forCaller(request, () => settleRetried(db, request.caller.tenant, id, byOf(request)))
    if (outcome === 'gone') throw new Problem('not_found')
    return reply.code(204).send()
  })
}
