import type { SourceClaims } from './user.ts'

/** The source that an application is, by PUT /admin/users; no issuer has this name. */
export const SYNCED = ''

/** What each source last claimed of a user. An issuer that is not configured any more claims nothing. */
const claimsOf = (sources: Record<string, SourceClaims>, issuers: ReadonlySet<string>): SourceClaims[] =>
  Object.entries(sources).filter(([issuer]) => issuers.has(issuer)).map(([, claims]) => claims)

export function accountsOf (sources: Record<string, SourceClaims>, issuers: ReadonlySet<string>): Array<'local' | 'sso'> {
  const sourceClaims = claimsOf(sources, issuers)
  return (['local', 'sso'] as const).filter(account => sourceClaims.some(claims => claims[account] === true))
}

/** Every source that still counts claims SSO and none claims a local account. A user without a known account is not exempt by this. */
export function isSsoOnly (sources: Record<string, SourceClaims>, issuers: ReadonlySet<string>): boolean {
  const accounts = accountsOf(sources, issuers)
  return accounts.length === 1 && accounts[0] === 'sso'
}

/** The groups that any source named, joined and sorted. */
export const groupsOf = (sources: Record<string, SourceClaims>, issuers: ReadonlySet<string>): string[] =>
  [...new Set(claimsOf(sources, issuers).flatMap(({ groups }) => groups ?? []))].sort()

/** A source claimed that it left groups out: the user may be in any. */
export const areGroupsUnknown = (sources: Record<string, SourceClaims>, issuers: ReadonlySet<string>): boolean =>
  claimsOf(sources, issuers).some(claims => claims.groupsUnknown === true)
