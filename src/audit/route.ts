import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { asksForLines, NDJSON, sendLines } from '../http/ndjson.ts'
import { operation } from '../http/openapi.ts'
import { readTime } from '../http/time.ts'
import type { Database } from '../platform/db/client.ts'
import type { Services } from '../services.ts'
import { auditEventExample, type AuditQuery, auditQuery, auditSchemas } from './schema.ts'
import { type EventRow, findEvents } from './store.ts'
import { verifyTenant } from './verify.sql.ts'

const PAGE = 50

export function registerAudit (app: FastifyInstance, services: Services): void {
  for (const schema of auditSchemas(services.kinds.all)) app.addSchema(schema)
  registerEvents(app, services)
  registerVerify(app, services)
}

function registerEvents (app: FastifyInstance, { db, guard, kinds: { all: kinds, names: [kind] } }: Services): void {
  app.get('/admin/audit', {
    onRequest: guard.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'listAuditEvents',
      tag: 'Audit',
      summary: 'What happened in the tenant, newest first',
      description:
        'Filters are combined (AND). Results are paged, 50 by default. Ask for `Accept: application/x-ndjson` to stream everything, ' +
        'one per line; then `limit` caps the total. Needs the role `mfa:admin` or `mfa:auditor`, and a fresh MFA token. ' +
        'A machine with `mfa:auditor` needs no MFA.',
      querystring: auditQuery(kinds),
      answers: {
        200: {
          schema: Type.Ref('AuditPage'),
          description: 'A page, and the cursor of the next one.',
          contentTypes: {
            [NDJSON]: {
              schema: Type.String({
                description: 'An `AuditEvent` on each line',
                examples: [`${JSON.stringify(auditEventExample(kind as string))}\n`]
              })
            }
          }
        }
      },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async (request, reply) => {
    const { from, to, cursor, limit, ...names } = request.query as AuditQuery
    const filter = {
      ...names,
      tenant: request.caller.tenant,
      from: from === undefined ? undefined : readTime('querystring.from', from),
      to: to === undefined ? undefined : readTime('querystring.to', to)
    }
    if (asksForLines(request)) {
      return sendLines<EventRow>(reply, {
        find: (after, size) => findEvents(db, filter, after, size),
        cursorOf: row => row.cursor,
        toLine: ({ cursor: _, ...event }) => event,
        cursor,
        limit: limit === undefined ? undefined : Number(limit)
      })
    }
    const size = Number(limit ?? PAGE)
    const found = await findEvents(db, filter, cursor, size + 1)
    const items = found.slice(0, size)
    return { items, nextCursor: found.length > size ? (items.at(-1) as EventRow).cursor : null }
  })
}

function registerVerify (app: FastifyInstance, { db, guard, memory, secrets }: Services): void {
  app.get('/admin/audit/verify', {
    onRequest: guard.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'verifyAudit',
      tag: 'Audit',
      summary: 'Check that the audit was not changed',
      description:
        "Computes the tenant's hash chain again and compares it with the signed checkpoints, and with the newest one that this replica " +
        'saw. `brokenAt` is the first event that was changed, moved, removed or inserted. It reads every event: about a hundred ' +
        'thousand in the time that a call may take, more are `unavailable`. For more, use `npm run audit:verify`. Needs the role ' +
        '`mfa:admin` or `mfa:auditor`, and a fresh MFA token. A machine with `mfa:auditor` needs no MFA.',
      answers: {
        200: {
          schema: Type.Ref('AuditVerdict'),
          description: 'The result. If it is not `ok`, `brokenAt` or `waitingSince` says where or since when.'
        }
      },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async ({ caller: { tenant }, budget }) => {
    const { broken, ...verdict } = await verifyTenant(whileInTime(db, budget), tenant, secrets.signing, memory.newest(tenant))
    return { ok: broken === null && verdict.waitingSince === undefined, ...verdict, ...(broken !== null && { brokenAt: broken }) }
  })
}

/** Reads no further once its reader has gone. */
const whileInTime = (db: Database, budget: FastifyRequest['budget']): Database => ({
  ...db,
  reports: async (...statement) => {
    budget.check()
    return await db.reports(...statement)
  }
})
