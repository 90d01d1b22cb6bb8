import { type Found, refuseOthers, takeBase32, text } from './found.ts'

/** What a key URI says, and whose it says that it is. */
export interface KeyUri { issuer: string | undefined, account: string | undefined, content: Found['content'] }

/** https://github.com/google/google-authenticator/wiki/Key-Uri-Format, as apps write it: a parameter may be empty, which is as absent. */
export function readKeyUri (uri: string): KeyUri {
  const [, type, label = '', query = ''] = /^otpauth:\/\/([a-z]+)\/?([^?]*)\??(.*)$/is.exec(uri.trim()) ?? []
  if (type === undefined) return { issuer: undefined, account: undefined, content: { reason: 'no_uri' } }
  const given = parametersOf(query)
  const content = given === null ? { reason: 'malformed' as const } : readContent(type.toLowerCase(), given)
  return { ...readLabel(decoded(label), given?.get('issuer')), content }
}

function readContent (type: string, given: Map<string, string>): Found['content'] {
  if (type === 'steam' || given.get('encoder')?.toLowerCase() === 'steam') return { reason: 'steam' }
  if (type !== 'totp') return { reason: 'not_totp' }
  const [algorithm = 'SHA1', digits = 6, period = 30] = ['algorithm', 'digits', 'period'].map(name => given.get(name))
  const other = refuseOthers({ algorithm, digits, period })
  return other === undefined ? takeBase32(given.get('secret') ?? '') : { reason: other }
}

/** By their names in lower case. Null if one is given twice and not the same: it is not known which counts. */
function parametersOf (query: string): Map<string, string> | null {
  const given = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(query)) {
    const known = given.get(name.toLowerCase())
    if (known !== undefined && known !== value && value !== '') return null
    if (value !== '') given.set(name.toLowerCase(), value)
  }
  return given
}

/** Undefined if it isn't UTF-8. */
function decoded (label: string): string | undefined {
  try { return text(decodeURIComponent(label)) } catch { return undefined }
}

/**
 * `Issuer:account`, or the account alone. Before a colon is the issuer if nothing else says who that is, or says the same; else it's
 * part of the account.
 */
export function readLabel (label: string | undefined, issuer: string | undefined): Omit<KeyUri, 'content'> {
  const prefix = issuer ?? /^[^:]+(?=:)/.exec(label ?? '')?.[0]
  const isPrefixed = prefix !== undefined && label?.startsWith(`${prefix}:`) === true
  return { issuer: prefix, account: isPrefixed ? text(label.slice(prefix.length + 1).trim()) : label }
}
