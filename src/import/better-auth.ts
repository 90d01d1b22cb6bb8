import { createHash } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import {
  flagOf, type Found, type Identity, ImportError, isObject, type Json, nameOf, numbered, parseJson, putOnce, takeBase32, takeSecret, text
} from './found.ts'

/** BETTER_AUTH_SECRET, and BETTER_AUTH_SECRETS (`version:secret,…`) where it has versions. */
export interface BetterAuthSecrets { plain?: string | undefined, versions?: string | undefined }

const NONCE_BYTES = 24

/**
 * better-auth: the rows of its tables `twoFactor` and `user`, as `{"twoFactor": […], "user": […]}` or those of the first alone.
 * Secrets are under XChaCha20-Poly1305 with SHA-256 of the site's secret for a key. Digits and period are settings of the site.
 */
export function readBetterAuth (file: string, secrets: BetterAuthSecrets): Found[] {
  const parsed = parseJson(file)
  const tables = isObject(parsed) ? plainNames(parsed, 'The file') : { twofactor: parsed }
  const rows = tables.twofactor ?? tables.twofactors
  if (!Array.isArray(rows)) throw new ImportError('The file has no rows of twoFactor.')
  const keys = keysOf(secrets)
  const users = readUsers(tables.user ?? tables.users)
  return [
    ...numbered(rows).flatMap(({ number, entry }) => readRow(plainNames(entry, `Row ${number} of twoFactor`), number, users, keys)),
    ...numbered(tables.passkey ?? tables.passkeys).map(({ number, entry }) =>
      readPasskey(plainNames(entry, `Row ${number} of passkey`), number, users)
    )
  ]
}

/** Tables and columns as a database may spell them: `userId`, `user_id`, `USER_ID`. */
function plainNames (row: Json, place: string): Json {
  const plain = Object.entries(row).map(([name, value]) => [name.replaceAll('_', '').toLowerCase(), value] as const)
  if (new Set(plain.map(([name]) => name)).size < plain.length) throw new ImportError(`${place} has one name in two spellings.`)
  return Object.fromEntries(plain)
}

interface User extends Identity { isEnabled: ReturnType<typeof flagOf> }

function readUsers (table: unknown): Map<string, User> {
  const users = new Map<string, User>()
  for (const { number, entry } of numbered(table)) {
    const { id, username, email, twofactorenabled } = plainNames(entry, `Row ${number} of user`)
    const key = nameOf(id)
    if (key === undefined) continue
    putOnce(users, key, { username: nameOf(username), email: text(email), isEnabled: flagOf(twofactorenabled) }, number)
  }
  return users
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

function readRow (row: Json, number: string, users: Map<string, User>, keys: Map<string, Buffer>): Found[] {
  const { id, userid, secret, backupcodes, verified } = row
  const user = users.get(nameOf(userid) ?? '')
  const who = { row: nameOf(id) ?? number, key: nameOf(id), id: nameOf(userid), username: user?.username, email: user?.email }
  const codes: Found[] = text(backupcodes) === undefined ? [] : [{ ...who, row: `${who.row}/codes`, content: { reason: 'recovery_codes' } }]
  const flags = [flagOf(verified), user?.isEnabled]
  if (flags.includes('unknown')) return [{ ...who, content: { reason: 'unclear_flag' } }]
  // Rows from before `verified` have none; there the user has two factors once a code was proved. Without either nothing is known.
  const isVerified = flags.includes(true) && !flags.includes(false) && user?.isEnabled !== null
  if (!isVerified) return [{ ...who, content: { reason: 'not_verified' } }]
  return [{ ...who, content: text(secret) === undefined ? { reason: 'no_secret' } : readSecret(secret as string, keys) }, ...codes]
}

/** A site that has them has their table: that they stay behind is said, too. */
function readPasskey ({ id, userid }: Json, number: string, users: Map<string, User>): Found {
  const user = users.get(nameOf(userid) ?? '')
  return {
    row: nameOf(id) ?? `passkey/${number}`,
    id: nameOf(userid),
    username: user?.username,
    email: user?.email,
    content: { reason: 'passkey' }
  }
}

function readSecret (sealed: string, keys: Map<string, Buffer>): Found['content'] {
  const [, version = '', hex] = /^(?:\$ba\$(\d+)\$)?([0-9a-f]+)$/i.exec(sealed) ?? []
  if (hex === undefined) return { reason: 'malformed' }
  const bytes = Buffer.from(hex, 'hex')
  try {
    const cipher = xchacha20poly1305(keys.get(version) as Buffer, bytes.subarray(0, NONCE_BYTES))
    const opened = Buffer.from(cipher.decrypt(bytes.subarray(NONCE_BYTES)))
    // Its own secrets are text, which is the key as it stands; those that it has imported itself say that they are not.
    const [, base32] = /^base32:(.*)$/s.exec(opened.toString('latin1')) ?? []
    return base32 === undefined ? takeSecret(opened) : takeBase32(base32)
  } catch {
    return { reason: 'encrypted' }
  }
}
