import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { SealedParameters } from '../users/user.ts'
import type { KeyRing } from './keys.ts'

/** Whose secret it is, of which kind, and what it is used by: a sealed secret opens for no other user, and for no other parameters. */
export interface SealContext extends SealedParameters { tenant: string, userId: string, factorId: string }

export interface Sealed { keyId: string, sealed: Buffer }

/** The secret cannot be had: unknown key, changed bytes, or another user's row. Does not tell which. */
export class SealError extends Error {
  override name = 'SealError'
  constructor () { super('a sealed secret does not open') }
}

const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** JSON, so that no two contexts give the same bytes whatever stands in the names. */
function additionalData ({ tenant, userId, factorId, kind, algorithm, digits, period }: SealContext, keyId: string): Buffer {
  return Buffer.from(JSON.stringify([VERSION, tenant, userId, factorId, keyId, kind, algorithm, digits, period]))
}

/** AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D): version | nonce | ciphertext | tag. */
export function seal (ring: KeyRing, context: SealContext, secret: Uint8Array): Sealed {
  const keyId = ring.primary
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', ring.keys.get(keyId) as Buffer, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(additionalData(context, keyId))
  const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()])
  return { keyId, sealed: Buffer.concat([Buffer.of(VERSION), nonce, ciphertext, cipher.getAuthTag()]) }
}

/**
 * What `use` makes of the secret, which is overwritten then, whatever comes of it.
 * @throws SealError whatever the cause, so that an answer cannot tell them apart
 */
export function open<T> (ring: KeyRing, context: SealContext, { keyId, sealed }: Sealed, use: (secret: Buffer) => T): T {
  const key = ring.keys.get(keyId)
  if (key === undefined || sealed[0] !== VERSION || sealed.length <= 1 + NONCE_BYTES + TAG_BYTES) throw new SealError()
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + NONCE_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(additionalData(context, keyId))
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  // The one copy of it.
  const secret = decipher.update(sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES))
  try {
    try { decipher.final() } catch { throw new SealError() }
    return use(secret)
  } finally {
    secret.fill(0)
  }
}
