import { randomBytes, randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { settleUncharged } from '../factors/refusals.sql.ts'
import { byOf, wholeUser } from '../guard.ts'
import { refuse } from '../http/auth/refused-token.ts'
import { operation } from '../http/openapi.ts'
import { evenIfGone, forCaller } from '../http/plugins/budget.ts'
import { DETAILS, Problem } from '../http/problem.ts'
import { afterChange } from '../platform/unavailable.ts'
import { assuranceSettings, decisionSettings, type Services } from '../services.ts'
import { checkKnown, issueSettled, issueToken, remembered, type TokenAnswer } from '../sessions/issue.ts'
import { renewableAuthentication } from '../sessions/mfa-token.ts'
import { decideTrust, decideUse, type RefusalCause } from './decide.ts'
import { deviceMac, listDevices, SECRET_BYTES, writeDeviceToken } from './device.ts'
import { DEVICE_SCHEMAS, DeviceParams, type DeviceUse, type TrustRequest } from './schema.ts'
import { settleForgotten, settleTrusted, settleUsed } from './store.ts'

const EMPTY = Type.Object({}, { additionalProperties: false })

export function registerDevices (app: FastifyInstance, services: Services): void {
  for (const schema of DEVICE_SCHEMAS) app.addSchema(schema)
  registerTrust(app, services)
  registerUse(app, services)
  registerListAndForget(app, services)
}

function registerTrust (app: FastifyInstance, { config, clock, db, guard, kinds, secrets }: Services): void {
  const settings = assuranceSettings(config, kinds)

  app.post('/mfa/devices', {
    onRequest: guard.user,
    schema: operation({
      id: 'trustDevice',
      tag: 'Devices',
      summary: 'Do not ask again on this device',
      description:
        'Needs an MFA token of an authenticator or passkey, fresh: not of a recovery code, and not of another device. Keep the token in ' +
        'an `HttpOnly` cookie of your own back end. `not_offered` where the policy has no days for it, for users who ever had an `mfa:` ' +
        "role, and where the issuer's tokens name no login session. A user has ten devices; the oldest makes room. The user is told.",
      body: Type.Ref('TrustRequest'),
      answers: { 201: { schema: Type.Ref('NewDevice'), description: 'The device, with its secret.' } },
      ifUnknown: 'Look at GET /mfa/devices. The secret is lost: remove the device, and repeat the call.',
      errors: ['not_offered', 'not_enrolled', 'step_up_required'],
      details: { not_offered: DETAILS.noDevices }
    })
  }, async (request, reply) => {
    const { caller, storedUser: user } = request
    const decision = decideTrust(user, caller, clock(), settings)
    if (decision.outcome === 'not_offered') throw new Problem('not_offered', { detail: DETAILS.noDevices })
    if (decision.outcome === 'not_enrolled') throw new Problem('not_enrolled')
    if (decision.outcome === 'step_up') throw new Problem('step_up_required', decision.stepUp)
    const { factorId, earnedAt, endsAt } = decision
    const { tenant, userId, epoch } = user
    const device = { id: randomUUID(), secret: randomBytes(SECRET_BYTES) }
    const mac = deviceMac(secrets.peppers, { tenant, userId, epoch, id: device.id, factorId, earnedAt }, device.secret)
    const name = (request.body as TrustRequest).name?.normalize('NFC') ?? null
    const result = await forCaller(
      request,
      () => settleTrusted(db, { tenant, userId, epoch, deviceId: device.id, mac, name, factorId, earnedAt, by: byOf(request) })
    )
    // What earned it has ended meanwhile.
    if (result.outcome !== 'trusted') refuse('revoked')
    reply.code(201)
    return { deviceId: device.id, deviceToken: writeDeviceToken(device), expiresAt: new Date(endsAt * 1000).toISOString() }
  })
}

function registerUse (app: FastifyInstance, services: Services): void {
  const { config, db, guard, kinds, secrets } = services
  const settings = {
    ...decisionSettings(config, kinds),
    secondMethods: kinds.methodsOf(config),
    sessionSeconds: config.MFA_SESSION_MAX_AGE_SECONDS
  }

  app.post('/mfa/devices/use', {
    onRequest: guard.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'useDevice',
      tag: 'Devices',
      summary: 'Get an MFA token by a trusted device',
      description:
        'Send the first-factor token after the login. The `acr` of the MFA token is `mfa-device`, and its `auth_time` is that of the ' +
        'proof by which the device came to be trusted: it opens nothing that asks for a fresh or a real second factor. The login session ' +
        'is remembered for as long as after a code, and no longer than the device is trusted. If a second factor counts in this session ' +
        'already, the answer is that of `POST /mfa/token`. Any device that does not fit is `code_refused`: forget its token, and ask for ' +
        'a code.',
      body: Type.Ref('DeviceUse'),
      answers: { 200: { schema: Type.Ref('LiftedToken'), description: 'The token.' } },
      ifUnknown: 'Repeat the call: that does no harm.',
      errors: ['code_refused'],
      details: { code_refused: DETAILS.device }
    })
  }, async request => {
    const { deviceToken, audience } = request.body as DeviceUse
    checkKnown(services, audience)
    const { caller } = request
    const by = byOf(request)

    /** By what was proved in this session, if that counts. */
    function renewed (): TokenAnswer | null {
      const { userId, epoch, session: { generation } } = request.storedUser
      const authentication = renewableAuthentication(request.storedUser, caller, undefined, settings)
      return authentication === null ? null : issueToken(services, caller, { userId, epoch, generation }, authentication, { audience })
    }

    async function refuseDevice (cause: RefusalCause): Promise<never> {
      const { tenant, userId } = request.storedUser
      await forCaller(request, () => settleUncharged(db, { tenant, userId, call: 'device', kind: 'device', cause, by }))
      throw new Problem('code_refused', { detail: DETAILS.device })
    }

    const before = renewed()
    if (before !== null) return before
    const user = wholeUser(request)
    const decision = decideUse(user, caller, deviceToken, secrets.peppers, settings)
    if (decision.outcome === 'refused') return await refuseDevice(decision.cause)
    const { deviceId, mac, days, authentication } = decision
    const { tenant, userId, epoch } = user
    const toRemember = remembered(services, user, caller, authentication) as object
    const result = await forCaller(
      request,
      () => settleUsed(db, { tenant, userId, epoch, deviceId, mac, days, authentication: toRemember, by })
    )
    if (result.outcome === 'accepted') return issueSettled(services, caller, user, authentication, result, { audience })
    if (result.outcome === 'gone') return await refuseDevice('unknown')
    await afterChange(guard.refresh(request))
    return renewed() ?? await refuseDevice('unknown')
  })
}

