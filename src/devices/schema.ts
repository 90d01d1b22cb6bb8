import { type Static, Type } from 'typebox'
import { Audience, Label, NullableTime, STORABLE, Time, tokenExample, tokenFields, Uuid } from '../http/schema.ts'

const ID = '9b0c3d6e-1f2a-4b5c-8d7e-6f5a4b3c2d1e'
const TOKEN = 'mfad_mww9bh8qS1yNfm9aSzwtHgABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'

export const TrustRequest = Type.Object({
  name: Type.Optional({ ...Label, description: 'What the user calls this device', examples: ['Work laptop'] })
}, { $id: 'TrustRequest', additionalProperties: false, examples: [{ name: 'Work laptop' }, {}] })
export type TrustRequest = Static<typeof TrustRequest>

export const NewDevice = Type.Object({
  deviceId: Uuid,
  deviceToken: Type.String({ description: 'A secret. Keep it where only this device has it. It is shown only now' }),
  expiresAt: { ...Time, description: 'Until when it can be used. It counts from the proof of the second factor: use does not extend it' }
}, { $id: 'NewDevice', examples: [{ deviceId: ID, deviceToken: TOKEN, expiresAt: '2026-12-24T12:00:00.000Z' }] })

export const DeviceUse = Type.Object({
  deviceToken: Type.String({
    pattern: STORABLE,
    description: 'As `POST /mfa/devices` gave it',
    'x-message': 'must be text, as `POST /mfa/devices` gave it',
    examples: [TOKEN]
  }),
  audience: Audience
}, { $id: 'DeviceUse', additionalProperties: false, examples: [{ deviceToken: TOKEN }] })
export type DeviceUse = Static<typeof DeviceUse>

export const LiftedToken = Type.Object({
  ...tokenFields,
  acr: Type.Enum(['mfa-device', 'mfa', 'mfa-recovery', 'phr'], {
    description: '`mfa-device`, or what was proved in this session before'
  })
}, { $id: 'LiftedToken', examples: [{ ...tokenExample, acr: 'mfa-device', amr: ['pwd'] }] })

export const Device = Type.Object({
  id: Uuid,
  name: Type.Union([Type.String(), Type.Null()]),
  factorId: { ...Uuid, description: 'The authenticator that was proved' },
  createdAt: Time,
  lastUsedAt: NullableTime,
  expiresAt: Time
}, {
  $id: 'Device',
  examples: [{
    id: ID,
    name: 'Work laptop',
    factorId: '5f2c1a90-6f0f-4c6e-9b9e-0a7b1f3f8c11',
    createdAt: '2026-11-24T12:00:00.000Z',
    lastUsedAt: null,
    expiresAt: '2026-12-24T12:00:00.000Z'
  }]
})

export const DeviceList = Type.Object({ items: Type.Array(Type.Ref('Device')) }, { $id: 'DeviceList' })

export const DeviceParams = Type.Object({ deviceId: Uuid }, { additionalProperties: false })
export type DeviceParams = Static<typeof DeviceParams>

export const DEVICE_SCHEMAS = [TrustRequest, NewDevice, DeviceUse, LiftedToken, Device, DeviceList]
