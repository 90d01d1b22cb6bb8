import { createHash, createHmac } from 'node:crypto'

/** Keys by id: the first one is for what is new, the others for what is there. */
export interface KeyRing { readonly primary: string, readonly keys: ReadonlyMap<string, Buffer> }

export type Purpose = 'sealing' | 'pepper' | 'signing'

/** A key as the database knows it: by its id, and by what tells it from another key of that id. */
export interface KeyMark { purpose: Purpose, id: string, fingerprint: string, isFirst: boolean }

export interface KeySet {
  readonly sealing: KeyRing
  readonly peppers: KeyRing
  readonly signing: ReadonlyArray<{ readonly kid: string, readonly publicJwk: Readonly<Record<string, string>> }>
}

/** Every key of the configuration, as it is made known to the database. */
export const markKeys = ({ sealing, peppers, signing }: KeySet): KeyMark[] => [
  ...markRing('sealing', sealing),
  ...markRing('pepper', peppers),
  ...signing.map(({ kid, publicJwk }, index) => ({
    purpose: 'signing' as const,
    id: kid,
    fingerprint: thumbprint(publicJwk),
    isFirst: index === 0
  }))
]

const markRing = (purpose: Purpose, { primary, keys }: KeyRing): KeyMark[] =>
  [...keys].map(([id, key]) => ({ purpose, id, fingerprint: fingerprint(purpose, key), isFirst: id === primary }))

/** Of 32 random bytes: it tells nothing of them. What else a key is used for begins with no such text. */
const fingerprint = (purpose: Purpose, key: Buffer): string =>
  createHmac('sha256', key).update(`headless-mfa fingerprint of a ${purpose} key`).digest('base64url')

/** RFC 7638: the members that make the key, in the order of their names. */
function thumbprint ({ crv, kty, x, y }: Readonly<Record<string, string>>): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
}
