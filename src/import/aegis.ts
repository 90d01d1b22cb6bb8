import {
  type Found, ImportError, isObject, type Json, login, nameOf, numbered, parseJson, refuseOthers, takeBase32, text
} from './found.ts'

/** Aegis: its export as plain JSON (https://github.com/beemdevelopment/Aegis/blob/master/docs/vault.md). */
export function readAegis (file: string): Found[] {
  const vault = parseJson(file)
  const content = isObject(vault) ? vault.db : undefined
  if (typeof content === 'string') throw new ImportError('The vault is encrypted: export it without a password.')
  if (!isObject(content) || !Array.isArray(content.entries)) throw new ImportError('The file is not an export of Aegis: it has no entries.')
  return numbered(content.entries).map(({ number, entry }) => ({
    row: text(entry.uuid) ?? number,
    key: text(entry.uuid),
    ...login(nameOf(entry.name)),
    issuer: text(entry.issuer),
    content: readEntry(entry)
  }))
}

function readEntry ({ type, info }: Json): Found['content'] {
  if (type === 'steam') return { reason: 'steam' }
  if (type !== 'totp') return { reason: 'not_totp' }
  if (!isObject(info)) return { reason: 'malformed' }
  const other = refuseOthers({ algorithm: info.algo, digits: info.digits, period: info.period })
  return other === undefined ? takeBase32(text(info.secret) ?? '') : { reason: other }
}
