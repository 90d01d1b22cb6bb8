/** A user as an application names them. An absent member says nothing. */
export interface Named {
  subject: string
  namespace?: string
  account?: string
  accounts?: string[]
  groups?: string[]
  disabled?: boolean
}

export type Synced = Named & { namespace: string }

/** What is wrong, by its place in the request. */
export interface Flaw { field: string, message: string }

/**
 * The users of a sync, each with their namespace.
 * @param namespaces of the issuers that may name users of the tenant
 */
export function decideSync (users: readonly Named[], namespaces: readonly string[]): Synced[] | Flaw {
  const only = namespaces.length === 1 ? namespaces[0] : undefined
  const seen = new Set<string>()
  const synced: Synced[] = []
  for (const [index, user] of users.entries()) {
    const namespace = user.namespace ?? only
    if (namespace === undefined) return { field: `users.${index}.namespace`, message: 'is required: there is not just one' }
    if (!namespaces.includes(namespace)) return { field: `users.${index}.namespace`, message: 'is none of the configured ones' }
    const key = JSON.stringify([namespace, user.subject])
    if (seen.has(key)) return { field: `users.${index}.subject`, message: 'is listed twice' }
    seen.add(key)
    synced.push({ ...user, namespace })
  }
  return synced
}
