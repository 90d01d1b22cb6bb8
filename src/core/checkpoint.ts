import { sign, verify } from 'node:crypto'
import type { Head } from './audit-chain.ts'

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

export interface CheckpointKey { readonly kid: string, readonly algorithm: 'ES256' | 'EdDSA', readonly privatePem: string, readonly publicPem: string }

/** Never taken for a token, nor a token for it. */
const TYPE = 'audit-checkpoint+jws'

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const hashOf = ({ algorithm }: CheckpointKey): string | null => algorithm === 'ES256' ? 'sha256' : null

/** A compact JWS (RFC 7515 §7.1). */
export function signCheckpoint (checkpoint: Checkpoint, key: CheckpointKey): string {
  const input = `${encode({ alg: key.algorithm, typ: TYPE, kid: key.kid })}.${encode(checkpoint)}`
  return `${input}.${sign(hashOf(key), Buffer.from(input), { key: key.privatePem, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** What was signed by one of the keys; null for anything else. */
export function openCheckpoint (jws: string, keys: readonly CheckpointKey[]): Checkpoint | null {
  const [header = '', payload = '', signature = ''] = jws.split('.')
  // What we sign begins with one of as many headers as there are keys: nothing of it is parsed before it is proved.
  const key = keys.find(({ algorithm, kid }) => header === encode({ alg: algorithm, typ: TYPE, kid }))
  if (key === undefined) return null
  const isOurs = verify(hashOf(key), Buffer.from(`${header}.${payload}`), { key: key.publicPem, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))
  return isOurs ? JSON.parse(Buffer.from(payload, 'base64url').toString()) as Checkpoint : null
}
