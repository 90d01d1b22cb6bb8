import { Type } from 'typebox'
import type { FastifyInstance } from 'fastify'
import { byOf } from '../../gate.ts'
import { forCaller } from '../../http/budget.ts'
import { operation } from '../../http/openapi.ts'
import { Problem } from '../../http/problem.ts'
import type { Services } from '../../services.ts'
import { NoticeParams, NOTICES_SCHEMAS, NoticesQuery } from './schema.ts'
import { findUndelivered, settleRetried, type UndeliveredRow } from './store.ts'

const PAGE = 50

export function registerNotices (app: FastifyInstance, { db, gate }: Services): void {
  for (const schema of NOTICES_SCHEMAS) app.addSchema(schema)

  app.get('/admin/notices', {
    onRequest: gate.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'listUndeliveredNotices',
      tag: 'Notices',
      summary: 'What could not be delivered to the receiver, newest first',
      description: 'Empty, or with what happened in the last second, while all is well. Kept for thirty days. Roles `mfa:admin` and `mfa:auditor`, with an MFA token of the last 15 minutes; a machine with `mfa:auditor` needs none.',
      querystring: NoticesQuery,
      answers: { 200: { schema: Type.Ref('NoticePage'), description: 'A page, and where the next one begins.' } },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async request => {
    const { cursor, limit } = request.query as NoticesQuery
    const size = Number(limit ?? PAGE)
    const found = await findUndelivered(db, request.caller.tenant, cursor, size + 1)
    const items = found.slice(0, size)
    return { items, nextCursor: found.length > size ? (items.at(-1) as UndeliveredRow).cursor : null }
  })

  app.post('/admin/notices/:id/retry', {
    onRequest: gate.admin(['mfa:admin']),
    schema: operation({
      id: 'retryNotice',
      tag: 'Notices',
      summary: 'Try to deliver a notice again',
      description: 'At once, and for another day; before whatever of the same user came later and still waits. Role `mfa:admin`, with an MFA token of the last 15 minutes.',
      params: NoticeParams,
      body: Type.Object({}, { additionalProperties: false }),
      answers: { 204: { description: 'It is due.' } },
      ifUnknown: 'Look at GET /admin/notices, or repeat it: that does no harm.',
      errors: ['step_up_required', 'not_enrolled', 'not_found']
    })
  }, async (request, reply) => {
    const { id } = request.params as NoticeParams
    const { outcome } = await forCaller(request, () => settleRetried(db, request.caller.tenant, id, byOf(request)))
    if (outcome === 'gone') throw new Problem('not_found')
    return reply.code(204).send()
  })
}
