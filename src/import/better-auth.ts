import { createHash } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { type Found, ImportError, isObject, type Json, objects, parseJson, takeBase32, takeSecret, text } from './found.ts'

/** BETTER_AUTH_SECRET, and BETTER_AUTH_SECRETS (`version:secret,…`) where it has versions. */
export interface BetterAuthSecrets { plain?: string | undefined, versions?: string | undefined }

const NONCE_BYTES = 24

/**
 * better-auth: the rows of its tables `twoFactor` and `user`, as `{"twoFactor": […], "user": […]}` or those of the first alone.
 * Secrets are under XChaCha20-Poly1305 with SHA-256 of the site's secret for a key. Digits and period are settings of the site.
 */
export function readBetterAuth (file: string, secrets: BetterAuthSecrets): Found[] {
  const parsed = parseJson(file)
  const tables = isObject(parsed) ? parsed : { twoFactor: parsed }
  if (!Array.isArray(tables.twoFactor)) throw new ImportError('The file has no rows of twoFactor.')
  const keys = keysOf(secrets)
  const users = new Map(objects(tables.user).map(user => [user.id, user]))
  return objects(tables.twoFactor).flatMap((row, index) => readRow(row, index, users, keys))
}

/** By version; the empty one is the secret without one. */
function keysOf ({ plain, versions }: BetterAuthSecrets): Map<string, Buffer> {
  const keys = new Map<string, Buffer>()
  const put = (version: string, secret: string): void => { keys.set(version, createHash('sha256').update(secret).digest()) }
  if (plain !== undefined) put('', plain)
  for (const entry of versions?.split(',') ?? []) {
    const match = /^\s*(\d+):(.+?)\s*$/.exec(entry)
    if (match === null) throw new ImportError('The file of secrets is not version:secret,…')
    put(match[1] as string, match[2] as string)
  }
  return keys
}

function readRow ({ id, userId, secret, backupCodes, verified }: Json, index: number, users: Map<unknown, Json>, keys: Map<string, Buffer>): Found[] {
  const user = users.get(userId)
  const who = { row: text(id) ?? String(index), id: text(userId), username: text(user?.username), email: text(user?.email) }
  const codes: Found[] = text(backupCodes) === undefined ? [] : [{ ...who, row: `${who.row}/codes`, content: { reason: 'recovery_codes' } }]
  if (verified === false || user?.twoFactorEnabled === false) return [{ ...who, content: { reason: 'not_verified' } }]
  return [{ ...who, content: text(secret) === undefined ? { reason: 'malformed' } : readSecret(secret as string, keys) }, ...codes]
}

function readSecret (sealed: string, keys: Map<string, Buffer>): Found['content'] {
  const [, version = '', hex] = /^(?:\$ba\$(\d+)\$)?([0-9a-f]+)$/i.exec(sealed) ?? []
  if (hex === undefined) return { reason: 'malformed' }
  const bytes = Buffer.from(hex, 'hex')
  try {
    const opened = Buffer.from(xchacha20poly1305(keys.get(version) as Buffer, bytes.subarray(0, NONCE_BYTES)).decrypt(bytes.subarray(NONCE_BYTES)))
    // Its own secrets are text, which is the key as it stands; those that it has imported itself say that they are not.
    return opened.toString('latin1').startsWith('base32:') ? takeBase32(opened.toString('latin1').slice('base32:'.length)) : takeSecret(opened)
  } catch {
    return { reason: 'encrypted' }
  }
}
