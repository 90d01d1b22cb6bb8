import { createHash, randomBytes } from 'node:crypto'

/** What development calls its keys. */
export const DEVELOPMENT_ID = 'dev'
export const DEVELOPMENT_KID = 'development'

const HALF = 16

/** Development's keys carry a mark, whatever they are called and wherever they are copied to: half of each is a hash of the other half. */
const markOf = (random: Uint8Array): Buffer =>
  createHash('sha256').update("a key of a developer's machine").update(random).digest().subarray(0, HALF)

/** 32 bytes, as good as 16 random ones. As a number they are less than the order of P-256. */
export function makeDevelopmentKey (): Buffer {
  const random = randomBytes(HALF)
  random.writeUInt8(random.readUInt8() & 0x7f)
  return Buffer.concat([random, markOf(random)])
}

export const isDevelopmentKey = (key: Buffer): boolean =>
  key.length === 2 * HALF && markOf(key.subarray(0, HALF)).equals(key.subarray(HALF))
