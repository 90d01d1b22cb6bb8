import type { FirstFactor, IssuerWord } from '../http/auth/caller.ts'
import type { SourceWord } from './user.ts'

/** Absent groups change nothing, unless the token says that it left them out; groups that are there end that. */
export function spokenGroups ({ areGroupsUnknown }: IssuerWord, groups: string[] | undefined, known: SourceWord | undefined): Pick<SourceWord, 'groups' | 'groupsUnknown'> {
  const wasUnknown = known?.groupsUnknown
  const isUnknown = areGroupsUnknown || (groups === undefined ? wasUnknown : wasUnknown && false)
  // In one order: who is in the same groups is of one kind.
  return { ...(groups !== undefined && { groups: [...new Set(groups)].sort() }), ...(isUnknown !== undefined && { groupsUnknown: isUnknown }) }
}

/** Without a claim the login type itself shows an account; a personal token shows none. */
export function spoken ({ accounts, loginType }: IssuerWord): { local: boolean, sso: boolean } {
  const shown: readonly string[] = accounts ?? [loginType]
  return { local: shown.includes('local'), sso: shown.includes('sso') }
}

/** What the token says of its user, as it is recorded; `known` is what its issuer said before. */
export const saidOf = ({ word, groups }: FirstFactor, known: SourceWord | undefined): SourceWord & { local: boolean, sso: boolean } =>
  ({ ...spoken(word), ...spokenGroups(word, groups, known) })
