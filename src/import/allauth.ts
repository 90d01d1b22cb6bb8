import {
  type Found, type Identity, ImportError, isObject, type Json, login, nameOf, numbered, parseJson, putOnce, takeBase32, text
} from './found.ts'

interface Entry { number: string, model: string, pk: string | undefined, fields: Json }

/**
 * django-allauth: `manage.py dumpdata mfa.authenticator`, and the users' model beside it where the subject is not the primary
 * key. Its TOTP is SHA-1; digits and period are settings of the site and not in the rows.
 * @param usersModel `app.model`, where the file alone does not say which one the users are
 */
export function readAllauth (file: string, usersModel?: string): Found[] {
  const parsed = parseJson(file)
  const list = isObject(parsed) && 'model' in parsed ? [parsed] : parsed
  if (!Array.isArray(list)) throw new ImportError('The file is not what dumpdata writes: an array, or JSON lines.')
  const models = new Map<string, Entry[]>()
  for (const { number, entry: { model, pk, fields } } of numbered(list)) {
    if (typeof model !== 'string' || !isObject(fields)) continue
    const name = model.toLowerCase()
    const entries = models.get(name) ?? []
    models.set(name, entries)
    entries.push({ number, model: name, pk: nameOf(pk), fields })
  }
  const authenticators = models.get('mfa.authenticator')
  if (authenticators === undefined) throw new ImportError('The file has no mfa.authenticator.')
  const findUser = finderOf(findUsers(models, authenticators, usersModel?.toLowerCase()))
  return authenticators.map(entry => readEntry(entry, findUser))
}

/** The records of the users' model. Another one's would give an authenticator to another user, so a doubt is an error. */
function findUsers (models: Map<string, Entry[]>, authenticators: Entry[], named: string | undefined): Entry[] {
  if (named !== undefined) return models.get(named) ?? fail('The file has no records of the model that --users-model names.')
  // A site that has another model for its users has none of this one.
  const own = models.get('auth.user')
  if (own !== undefined) return own
  const withPassword = [...models].filter(([, entries]) => entries.every(({ fields }) => 'password' in fields))
  const fitting = withPassword.filter(([, entries]) => {
    const keys = new Set(entries.map(({ pk }) => pk))
    const hasAll = authenticators.every(({ fields: { user } }) => Array.isArray(user) || keys.has(nameOf(user)))
    return hasAll && entries.every(({ fields }) => 'last_login' in fields)
  })
  const [only] = fitting
  if (only !== undefined && fitting.length === 1) return only[1]
  const names = withPassword.map(([model]) => model).join(', ')
  return names === '' ? [] : fail(`Which of the file's models are the users? Name it by --users-model: ${names}.`)
}

const fail = (why: string): never => { throw new ImportError(why) }

type FindUser = (user: unknown) => Identity

function finderOf (users: Entry[]): FindUser {
  const byKey = new Map<string, Identity>()
  const byName = new Map<string, Set<Identity>>()
  for (const { pk, fields, number } of users) {
    const identity = { id: pk, username: nameOf(fields.username), email: text(fields.email) }
    if (pk !== undefined) putOnce(byKey, pk, identity, number)
    for (const name of [identity.username, identity.email]) {
      if (name !== undefined) byName.set(name, (byName.get(name) ?? new Set()).add(identity))
    }
  }
  return user => {
    // By --natural-foreign the user is named by what they sign in with. A key of several parts is the site's own.
    const [name, ...more] = Array.isArray(user) ? user.map(nameOf) : []
    if (name !== undefined && more.length === 0) {
      const [one, ...others] = byName.get(name) ?? [login(name)]
      return others.length === 0 ? one as Identity : {}
    }
    const id = nameOf(user)
    return id === undefined ? {} : byKey.get(id) ?? { id }
  }
}

function readEntry ({ number, pk, fields: { user, type, data } }: Entry, findUser: FindUser): Found {
  // By --natural-primary there is no key.
  const who = { row: pk ?? number, key: pk, ...findUser(user) }
  if (type === 'recovery_codes') return { ...who, content: { reason: 'recovery_codes' } }
  if (type === 'webauthn') return { ...who, content: { reason: 'passkey' } }
  if (type !== 'totp') return { ...who, content: { reason: 'not_totp' } }
  const secret = isObject(data) ? text(data.secret) : undefined
  if (secret === undefined) return { ...who, content: { reason: 'no_secret' } }
  const content = takeBase32(secret)
  // An adapter may encrypt it by what it likes.
  return { ...who, content: 'reason' in content && content.reason === 'no_base32' ? { reason: 'encrypted' } : content }
}
