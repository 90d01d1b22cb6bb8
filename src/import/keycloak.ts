import { type Found, ImportError, isObject, type Json, objects, parseJson, refuseOthers, takeBase32, takeSecret, text } from './found.ts'

/** Keycloak: `kc.sh export --users …`, a realm's file or one of its users' files. The subject is the user's id there. */
export function readKeycloak (file: string): Found[] {
  const realms = objects([parseJson(file)].flat()).filter(realm => 'users' in realm || 'federatedUsers' in realm)
  if (realms.length === 0) throw new ImportError('The file has no users: export with --users same_file or realm_file.')
  if (realms.length > 1) throw new ImportError('The file has several realms: export one, and import it for its issuer.')
  const { users, federatedUsers } = realms[0] as Json
  return [...objects(users), ...objects(federatedUsers)].flatMap(readUser)
}

function readUser ({ id, username, email, credentials }: Json): Found[] {
  const who = { id: text(id), username: text(username), email: text(email) }
  return objects(credentials).flatMap((credential, index): Found[] => {
    const row = text(credential.id) ?? `${who.id ?? who.username ?? '?'}/${index}`
    if (credential.type === 'recovery-authn-codes') return [{ ...who, row, content: { reason: 'recovery_codes' } }]
    // A password or a key, which stays where it is. Before Keycloak 8 an authenticator was a `totp` with other members.
    if (!['otp', 'totp', 'hotp'].includes(credential.type as string)) return []
    return [{ ...who, row, label: text(credential.userLabel), content: readCredential(credential) }]
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
  const other = refuseOthers({ algorithm: algorithm === 'HmacSHA1' ? 'SHA1' : algorithm, digits, period })
  if (other !== undefined) return { reason: other }
  // Without an encoding the text itself is the secret: its own are 20 letters and digits.
  if (secretEncoding === undefined || secretEncoding === null) return takeSecret(Buffer.from(value))
  return String(secretEncoding).toUpperCase() === 'BASE32' ? takeBase32(value) : { reason: 'malformed' }
}
