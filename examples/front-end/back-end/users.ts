/** Who works here. In your application this is a table, with a hash instead of a password. */
export interface Account {
  name: string
  /** With one, it is a local account. */
  password?: string
  /** May come by the company's SSO, too. */
  hasSso?: true
  roles?: string[]
}

export const ACCOUNTS: readonly Account[] = [
  { name: 'alice', password: 'alice in the office', roles: ['mfa:admin'] },
  { name: 'bob', password: 'bob at the desk' },
  { name: 'carol', hasSso: true },
  { name: 'dora', password: 'dora on the road', hasSso: true }
]

export const accountOf = (name: string): Account | undefined => ACCOUNTS.find(account => account.name === name.trim().toLowerCase())

/** What the service is told of an account, so that it knows which users the flag leaves alone: those who have SSO and nothing else. */
export const loginTypesOf = (
  { password, hasSso }: Account
): string[] => [...(password === undefined ? [] : ['local']), ...(hasSso === true ? ['sso'] : [])]
