import type { SourceWord } from './user.ts'

/** The source that an application is, by PUT /admin/users; no issuer has this name. */
export const SYNCED = ''

/** What each source last said of somebody; the word of an issuer that is not configured any more says nothing. */
const wordsOf = (sources: Record<string, SourceWord>, issuers: ReadonlySet<string>): SourceWord[] =>
  Object.entries(sources).filter(([issuer]) => issuers.has(issuer)).map(([, word]) => word)

export function accountsOf (sources: Record<string, SourceWord>, issuers: ReadonlySet<string>): Array<'local' | 'sso'> {
  const words = wordsOf(sources, issuers)
  return (['local', 'sso'] as const).filter(account => words.some(word => word[account] === true))
}

/** Every source that still counts says SSO and none says local. Of whom no account is known, this exempts nobody. */
export function isSsoOnly (sources: Record<string, SourceWord>, issuers: ReadonlySet<string>): boolean {
  const accounts = accountsOf(sources, issuers)
  return accounts.length === 1 && accounts[0] === 'sso'
}

/** The groups that any source named, joined and sorted. */
export const groupsOf = (sources: Record<string, SourceWord>, issuers: ReadonlySet<string>): string[] =>
  [...new Set(wordsOf(sources, issuers).flatMap(({ groups }) => groups ?? []))].sort()

/** A source said that it left groups out: whoever it is may be in any. */
export const areGroupsUnknown = (sources: Record<string, SourceWord>, issuers: ReadonlySet<string>): boolean =>
  wordsOf(sources, issuers).some(word => word.groupsUnknown === true)
