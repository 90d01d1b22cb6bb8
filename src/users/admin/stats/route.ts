import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { operation } from '../../../http/openapi.ts'
import { decisionSettings, type Services } from '../../../services.ts'
import { Stats } from './schema.ts'
import { countStats } from './store.ts'

/** With so many, one lost phone leaves an administrator who can help. */
const ENOUGH_ADMINISTRATORS = 2
const WARNING = 'Fewer than two administrators are enrolled. If one loses their authenticator, no one can help. Enroll another one.'

export function registerStats (app: FastifyInstance, { config, db, guard, kinds }: Services): void {
  app.addSchema(Stats)
  const sources = [...decisionSettings(config, kinds).issuers]

  app.get('/admin/stats', {
    onRequest: guard.admin(['mfa:admin', 'mfa:support', 'mfa:auditor']),
    schema: operation({
      id: 'getStats',
      tag: 'Users',
      summary: 'Count who has MFA, in total and by group',
      description:
        'Needs the role `mfa:admin`, `mfa:support` or `mfa:auditor`, and a fresh MFA token. A machine with `mfa:auditor` needs no MFA.',
      answers: { 200: { schema: Type.Ref('Stats'), description: 'The numbers.' } },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async ({ caller: { tenant }, log }) => {
    const stats = await countStats(db, tenant, sources)
    const isWarned = stats.administrators.enrolled < ENOUGH_ADMINISTRATORS
    if (isWarned) log.warn({ tenant, administrators: stats.administrators }, 'fewer than two administrators are enrolled')
    return { ...stats, warning: isWarned ? WARNING : null }
  })
}
