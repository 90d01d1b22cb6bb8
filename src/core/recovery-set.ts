import type { Hashing } from './hashing.ts'
import type { KeyRing } from './keys.ts'
import { digest, formatCode, generateCodes, slotOf } from './recovery-code.ts'

/** A code as it is stored. */
export interface HashedCode { slot: number, hash: string, pepperId: string }

export interface RecoverySet { shown: string[], hashed: HashedCode[] }

/** A new set: the codes to show once, and what is kept of them. */
export async function createRecoverySet (hasher: Hashing, peppers: KeyRing): Promise<RecoverySet> {
  const codes = generateCodes()
  const pepper = peppers.keys.get(peppers.primary) as Buffer
  const hashed = await Promise.all(codes.map(async code => ({
    slot: slotOf(code), hash: await hasher.hash(digest(pepper, code)), pepperId: peppers.primary
  })))
  return { shown: codes.map(formatCode), hashed }
}
