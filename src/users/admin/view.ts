import { listDevices } from '../../devices/device.ts'
import { throttleOf } from '../../factors/throttle/throttle.ts'
import { listFactors } from '../../factors/view.ts'
import { decide, type DecisionSettings, exemptionEnd, usualSession } from '../../policy/decide.ts'
import type { Services } from '../../services.ts'
import { accountsOf, groupsOf } from '../sources.ts'
import type { User, Throttle, WholeUser } from '../user.ts'

const viewLock = ({ failures, waitUntil, lockedAt }: Throttle): object =>
  ({ failures, waitUntil: waitUntil?.toISOString() ?? null, lockedAt: lockedAt?.toISOString() ?? null })

/** With the end that counts: the floor's, if it is earlier than the exemption's own. */
export function viewExemption ({ exemption, readAt }: Pick<User, 'exemption' | 'readAt'>, { floor }: DecisionSettings): object | null {
  if (exemption === null) return null
  const end = exemptionEnd(floor ?? {}, exemption)
  if (end !== null && end <= readAt) return null
  return { ...exemption, since: exemption.since.toISOString(), until: end?.toISOString() ?? null }
}

/** What an administrator sees of a user, as of now: whether they could pass without a second factor, and never a secret. */
export const viewUser = (
  { kinds, config }: Pick<Services, 'kinds' | 'config'>,
  user: WholeUser,
  now: Date,
  settings: DecisionSettings
): object => {
  const { userId, subject, account, namespace, tenant, sources, factors, recovery } = user
  return {
    userId,
    subject,
    account,
    namespace,
    tenant,
    groups: groupsOf(sources, settings.issuers),
    accounts: accountsOf(sources, settings.issuers),
    enrolled: factors.length > 0,
    factors: listFactors(kinds, user, now, config),
    recoveryCodes: recovery === null
      ? null
      : { total: recovery.total, remaining: recovery.remaining, acknowledgedAt: recovery.acknowledgedAt?.toISOString() ?? null },
    devices: listDevices(user, settings),
    locks: Object.fromEntries(kinds.throttled.map(kind => [kind, viewLock(throttleOf(user, kind))])),
    exemption: viewExemption(user, settings),
    graceUntil: user.graceUntil?.toISOString() ?? null,
    disabled: user.isDisabled,
    createdAt: user.createdAt.toISOString(),
    decision: decide(user, usualSession(user, now, settings), now, settings)
  }
}
