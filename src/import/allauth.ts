import { type Found, type Identity, ImportError, isObject, type Json, objects, parseJson, takeBase32, text } from './found.ts'

/**
 * django-allauth: `manage.py dumpdata mfa.authenticator`, and the users' model beside it where the subject is not the primary
 * key. Its TOTP is SHA-1; digits and period are settings of the site and not in the rows.
 */
export function readAllauth (file: string): Found[] {
  const records = parseJson(file)
  if (!Array.isArray(records)) throw new ImportError('The file is not what dumpdata writes: an array.')
  const rows = objects(records)
  const users = new Map<string, Identity>()
  for (const { pk, fields } of rows) {
    // Whatever model the site has for them: Django's users have a password, and nothing else has.
    if (isObject(fields) && 'password' in fields) users.set(String(pk), { username: text(fields.username), email: text(fields.email) })
  }
  const found = rows.filter(({ model }) => model === 'mfa.authenticator').flatMap(({ pk, fields }) => isObject(fields) ? readRow(String(pk), fields, users) : [])
  if (found.length === 0) throw new ImportError('The file has no mfa.authenticator.')
  return found
}

function readRow (row: string, { user, type, data }: Json, users: Map<string, Identity>): Found[] {
  const who = { row, ...identify(user, users) }
  if (type === 'recovery_codes') return [{ ...who, content: { reason: 'recovery_codes' } }]
  if (type !== 'totp') return [{ ...who, content: { reason: 'not_totp' } }]
  const secret = isObject(data) ? text(data.secret) : undefined
  if (secret === undefined) return [{ ...who, content: { reason: 'malformed' } }]
  const content = takeBase32(secret)
  // An adapter may encrypt it by what it likes.
  return [{ ...who, content: 'reason' in content && content.reason === 'no_base32' ? { reason: 'encrypted' } : content }]
}

/** By --natural-foreign the user is named by his user name. */
function identify (user: unknown, users: Map<string, Identity>): Identity {
  if (Array.isArray(user)) return { username: text(user[0]) }
  if (typeof user !== 'string' && typeof user !== 'number') return {}
  return { id: String(user), ...users.get(String(user)) }
}
