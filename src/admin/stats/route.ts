import { Type } from 'typebox'
import type { FastifyInstance } from 'fastify'
import { operation } from '../../http/openapi.ts'
import { decisionSettings, type Services } from '../../services.ts'
import { Stats } from './schema.ts'
import { countStats } from './store.ts'

/** With so many, one lost phone leaves somebody who can help. */
const ENOUGH_ADMINISTRATORS = 2
const WARNING = 'Fewer than two administrators are enrolled: if one loses the authenticator, nobody is left to help. Let another enroll.'

export function registerStats (app: FastifyInstance, { config, db, gate }: Services): void {
  app.addSchema(Stats)
  const sources = [...decisionSettings(config).issuers]

  app.get('/admin/stats', {
    onRequest: gate.admin(['mfa:admin', 'mfa:support', 'mfa:auditor']),
    schema: operation({
      id: 'getStats',
      tag: 'Users',
      summary: 'How many have MFA, in all and by group, and who needs a look',
      description: 'As of now. Roles `mfa:admin`, `mfa:support` and `mfa:auditor`, with an MFA token of the last 15 minutes; a machine with `mfa:auditor` needs none.',
      answers: { 200: { schema: Type.Ref('Stats'), description: 'The figures.' } },
      errors: ['step_up_required', 'not_enrolled']
    })
  }, async ({ caller: { tenant }, log }) => {
    const stats = await countStats(db, tenant, sources)
    const isWarned = stats.administrators.enrolled < ENOUGH_ADMINISTRATORS
    if (isWarned) log.warn({ tenant, administrators: stats.administrators }, 'fewer than two administrators are enrolled')
    return { ...stats, warning: isWarned ? WARNING : null }
  })
}
