import { createHmac, hkdfSync, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import type { KeyRing } from '../../keys/keys.ts'

/** How long a challenge may be answered. */
export const CHALLENGE_SECONDS = 300

/** Who may answer a challenge: this user as they are now, in the login session that asked for it (null: the token names none). */
export interface Asked { tenant: string, userId: string, epoch: number, session: string | null, rpId: string }

const NUMBER_BYTES = 24
const MAC_BYTES = 32
/** Of a number, below the milliseconds of its issue: two challenges of one moment differ. */
const RANDOM_BITS = 20

const derived = new WeakMap<Buffer, Buffer>()

/** Of a sealing key, for challenges alone; made once. */
function keyOf (sealingKey: Buffer): Buffer {
  const key = derived.get(sealingKey) ?? Buffer.from(hkdfSync('sha256', sealingKey, '', 'headless-mfa passkey challenge', MAC_BYTES))
  derived.set(sealingKey, key)
  return key
}

/** JSON, so that no two users or sessions give the same bytes whatever stands in their names. */
const macOf = (sealingKey: Buffer, { tenant, userId, epoch, session, rpId }: Asked, number: Buffer): Buffer =>
  createHmac('sha256', keyOf(sealingKey)).update(JSON.stringify([tenant, userId, epoch, session, rpId, number.toString('hex')])).digest()

/**
 * A challenge that does not have to be stored: when it was issued, bytes that can't be known before, and a MAC over both and over who may
 * answer it. It ends with the user's epoch, and a key's rotation leaves it good.
 */
export function issueChallenge ({ primary, keys }: KeyRing, asked: Asked, now: Date): Buffer {
  const number = Buffer.concat([Buffer.alloc(8), randomBytes(NUMBER_BYTES - 8)])
  number.writeBigInt64BE((BigInt(now.getTime()) << BigInt(RANDOM_BITS)) | BigInt(randomInt(2 ** RANDOM_BITS)))
  return Buffer.concat([number, macOf(keys.get(primary) as Buffer, asked, number)])
}

/** Why a challenge may not be answered by who answers it now; null where it may. */
export function findChallengeFault ({ keys }: KeyRing, asked: Asked, challenge: Buffer, now: Date): 'challenge' | 'expired' | null {
  if (challenge.length !== NUMBER_BYTES + MAC_BYTES) return 'challenge'
  const number = challenge.subarray(0, NUMBER_BYTES)
  const isOurs = [...keys.values()].some(key => timingSafeEqual(macOf(key, asked, number), challenge.subarray(NUMBER_BYTES)))
  if (!isOurs) return 'challenge'
  return now.getTime() - issuedAt(challenge) > CHALLENGE_SECONDS * 1000 ? 'expired' : null
}

/** By which one that was opened counts once. */
export const numberOf = (challenge: Buffer): bigint => challenge.readBigInt64BE()

/** Milliseconds. */
const issuedAt = (challenge: Buffer): number => Number(numberOf(challenge) >> BigInt(RANDOM_BITS))
