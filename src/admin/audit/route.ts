import { Readable } from 'node:stream'
import { Type } from 'typebox'
import type { FastifyInstance } from 'fastify'
import { verifyTenant } from '../../db/audit-verify.ts'
import type { Database } from '../../db/client.ts'
import { operation } from '../../http/openapi.ts'
import { readTime } from '../../http/time.ts'
import type { Services } from '../../services.ts'
import { AUDIT_SCHEMAS, auditEventExample, AuditQuery } from './schema.ts'
import { type EventFilter, type EventRow, findEvents } from './store.ts'

const PAGE = 50
/** Rows of an export that are in memory at a time. */
const EXPORT_PAGE = 1000

export function registerAudit (app: FastifyInstance, services: Services): void {
  for (const schema of AUDIT_SCHEMAS) app.addSchema(schema)
  registerEvents(app, services)
  registerVerify(app, services)
}

function registerEvents (app: FastifyInstance, { db, gate }: Services): void {
  app.get('/admin/audit', {
    onRequest: gate.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'listAuditEvents',
      tag: 'Administration',
      summary: 'What happened in the tenant, newest first',
      description: 'In pages, or with `Accept: application/x-ndjson` all at once, one event a line: then `limit` counts for the whole answer, and without it all come. Roles `mfa:admin` and `mfa:auditor`, with an MFA token of the last 15 minutes; a machine with `mfa:auditor` needs none.',
      querystring: AuditQuery,
      answers: {
        200: {
          schema: Type.Ref('AuditPage'),
          description: 'A page, and where the next one begins.',
          contentTypes: { 'application/x-ndjson': { schema: Type.String({ description: 'An `AuditEvent` in each line', examples: [`${JSON.stringify(auditEventExample)}\n`] }) } }
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
    if (/(^|,)\s*application\/x-ndjson/.test(request.headers.accept ?? '')) {
      const lines = exportEvents(db, filter, cursor, limit === undefined ? Infinity : Number(limit))
      return reply.type('application/x-ndjson; charset=utf-8').send(Readable.from(lines, { objectMode: false }))
    }
    const size = Number(limit ?? PAGE)
    const found = await findEvents(db, filter, cursor, size + 1)
    const items = found.slice(0, size)
    return { items, nextCursor: found.length > size ? (items.at(-1) as EventRow).cursor : null }
  })
}

function registerVerify (app: FastifyInstance, { db, gate, secrets }: Services): void {
  app.get('/admin/audit/verify', {
    onRequest: gate.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'verifyAudit',
      tag: 'Administration',
      summary: 'Is the audit what was written?',
      description: 'Computes the tenant\'s hash chain anew and holds it against the signed checkpoints: an event that was changed, moved, removed or put in is named, the first one. It reads every event, a million in about a minute: for more use `npm run audit:verify`. Roles `mfa:admin` and `mfa:auditor`, with an MFA token of the last 15 minutes; a machine with `mfa:auditor` needs none.',
      answers: { 200: { schema: Type.Ref('AuditVerdict'), description: 'The verdict; `brokenAt` where it is not `ok`.' } },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async ({ caller: { tenant } }) => {
    const { events, broken } = await verifyTenant(db, tenant, secrets.signing)
    return { ok: broken === null, events, ...(broken !== null && { brokenAt: broken }) }
  })
}

/** Reads a page when the one before has been taken: a slow client holds no more than that, and one that is gone ends it. */
async function * exportEvents (db: Database, filter: EventFilter, cursor: string | undefined, limit: number): AsyncGenerator<string> {
  for (let left = limit, after = cursor; left > 0;) {
    const size = Math.min(left, EXPORT_PAGE)
    const page = await findEvents(db, filter, after, size)
    yield page.map(line).join('')
    if (page.length < size) return
    left -= page.length
    after = (page.at(-1) as EventRow).cursor
  }
}

const line = ({ cursor: _, ...event }: EventRow): string => `${JSON.stringify(event)}\n`