function registerListAndForget (app: FastifyInstance, { config, db, guard, kinds }: Services): void {
  const settings = decisionSettings(config, kinds)

  app.get('/mfa/devices', {
    onRequest: guard.user,
    config: { isOfWhole: true },
    schema: operation({
      id: 'listDevices',
      tag: 'Devices',
      summary: 'List the devices that the user trusts',
      answers: { 200: { schema: Type.Ref('DeviceList'), description: 'Newest first. Never a secret.' } },
      errors: []
    })
  }, async request => ({ items: listDevices(wholeUser(request), settings) }))

  app.delete('/mfa/devices/:deviceId', {
    onRequest: guard.user,
    schema: operation({
      id: 'forgetDevice',
      tag: 'Devices',
      summary: 'Stop trusting a device',
      description:
        'A first-factor token is enough. What the device has opened ends too: MFA tokens and sessions, on every replica within a second.',
      params: DeviceParams,
      body: EMPTY,
      answers: { 204: { description: 'It is not trusted any more.' } },
      ifUnknown: 'Look at GET /mfa/devices.',
      errors: ['not_found']
    })
  }, async (request, reply) => {
    const { deviceId } = request.params as DeviceParams
    const { tenant, userId } = request.storedUser
    const result = await evenIfGone(request, () => settleForgotten(db, { tenant, userId, deviceId, by: byOf(request) }))
    if (result.outcome !== 'removed') throw new Problem('not_found')
    return reply.code(204).send()
  })

  app.delete('/mfa/devices', {
    onRequest: guard.user,
    schema: operation({
      id: 'forgetDevices',
      tag: 'Devices',
      summary: 'Stop trusting all devices',
      description: 'As for one device. The answer is the same if there was none.',
      body: EMPTY,
      answers: { 204: { description: 'None is trusted any more.' } },
      ifUnknown: 'Repeat the call: that does no harm.',
      errors: []
    })
  }, async (request, reply) => {
    const { tenant, userId } = request.storedUser
    await evenIfGone(request, () => settleForgotten(db, { tenant, userId, deviceId: null, by: byOf(request) }))
    return reply.code(204).send()
  })
}
