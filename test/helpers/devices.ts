// Users who trust a device, over HTTP.
import { randomUUID } from 'node:crypto'
import sql from 'sql-template-tag'
import { deviceMac, readDeviceToken } from '../../src/devices/device.ts'
import { type Answer, claimsOf, type Enrolled, type Service, type User } from './service.ts'

/** What a login session is remembered by: without it there are no devices. */
export const REMEMBERING = { JWT_SESSION_CLAIM: 'sid' }

/** As an administrator sets it. */
export async function allowDevices ({ service, tenant }: User, days = 30): Promise<void> {
  await service.db.settle(
    'put_policy',
    sql`${tenant}, NULL::int, ${{ trustedDeviceDays: days }}::jsonb, 'test', '{"actor": "operator"}'::jsonb`
  )
}

export interface Trusted { deviceId: string, deviceToken: string, expiresAt: string }

export async function trustDevice (user: User, token: string, name?: string): Promise<Trusted> {
  const answer = await user.call('POST', '/mfa/devices', name === undefined ? {} : { name }, token)
  if (answer.status !== 201) throw new Error(`trust: ${answer.text}`)
  return answer.body
}

/** A new login of this user; `more` are claims of its token. */
export const login = (user: User, more: object = {}): string => user.token({ sid: randomUUID(), ...more })

export const useDevice = (user: User, deviceToken: string, token = login(user), body: object = {}): Promise<Answer> =>
  user.call('POST', '/mfa/devices/use', { deviceToken, ...body }, token)

export interface Truster extends Enrolled, Trusted { user: User }

/** A user of a tenant that has devices, who trusts one. */
export async function truster (
  service: Service,
  { days = 30, ...claims }: { days?: number, [claim: string]: unknown } = {}
): Promise<Truster> {
  const user = service.user(claims)
  await allowDevices(user, days)
  const enrolled = await user.enroll(login(user))
  return { user, ...enrolled, ...await trustDevice(user, enrolled.token, 'Work laptop') }
}

/** The token of a session that the device has lifted. */
export async function lifted (user: User, deviceToken: string, token = login(user)): Promise<string> {
  const answer = await useDevice(user, deviceToken, token)
  if (answer.status !== 200 || claimsOf(answer.body.token).acr !== 'mfa-device') throw new Error(`use: ${answer.text}`)
  return answer.body.token
}

/** As if it had been earned so many seconds earlier. */
export async function age ({ user, deviceToken, factorId, token }: Truster, seconds: number): Promise<void> {
  const { service: { db, secrets }, tenant } = user
  const { id: userId, epoch } = await user.row()
  const { id, secret } = readDeviceToken(deviceToken) as NonNullable<ReturnType<typeof readDeviceToken>>
  const earnedAt = claimsOf(token).auth_time - seconds
  const mac = deviceMac(secrets.peppers, { tenant, userId, epoch, id, factorId, earnedAt }, secret)
  await db.rows`UPDATE devices SET earned_at = to_timestamp(${earnedAt}::float8), mac = ${mac}
    WHERE tenant = ${tenant} AND user_id = ${userId}::uuid AND id = ${id}::uuid`
}
