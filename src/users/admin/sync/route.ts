import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { recordEvent } from '../../../audit/record.sql.ts'
import { byOf } from '../../../guard.ts'
import type { Issuer } from '../../../http/auth/issuer.ts'
import { operation } from '../../../http/openapi.ts'
import { forCaller } from '../../../http/plugins/budget.ts'
import { FORBIDDEN, Problem } from '../../../http/problem.ts'
import type { Database } from '../../../platform/db/client.ts'
import { Semaphore } from '../../../platform/semaphore.ts'
import type { Services } from '../../../services.ts'
import { decideSync, type Synced } from './decide.ts'
import { SYNC_SCHEMAS, type UserSync } from './schema.ts'
import { settleSync } from './store.ts'

const BODY_LIMIT = 1024 * 1024
/** One at a time: a thousand users take about a second, and of two that name the same ones one would wait for the other all the same. */
const TURNS = { atOnce: 1, maxWaiting: 8, maxWaitMs: 5500 }

export function registerUserSync (app: FastifyInstance, { config, db, guard, secrets }: Services): void {
  for (const schema of SYNC_SCHEMAS) app.addSchema(schema)
  const turns = new Semaphore(TURNS, 'too many syncs wait')

  app.put('/admin/users', {
    bodyLimit: BODY_LIMIT,
    onRequest: guard.admin(['mfa:admin', 'mfa:sync']),
    schema: operation({
      id: 'syncUsers',
      tag: 'Users',
      summary: 'Send users from your application',
      description:
        'Send them before their first login, and when they leave. Up to 1000: all of them are stored, or none. Fields that you leave ' +
        'out stay as they are, and so do users that you do not list. `namespace` is required if several issuers have users of the ' +
        "tenant. You can't disable yourself. Needs the role `mfa:admin` or `mfa:sync`, and a fresh MFA token. A machine with " +
        '`mfa:sync` needs no MFA.',
      body: Type.Ref('UserSync'),
      answers: { 200: { schema: Type.Ref('UserSyncResult'), description: 'The numbers.' } },
      ifUnknown: 'Repeat the call: users who are stored already are `unchanged`.',
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async request => {
    const { tenant } = request.caller
    const users = decideSync((request.body as UserSync).users, namespacesOf(config.ISSUERS, tenant))
    if ('field' in users) throw new Problem('invalid_request', { errors: [users] })
    if (users.some(user => user.disabled === true && isOneself(user, request))) await refuse(db, request)
    const { created, updated, unchanged } = await turns.run(() =>
      forCaller(request, () => settleSync(db, tenant, users, secrets.peppers, byOf(request)))
    )
    return { created, updated, unchanged }
  })
}

/** Of the issuers that may name users of the tenant. */
const namespacesOf = (issuers: ReadonlyArray<Omit<Issuer, 'key'>>, tenant: string): string[] => [...new Set(issuers
  .filter(({ loginType, tenants }) => loginType !== 'service' && (tenants === '*' || tenants.includes(tenant)))
  .map(({ namespace }) => namespace))]

/** A machine is no user. */
const isOneself = ({ namespace, subject }: Synced, { storedUser: user }: FastifyRequest): boolean =>
  user !== null && user.namespace === namespace && user.subject === subject

async function refuse (db: Database, request: FastifyRequest): Promise<never> {
  await recordEvent(db, {
    tenant: request.caller.tenant,
    subject: request.storedUser.userId,
    action: 'access.refused',
    outcome: 'failure',
    by: byOf(request),
    details: { cause: 'oneself' }
  })
  throw new Problem('forbidden', { detail: FORBIDDEN.oneself })
}
