import { generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from 'node:fs'
import type { Purpose } from '../keys/keys.ts'

/** A key as the variable has it: one part of a ring, or one JWK of a set. */
export interface Entry { id: string, text: string }

/** The keys of a variable, in its order. */
export function entriesOf (purpose: Purpose, text: string): Entry[] {
  if (purpose !== 'signing') return text.trim().split(',').map(part => ({ id: part.trim().split(':', 1)[0] as string, text: part.trim() }))
  return (JSON.parse(text) as { keys: Array<{ kid: string }> }).keys.map(jwk => ({ id: jwk.kid, text: JSON.stringify(jwk) }))
}

export const textOf = (purpose: Purpose, entries: Entry[]): string =>
  purpose === 'signing' ? `{"keys":[${entries.map(({ text }) => text).join(',')}]}` : entries.map(({ text }) => text).join(',')

/** A new key; its id is the time, which no other key has. A signing key is of the kind that signs now. */
export function makeEntry (purpose: Purpose, now: Date, like: Entry | undefined): Entry {
  const id = now.toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '')
  if (purpose !== 'signing') return { id, text: `${id}:${randomBytes(32).toString('base64')}` }
  const isEd25519 = like !== undefined && (JSON.parse(like.text) as JsonWebKey).kty === 'OKP'
  const { privateKey } = isEd25519 ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { id, text: JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: id }) }
}

/** The text of a file, or undefined if there is none yet. */
export function readKeyFile (path: string): string | undefined {
  try { return readFileSync(path, 'utf8') } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Puts a new text in a file's place, at once and whole: a reader gets the old one or the new one. Mode and owner stay;
 * a new file is the owner's alone. Of two at the same time one is refused.
 */
export function replaceKeyFile (path: string, text: string, isNew: boolean): void {
  const target = isNew ? path : realpathSync(path)
  const old = isNew ? undefined : statSync(target)
  const draft = `${target}.new`
  let file
  try { file = openSync(draft, 'wx', 0o600) } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') {
      throw new Error(`${draft} exists: another command is changing the keys now, or was stopped while it did. Look at it, then remove it.`)
    }
    throw new Error(`${target} cannot be replaced (${code}): run this with --print, and put what it prints there yourself.`)
  }
  try {
    if (old !== undefined) {
      fchmodSync(file, old.mode & 0o7777)
      if (process.getuid?.() === 0) fchownSync(file, old.uid, old.gid)
    }
    writeSync(file, `${text}\n`)
    fsyncSync(file)
  } catch (error) {
    rmSync(draft)
    throw error
  } finally {
    closeSync(file)
  }
  renameSync(draft, target)
}
