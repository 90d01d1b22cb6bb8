import { createHmac, timingSafeEqual } from 'node:crypto'
import type { KeyRing } from '../keys/keys.ts'
import { countsStill, DAY_SECONDS, type DecisionSettings, trustedDeviceDays } from '../policy/decide.ts'
import type { TrustedDevice, WholeUser } from '../users/user.ts'

/** By it scanners and log filters know it for a secret. */
const PREFIX = 'mfad_'
const ID_BYTES = 16
export const SECRET_BYTES = 32

/** What the user's device keeps: which one it is, and its secret. */
export interface DeviceToken { id: string, secret: Buffer }

export const writeDeviceToken = ({ id, secret }: DeviceToken): string =>
  PREFIX + Buffer.concat([Buffer.from(id.replaceAll('-', ''), 'hex'), secret]).toString('base64url')

/** Null for any text that we have not written. */
export function readDeviceToken (text: string): DeviceToken | null {
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url')
  if (bytes.length !== ID_BYTES + SECRET_BYTES) return null
  const id = bytes.toString('hex', 0, ID_BYTES).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  const token = { id, secret: bytes.subarray(ID_BYTES) }
  return writeDeviceToken(token) === text ? token : null
}

/** Which device it is, of which user, by what it was earned and when: what its secret stands for. */
export type DeviceClaims = { tenant: string, userId: string, epoch: number } & Pick<TrustedDevice, 'id' | 'factorId' | 'earnedAt'>

/** JSON, so that no two devices give the same bytes; the first item tells it from what else a pepper is used for. */
const macBy = (pepper: Buffer, { tenant, userId, epoch, id, factorId, earnedAt }: DeviceClaims, secret: Buffer): Buffer =>
  createHmac('sha256', pepper)
    .update(JSON.stringify(['device', tenant, userId, epoch, id, factorId, earnedAt, secret.toString('base64')])).digest()

/** All that is kept of a secret: by the database alone no one makes a device, and none becomes another user's or younger. */
export const deviceMac = ({ primary, keys }: KeyRing, device: DeviceClaims, secret: Buffer): Buffer =>
  macBy(keys.get(primary) as Buffer, device, secret)

/** Is this the secret of the device? By whichever pepper it was made: retiring one forgets the devices that were made with it. */
export const isDevice = ({ keys }: KeyRing, device: DeviceClaims & Pick<TrustedDevice, 'mac'>, secret: Buffer): boolean =>
  [...keys.values()].some(pepper => {
    const expected = macBy(pepper, device, secret)
    return device.mac.length === expected.length && timingSafeEqual(device.mac, expected)
  })

/** Those that could be used now, the newest first, as people are shown them: never a secret. */
export const listDevices = (user: WholeUser, settings: DecisionSettings): object[] =>
  user.devices.filter(({ earnedAt }) => countsStill({ acr: 'mfa-device', authTime: earnedAt }, user, settings)).map(
    ({ id, name, factorId, createdAt, lastUsedAt, earnedAt }) => ({
      id,
      name,
      factorId,
      createdAt: createdAt.toISOString(),
      lastUsedAt: lastUsedAt?.toISOString() ?? null,
      expiresAt: new Date(deviceEnd(earnedAt, trustedDeviceDays(user, settings)) * 1000).toISOString()
    })
  )

/** Until when a device may be used, in unix seconds: it counts from what earned it, whatever its use since. */
export const deviceEnd = (earnedAt: number, days: number): number => earnedAt + days * DAY_SECONDS
