import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { relyingPartyOf } from '../../../factors/passkeys/relying-party.ts'
import { asksForLines, NDJSON, sendLines } from '../../../http/ndjson.ts'
import { operation } from '../../../http/openapi.ts'
import { readTime } from '../../../http/time.ts'
import { decide, type DecisionSettings, type DecisionInput, usualSession } from '../../../policy/decide.ts'
import { rulesOf } from '../../../policy/floor.ts'
import { findPolicy } from '../../../policy/policy.sql.ts'
import type { Policy } from '../../../policy/policy.ts'
import { decisionSettings, type Services } from '../../../services.ts'
import { accountsOf, groupsOf } from '../../sources.ts'
import { viewExemption } from '../view.ts'
import { LIST_SCHEMAS, userSummaryExample, type UsersQuery, usersQuery } from './schema.ts'
import { findUsers, type UserRow } from './store.ts'

const PAGE = 50

export function registerUserList (app: FastifyInstance, { config, db, clock, guard, kinds }: Services): void {
  for (const schema of LIST_SCHEMAS) app.addSchema(schema)
  const settings = decisionSettings(config, kinds)

  app.get('/admin/users', {
    onRequest: guard.admin(['mfa:admin', 'mfa:support', 'mfa:auditor']),
    schema: operation({
      id: 'listUsers',
      tag: 'Users',
      summary: 'List the users of the tenant, with what MFA asks of them',
      description:
        'Filters are combined (AND). Results come in a stable order. Results are paged, 50 by default. ' +
        'Ask for `Accept: application/x-ndjson` to stream everything, one per line; then `limit` caps the total. ' +
        'Needs the role `mfa:admin`, `mfa:auditor` or `mfa:support`, and a fresh MFA token. `mfa:support` sees the users who never had ' +
        'an `mfa:` role. A machine with `mfa:auditor` needs no MFA.',
      querystring: usersQuery(kinds.names),
      answers: {
        200: {
          schema: Type.Ref('UserPage'),
          description: 'A page, and the cursor of the next one. Never a secret.',
          contentTypes: {
            [NDJSON]: {
              schema: Type.String({ description: 'A `UserSummary` on each line', examples: [`${JSON.stringify(userSummaryExample)}\n`] })
            }
          }
        }
      },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async (request, reply) => {
    const { cursor, limit, deadlineBefore, ...names } = request.query as UsersQuery
    const { tenant } = request.caller
    const filter = {
      ...names,
      tenant,
      deadlineBefore: deadlineBefore === undefined ? undefined : readTime('querystring.deadlineBefore', deadlineBefore),
      areAdministratorsHidden: isForSupport(request)
    }
    const policy = await findPolicy(db, tenant)
    const judging = {
      rules: rulesOf(policy, settings.floor),
      sources: [...settings.issuers],
      rpId: relyingPartyOf(config.PASSKEYS, tenant)?.rpId
    }
    const find = (after: string | undefined, size: number): Promise<UserRow[]> => findUsers(db, filter, judging, after, size)
    const view = (row: UserRow): object => viewSummary(row, tenant, policy, clock(), settings)
    if (asksForLines(request)) {
      return sendLines(reply, {
        find,
        cursorOf: ({ id }) => id,
        toLine: view,
        cursor,
        limit: limit === undefined ? undefined : Number(limit)
      })
    }
    const size = Number(limit ?? PAGE)
    const found = await find(cursor, size + 1)
    return { items: found.slice(0, size).map(view), nextCursor: found.length > size ? found[size - 1]?.id : null }
  })
}

/** A caller with no more than that role sees no administrators. */
const isForSupport = ({ caller }: FastifyRequest): boolean => !caller.roles.some(role => role === 'mfa:admin' || role === 'mfa:auditor')

/** One of a list, as of the time of its reading; the decision is the decision function's own. */
function viewSummary (row: UserRow, tenant: string, policy: Policy, now: Date, settings: DecisionSettings): object {
  const input: DecisionInput = {
    ...row,
    tenant,
    policy,
    exemption: row.exemptSince === null
      ? null
      : { since: row.exemptSince, until: row.exemptUntil, reason: row.exemptReason, by: row.exemptBy },
    session: { authentication: null }
  }
  return {
    userId: row.id,
    subject: row.subject,
    account: row.account,
    namespace: row.namespace,
    tenant,
    groups: groupsOf(row.sources, settings.issuers),
    accounts: accountsOf(row.sources, settings.issuers),
    enrolled: row.factors.length > 0,
    locked: row.isLocked,
    exemption: viewExemption(input, settings),
    graceUntil: row.graceUntil?.toISOString() ?? null,
    disabled: row.isDisabled,
    createdAt: row.createdAt.toISOString(),
    decision: decide(input, usualSession(input, now, settings), now, settings)
  }
}
