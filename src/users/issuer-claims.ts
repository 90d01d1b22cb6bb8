import type { FirstFactor, IssuerClaims } from '../http/auth/caller.ts'
import type { SourceClaims } from './user.ts'

/** Absent groups change nothing, unless the token says that it left them out; groups that are there end that. */
export function claimedGroups (
  { areGroupsUnknown }: IssuerClaims,
  groups: string[] | undefined,
  known: SourceClaims | undefined
): Pick<SourceClaims, 'groups' | 'groupsUnknown'> {
  const wasUnknown = known?.groupsUnknown
  const isUnknown = areGroupsUnknown || (groups === undefined ? wasUnknown : wasUnknown && false)
  // In one order: users in the same groups are one cohort.
  return {
    ...(groups !== undefined && { groups: [...new Set(groups)].sort() }),
    ...(isUnknown !== undefined && { groupsUnknown: isUnknown })
  }
}

/** Without a claim the login type itself shows an account; a personal token shows none. */
export function claimedAccounts ({ accounts, loginType }: IssuerClaims): { local: boolean, sso: boolean } {
  const shown: readonly string[] = accounts ?? [loginType]
  return { local: shown.includes('local'), sso: shown.includes('sso') }
}

/** What the token claims of its user, as it is recorded; `known` is what its issuer claimed before. */
export const recordedClaims = (
  { issuerClaims, groups }: FirstFactor,
  known: SourceClaims | undefined
): SourceClaims & { local: boolean, sso: boolean } => ({ ...claimedAccounts(issuerClaims), ...claimedGroups(issuerClaims, groups, known) })
