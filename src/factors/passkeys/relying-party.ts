import { ANY_LOCALHOST, type RelyingParty } from '../../config/passkeys.ts'

/** What the passkeys of a tenant are made for; undefined where this deployment has none for it. */
export const relyingPartyOf = (parties: readonly RelyingParty[], tenant: string): RelyingParty | undefined =>
  parties.find(({ tenants }) => tenants === '*' || tenants.includes(tenant))

/** Is it a page or an app that may use the passkeys? What the request says of its own origin plays no part. */
export function isOriginOf ({ origins }: RelyingParty, origin: unknown): origin is string {
  if (typeof origin !== 'string') return false
  return origins.some(each => each === ANY_LOCALHOST ? /^http:\/\/localhost(:\d{1,5})?$/.test(origin) : each === origin)
}
