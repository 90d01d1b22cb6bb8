import type { Hashing } from './hashing.ts'
import type { KeyRing } from './keys.ts'
import { BYPASS_SLOT, type CodeOwner, digest, formatCode, generateCode, tagOf } from './recovery-code.ts'

export interface Bypass {
  /** To be shown once. */
  shown: string
  hashed: { hash: string, tag: number, pepperId: string }
}

/** A code that stands for a second factor in one login: made and kept as recovery codes are. */
export async function createBypass (hasher: Hashing, { primary, keys }: KeyRing, owner: CodeOwner): Promise<Bypass> {
  const code = generateCode(BYPASS_SLOT)
  const pepper = keys.get(primary) as Buffer
  const hash = await hasher.hash(digest(pepper, owner, code))
  return { shown: formatCode(code), hashed: { hash, tag: tagOf(pepper, owner, code), pepperId: primary } }
}
