import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { CompactSign, compactVerify, errors, type JWSHeaderParameters } from 'jose'
import type { Head } from './chain.ts'

/** "So many events of this tenant, and the digest of the last one": what a chain alone cannot say of its own ends. */
export interface Checkpoint extends Head {
  tenant: string
  /** When the newest of these events was; UTC to the microsecond, as the others. */
  until: string
  /** When it was signed. */
  at: string
  /** What is older may be gone: the retention when it was signed. */
  keptSince: string
  /** The checkpoint that the signer went on from: who remembers that one need not follow the events in between. */
  previous: Head
}

export interface CheckpointKey {
  readonly kid: string
  readonly algorithm: 'ES256' | 'EdDSA'
  readonly privatePem: string
  readonly publicPem: string
}

/** Never taken for a token, nor a token for it. */
const TYPE = 'audit-checkpoint+jws'

/** A compact JWS (RFC 7515 §7.1). */
export const signCheckpoint = async (checkpoint: Checkpoint, { algorithm, kid, privatePem }: CheckpointKey): Promise<string> =>
  await new CompactSign(Buffer.from(JSON.stringify(checkpoint))).setProtectedHeader({ alg: algorithm, typ: TYPE, kid }).sign(
    createPrivateKey(privatePem)
  )

/** What was signed by one of the keys; null for anything else. */
export async function openCheckpoint (jws: string, keys: readonly CheckpointKey[]): Promise<Checkpoint | null> {
  try {
    const { payload } = await compactVerify(jws, header => publicKeyOf(header, keys))
    return JSON.parse(Buffer.from(payload).toString()) as Checkpoint
  } catch { return null }
}

/** @throws JOSEError where none of our checkpoints has such a header */
function publicKeyOf ({ alg, typ, kid }: JWSHeaderParameters, keys: readonly CheckpointKey[]): KeyObject {
  const key = keys.find(each => each.kid === kid && each.algorithm === alg)
  if (typ !== TYPE || key === undefined) throw new errors.JWSInvalid('no checkpoint of ours')
  return createPublicKey(key.publicPem)
}
