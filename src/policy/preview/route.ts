import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { operation } from '../../http/openapi.ts'
import { decisionSettings, type Services } from '../../services.ts'
import { relyingPartyOf } from '../../factors/passkeys/relying-party.ts'
import { readChange, refuseBelow, refuseUnprovable } from '../change.ts'
import { rulesOf } from '../floor.ts'
import { findPolicy } from '../policy.sql.ts'
import type { PolicyChange } from '../schema.ts'
import { PolicyPreview, PreviewCounts } from './schema.ts'
import { type Counted, countPreview } from './store.ts'

export function registerPreview (app: FastifyInstance, services: Services): void {
  const { config, db, guard, kinds } = services
  app.addSchema(PreviewCounts)
  app.addSchema(PolicyPreview)
  const { issuers, floor } = decisionSettings(config, kinds)

  app.post('/admin/policy/preview', {
    onRequest: guard.admin(['mfa:admin', 'mfa:auditor']),
    schema: operation({
      id: 'previewPolicy',
      tag: 'Policy',
      summary: 'Count who would have to enroll under a draft policy',
      description:
        'Changes nothing. Fields that you leave out are those of the present policy. Counts every user as at their next login, without ' +
        'a second factor. `report_only` counts like `required`. `needPasskey` counts who needs a passkey, now or once ' +
        '`phishingResistantFrom` has come, and has none that can be used. Needs the role `mfa:admin` or `mfa:auditor`, and a fresh MFA ' +
        'token.',
      body: Type.Ref('PolicyDraft'),
      answers: { 200: { schema: Type.Ref('PolicyPreview'), description: 'The numbers, in total and by group.' } },
      errors: ['step_up_required', 'not_enrolled', 'required_by_policy', 'not_offered']
    })
  }, async ({ caller: { tenant }, body }) => {
    const change = readChange(body as PolicyChange)
    refuseBelow(change, floor)
    const policy = { ...await findPolicy(db, tenant), ...change }
    refuseUnprovable(policy, services, tenant)
    const { counts, groupsUnknown, sample } = await countPreview(db, tenant, {
      rules: rulesOf(policy, floor),
      sources: [...issuers],
      rpId: relyingPartyOf(config.PASSKEYS, tenant)?.rpId
    })
    const { all, byGroup } = sum(counts)
    return { ...all, byGroup: Object.fromEntries(byGroup), groupsUnknown, sample }
  })
}

type Counts = { users: number, needPasskey: number } & Record<Counted['bucket'], number>

const none = (): Counts => ({ users: 0, enrolled: 0, mustEnroll: 0, inGrace: 0, exempt: 0, notCovered: 0, needPasskey: 0 })

function sum (counted: Counted[]): { all: Counts, byGroup: Map<string, Counts> } {
  const all = none()
  const byGroup = new Map<string, Counts>()
  for (const { group, bucket, isPasskeyMissing, users } of counted) {
    const counts = group === null ? all : byGroup.get(group) ?? none()
    if (group !== null) byGroup.set(group, counts)
    counts.users += users
    counts[bucket] += users
    if (isPasskeyMissing) counts.needPasskey += users
  }
  return { all, byGroup }
}
