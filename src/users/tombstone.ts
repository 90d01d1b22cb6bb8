import { createHmac } from 'node:crypto'
import type { KeyRing } from '../keys/keys.ts'

/** What is kept of an erased user, by which no one without the pepper finds them. */
export interface Tombstone {
  hash: string
  pepperId: string
  /** The same under every pepper: an older tombstone may be of any. */
  hashes: string[]
}

interface Identity { tenant: string, namespace: string, subject: string }

/** JSON, so that no two users give the same bytes; and what recovery codes are hashed from is no JSON. */
const hashOf = (pepper: Buffer, { tenant, namespace, subject }: Identity): string =>
  createHmac('sha256', pepper).update(JSON.stringify(['tombstone', tenant, namespace, subject])).digest('hex')

export function tombstoneOf ({ primary, keys }: KeyRing, identity: Identity): Tombstone {
  const hashes = new Map([...keys].map(([id, pepper]) => [id, hashOf(pepper, identity)]))
  return { hash: hashes.get(primary) as string, pepperId: primary, hashes: [...hashes.values()] }
}
