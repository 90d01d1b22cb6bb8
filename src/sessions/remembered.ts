import { createHmac, timingSafeEqual } from 'node:crypto'
import type { KeyRing } from '../keys/keys.ts'
import type { RememberedAuthentication } from '../users/user.ts'

/** Whose login session an authentication is remembered for; it is dead when the user's epoch moves. */
export interface SessionOwner { tenant: string, userId: string, epoch: number, issuer: string, session: string }

/** As it is stored, with the methods of `authenticationToRemember`. */
export type StoredAuthentication = Omit<RememberedAuthentication, 'isBypass'>

/** JSON, so that no two authentications give the same bytes; the first item tells it from what else a pepper is used for. */
const macBy = (
  pepper: Buffer,
  { tenant, userId, epoch, issuer, session }: SessionOwner,
  { acr, methods, factorId, authTime, endsAt }: StoredAuthentication
): Buffer =>
  createHmac('sha256', pepper)
    .update(JSON.stringify(['session', tenant, userId, epoch, issuer, session, acr, methods, factorId, authTime, endsAt])).digest()

/** What a remembered authentication carries: who can write the database alone makes none, and moves none to another session. */
export const macOf = ({ primary, keys }: KeyRing, owner: SessionOwner, authentication: StoredAuthentication): Buffer =>
  macBy(keys.get(primary) as Buffer, owner, authentication)

/** By whichever pepper it was made. Retiring one forgets what was remembered with it: its users verify once more. */
export const isGenuine = ({ keys }: KeyRing, owner: SessionOwner, authentication: StoredAuthentication, mac: Buffer): boolean =>
  [...keys.values()].some(pepper => {
    const expected = macBy(pepper, owner, authentication)
    return mac.length === expected.length && timingSafeEqual(mac, expected)
  })
