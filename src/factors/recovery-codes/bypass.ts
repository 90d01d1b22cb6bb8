import type { KeyRing } from '../../keys/keys.ts'
import type { Hashing } from '../../platform/bcrypt/hashing.ts'
import { BYPASS_SLOT, type CodeOwner, digest, formatCode, generateCode, tagOf } from './recovery-code.ts'

export interface Bypass {
  /** To be shown once. */
  shown: string
  hashed: { hash: string, tag: number, pepperId: string }
}

/** A code that stands for a second factor in one login: made and kept as recovery codes are. */
export async function createBypass (hash: Hashing['hash'], { primary, keys }: KeyRing, owner: CodeOwner): Promise<Bypass> {
  const code = generateCode(BYPASS_SLOT)
  const pepper = keys.get(primary) as Buffer
  return {
    shown: formatCode(code),
    hashed: { hash: await hash(digest(pepper, owner, code)), tag: tagOf(pepper, owner, code), pepperId: primary }
  }
}
