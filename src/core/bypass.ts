import type { Hashing } from './hashing.ts'
import type { KeyRing } from './keys.ts'
import { BYPASS_SLOT, digest, formatCode, generateCode } from './recovery-code.ts'

export interface Bypass {
  /** To be shown once. */
  shown: string
  hashed: { hash: string, pepperId: string }
}

/** A code that stands for a second factor in one login: made and kept as recovery codes are. */
export async function createBypass (hasher: Hashing, { primary, keys }: KeyRing): Promise<Bypass> {
  const code = generateCode(BYPASS_SLOT)
  return { shown: formatCode(code), hashed: { hash: await hasher.hash(digest(keys.get(primary) as Buffer, code)), pepperId: primary } }
}
