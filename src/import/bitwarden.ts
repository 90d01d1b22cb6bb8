import { type Found, ImportError, isObject, login, nameOf, numbered, parseJson, takeBase32, text } from './found.ts'
import { readKeyUri } from './key-uri.ts'

/** Bitwarden, and Bitwarden Authenticator: their exports as plain JSON. An item without an authenticator is none of ours. */
export function readBitwarden (file: string): Found[] {
  const vault = parseJson(file)
  if (isObject(vault) && vault.encrypted === true) throw new ImportError('The vault is encrypted: export it as JSON without encryption.')
  if (!isObject(vault) || !Array.isArray(vault.items)) throw new ImportError('The file is not an export of Bitwarden: it has no items.')
  return numbered(vault.items).flatMap(({ number, entry: { id, name, login: credentials } }): Found[] => {
    const totp = isObject(credentials) ? text(credentials.totp) : undefined
    if (totp === undefined) return []
    const { issuer, account, content } = readTotp(totp)
    const username = nameOf((credentials as Record<string, unknown>).username)
    return [{ row: text(id) ?? number, key: text(id), ...login(username ?? account), issuer: issuer ?? text(name), content }]
  })
}

/** A key URI, base32 alone, or what Steam has. */
function readTotp (totp: string): ReturnType<typeof readKeyUri> {
  if (/^otpauth:/i.test(totp)) return readKeyUri(totp)
  return { issuer: undefined, account: undefined, content: /^steam:/i.test(totp) ? { reason: 'steam' } : takeBase32(totp) }
}
