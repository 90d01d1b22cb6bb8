import {
  type Found, ImportError, isObject, type Json, nameOf, numbered, objects, parseJson, refuseOthers, takeBase32, takeSecret, text
} from './found.ts'

/** Keycloak: `kc.sh export --users …`, a realm's file or one of its users' files. The subject is the user's id there. */
export function readKeycloak (file: string): Found[] {
  const realms = objects([parseJson(file)].flat()).filter(realm => 'users' in realm || 'federatedUsers' in realm)
  const [realm] = realms
  if (realm === undefined) throw new ImportError('The file has no users: export with --users same_file or realm_file.')
  if (realms.length > 1) throw new ImportError('The file has several realms: export one, and import it for its issuer.')
  return [...objects(realm.users), ...objects(realm.federatedUsers)].flatMap(readUser)
}

function readUser ({ id, username, email, credentials }: Json): Found[] {
  const who = { id: nameOf(id), username: nameOf(username), email: text(email) }
  return numbered(credentials).flatMap(({ number, entry }): Found[] => {
    const row = text(entry.id) ?? `${who.id ?? who.username ?? '?'}/${number}`
    if (entry.type === 'recovery-authn-codes') return [{ ...who, row, content: { reason: 'recovery_codes' } }]
    if (['webauthn', 'webauthn-passwordless'].includes(entry.type as string)) return [{ ...who, row, content: { reason: 'passkey' } }]
    // A password, which stays where it is. Before Keycloak 8 an authenticator was a `totp` with other members.
    if (!['otp', 'totp', 'hotp'].includes(entry.type as string)) return []
    return [{ ...who, row, key: text(entry.id), label: text(entry.userLabel), content: readCredential(entry) }]
  })
}

/** Both are JSON inside the JSON. */
const inner = (value: unknown): Json => {
  try {
    const parsed = JSON.parse(value as string) as unknown
    return isObject(parsed) ? parsed : {}
  } catch { return {} }
}

function readCredential ({ secretData, credentialData }: Json): Found['content'] {
  const value = text(inner(secretData).value)
  const { subType, algorithm, digits, period, secretEncoding } = inner(credentialData)
  if (value === undefined || subType === undefined) return { reason: 'malformed' }
  if (subType !== 'totp') return { reason: 'not_totp' }
  const other = refuseOthers({ algorithm, digits, period })
  if (other !== undefined) return { reason: other }
  // Without an encoding the text itself is the secret: its own are 20 letters and digits.
  if (secretEncoding === undefined || secretEncoding === null) return takeSecret(Buffer.from(value))
  return String(secretEncoding).toUpperCase() === 'BASE32' ? takeBase32(value) : { reason: 'malformed' }
}
