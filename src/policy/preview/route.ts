import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { operation } from '../../http/openapi.ts'
import { decisionSettings, type Services } from '../../services.ts'
import { readChange, refuseBelow } from '../change.ts'
import { rulesOf } from '../floor.ts'
import { findPolicy } from '../policy.sql.ts'
import type { PolicyChange } from '../schema.ts'
import { PolicyPreview, PreviewCounts } from './schema.ts'
import { type Counted, countPreview } from './store.ts'

export function registerPreview (app: FastifyInstance, { config, db, guard }: Services): void {
  app.addSchema(PreviewCounts)
  app.addSchema(PolicyPreview)
  const { issuers, floor } = decisionSettings(config)

  app.post('/admin/policy/preview', {
    onRequest: guard.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'previewPolicy',
      tag: 'Policy',
      summary: 'Count who would have to enroll under a draft policy',
      description:
        'Changes nothing. Fields that you leave out are those of the present policy. Counts every user as at their next login, without ' +
        'a second factor. `report_only` counts like `required`. Needs the role `mfa:admin` or `mfa:auditor`, and a fresh MFA token.',
      body: Type.Ref('PolicyDraft'),
      answers: { 200: { schema: Type.Ref('PolicyPreview'), description: 'The numbers, in total and by group.' } },
      errors: ['step_up_required', 'not_enrolled', 'required_by_policy']
    })
  }, async ({ caller: { tenant }, body }) => {
    const change = readChange(body as PolicyChange)
    refuseBelow(change, floor)
    const { counts, groupsUnknown, sample } = await countPreview(
      db,
      tenant,
      rulesOf({ ...await findPolicy(db, tenant), ...change }, floor),
      [...issuers]
    )
    const { all, byGroup } = sum(counts)
    return { ...all, byGroup: Object.fromEntries(byGroup), groupsUnknown, sample }
  })
}

type Counts = { users: number } & Record<Counted['bucket'], number>

const none = (): Counts => ({ users: 0, enrolled: 0, mustEnroll: 0, inGrace: 0, exempt: 0, notCovered: 0 })

function sum (counted: Counted[]): { all: Counts, byGroup: Map<string, Counts> } {
  const all = none()
  const byGroup = new Map<string, Counts>()
  for (const { group, bucket, users } of counted) {
    const counts = group === null ? all : byGroup.get(group) ?? none()
    if (group !== null) byGroup.set(group, counts)
    counts.users += users
    counts[bucket] += users
  }
  return { all, byGroup }
}
