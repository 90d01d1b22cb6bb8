import type { KeyRing } from '../../keys/keys.ts'
import { type CodeOwner, digest, formatCode, generateCodes, slotOf, tagOf } from './recovery-code.ts'

/** A code as it is stored. */
export interface HashedCode { slot: number, hash: string, tag: number, pepperId: string }

export interface RecoverySet { shown: string[], hashed: HashedCode[] }

/** A new set: the codes to show once, and what is kept of them. */
export async function createRecoverySet (
  hash: (text: string) => Promise<string>,
  { primary, keys }: KeyRing,
  owner: CodeOwner
): Promise<RecoverySet> {
  const codes = generateCodes()
  const pepper = keys.get(primary) as Buffer
  const hashed = await Promise.all(codes.map(async code => ({
    slot: slotOf(code), hash: await hash(digest(pepper, owner, code)), tag: tagOf(pepper, owner, code), pepperId: primary
  })))
  return { shown: codes.map(formatCode), hashed }
}
