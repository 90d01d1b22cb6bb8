// What a device is worth, as a pure function: who may trust one, whose it is, and for how long it counts.
import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { decideTrust, decideUse } from '../../src/devices/decide.ts'
import { deviceMac, isDevice, listDevices, readDeviceToken, writeDeviceToken } from '../../src/devices/device.ts'
import { decideAuthorize, decideByToken, type Demands } from '../../src/gateway/decide.ts'
import type { Acr, Caller } from '../../src/http/auth/caller.ts'
import { countsStill, decide, type DecisionSettings, trustedDeviceDays } from '../../src/policy/decide.ts'
import type { Floor } from '../../src/policy/floor.ts'
import { DEFAULT_POLICY, type Policy } from '../../src/policy/policy.ts'
import { hasFreshMfa, isProved } from '../../src/sessions/assurance.ts'
import { renewableAuthentication } from '../../src/sessions/mfa-token.ts'
import type { Factor, TrustedDevice, WholeUser } from '../../src/users/user.ts'
import { aUser, NOW } from '../helpers/snapshot.ts'

const NOW_SECONDS = NOW.getTime() / 1000
const DAY = 86_400
const ring = { primary: 'p1', keys: new Map([['p1', randomBytes(32)]]) }
const settings = {
  issuers: new Set<string>(),
  loginFreshSeconds: 900,
  mfaFreshSeconds: 900,
  adminFactorAgeSeconds: DAY,
  floor: null as Floor | null,
  sessionSeconds: 43_200,
  secondMethods: new Set(['otp']),
  canProve: () => false
}
const session = { id: 's', issuer: 'a', isRemembered: true }
const factor = { id: 'f', kind: 'totp' } as unknown as Factor

const caller = (given: Partial<Caller> = {}): Caller => ({
  kind: 'first',
  tenant: 't',
  namespace: 'a',
  subject: 's',
  roles: [],
  groups: undefined,
  clientId: undefined,
  session,
  amr: ['pwd'],
  authTime: NOW_SECONDS,
  expiresAt: NOW_SECONDS + 900,
  isIdpMfa: false,
  isIdpPhr: false,
  isTokenCapped: true,
  issuerClaims: { loginType: 'local' },
  mfa: undefined,
  ...given
} as Caller)

const withMfa = (acr: Acr, given: Partial<Caller> = {}): Caller =>
  caller({
    kind: 'mfa',
    issuerClaims: undefined,
    mfa: { userId: 'u', epoch: 1, acr, factorId: 'f', generation: 0, isBypass: false },
    ...given
  })

const trusting = (days = 30, given: Partial<WholeUser> = {}): WholeUser =>
  aUser({ policy: { ...DEFAULT_POLICY, trustedDeviceDays: days }, factors: [factor], ...given })

const liftedUser = (authTime: number, days = 30, given: Partial<WholeUser> = {}): WholeUser => trusting(days, {
  session: {
    generation: 0,
    isForged: false,
    authentication: { acr: 'mfa-device', methods: [], factorId: 'f', authTime, endsAt: NOW_SECONDS + 900 }
  },
  ...given
})

t.test('the days are the smaller of the policy\'s and the floor\'s, and none for who ever had a role', async t => {
  const days = (policy: number, floor: Floor | null, isAdministrator = false): number =>
    trustedDeviceDays(trusting(policy, { isAdministrator }), { ...settings, floor })
  t.equal(days(14, null), 14)
  t.equal(days(14, {}), 14)
  t.equal(days(14, { trustedDeviceDays: 7 }), 7)
  t.equal(days(7, { trustedDeviceDays: 14 }), 7)
  t.equal(days(14, { trustedDeviceDays: 0 }), 0)
  t.equal(days(14, { enforcement: 'required' }), 14)
  t.equal(days(14, null, true), 0)
})

t.test('there are none where only a passkey counts of the user, from that time on', async t => {
  const days = (policy: Partial<Policy>, given: Partial<WholeUser> = {}, floor: Floor | null = null): number =>
    trustedDeviceDays(aUser({ policy: { ...DEFAULT_POLICY, trustedDeviceDays: 14, ...policy }, ...given }), { ...settings, floor })
  const required = { enforcement: 'required', phishingResistant: 'required' } as const
  t.equal(days(required), 0)
  t.equal(days({ ...required, phishingResistantFrom: new Date(NOW.getTime() + 1000) }), 14)
  t.equal(days({ ...required, groups: ['staff'] }), 14, 'of others it does')
  t.equal(days({ ...required, enforcement: 'optional' }), 14)
  t.equal(days({ phishingResistant: 'administrators' }), 14)
  t.equal(days({}, {}, required), 0)
  const user = liftedUser(NOW_SECONDS, 14, { policy: { ...DEFAULT_POLICY, trustedDeviceDays: 14, ...required } })
  t.same(decide(user, caller(), NOW, settings), { action: 'enroll', reason: 'phishing_resistant_required' })
  t.equal(decideTrust(user, withMfa('phr'), NOW, settings).outcome, 'not_offered')
  t.same(decideUse(user, caller(), 'x', ring, settings), { outcome: 'refused', cause: 'not_offered' })
  t.match(decideAuthorize(user, caller(), {}, NOW, settings), { action: 'enroll' })
  t.equal(renewableAuthentication(user, caller(), undefined, settings), null)
})

t.test('what a device lifted counts by the database\'s clock, until the days are over; what was proved always does', async t => {
  const counts = (age: number, days: number, acr: Acr = 'mfa-device'): boolean =>
    countsStill({ acr, authTime: NOW_SECONDS - age }, trusting(days), settings)
  t.equal(counts(0, 1), true)
  t.equal(counts(DAY, 1), true)
  t.equal(counts(DAY + 1, 1), false)
  t.equal(counts(-60, 0), false, 'none, even of a clock that is ahead')
  t.equal(countsStill({ acr: 'mfa-device', authTime: undefined }, trusting(30), settings), false)
  for (const acr of ['mfa-recovery', 'mfa', 'phr'] as const) t.equal(counts(1000 * DAY, 0, acr), true)
})

t.test('only a remembered session and a factor of the last 15 minutes earn one', async t => {
  const outcome = (user: WholeUser, who: Caller, now = NOW): string => decideTrust(user, who, now, settings).outcome
  t.match(decideTrust(trusting(10), withMfa('mfa'), NOW, settings), {
    outcome: 'trust', factorId: 'f', earnedAt: NOW_SECONDS, endsAt: NOW_SECONDS + 10 * DAY
  })
  t.equal(outcome(trusting(), withMfa('phr')), 'trust')
  for (const acr of ['mfa-recovery', 'mfa-device'] as const) t.equal(outcome(trusting(), withMfa(acr)), 'step_up', acr)
  t.equal(outcome(trusting(), caller()), 'step_up')
  t.equal(outcome(trusting(), caller({ isIdpMfa: true })), 'step_up')
  t.equal(outcome(trusting(), withMfa('mfa', { authTime: undefined })), 'step_up')
  t.equal(outcome(trusting(), withMfa('mfa'), new Date(NOW.getTime() + 901_000)), 'step_up')
  t.equal(outcome(trusting(0), withMfa('mfa')), 'not_offered')
  t.equal(outcome(trusting(30, { isAdministrator: true }), withMfa('mfa')), 'not_offered')
  t.equal(outcome(trusting(), withMfa('mfa', { session: undefined })), 'not_offered')
  t.equal(outcome(trusting(), withMfa('mfa', { session: { ...session, isRemembered: false } })), 'not_offered')
  t.equal(outcome(trusting(30, { factors: [] }), caller()), 'not_enrolled')
})

t.test('a token is its id and secret, and no other text is', async t => {
  const token = { id: randomUUID(), secret: randomBytes(32) }
  const text = writeDeviceToken(token)
  t.match(text, /^mfad_[\w-]{64}$/)
  t.same(readDeviceToken(text), token)
  for (const other of ['', 'mfad_', text.slice(1), text.toUpperCase(), `${text}==`, text.replace('mfad_', 'mfax_'), `${text}\n`]) {
    t.equal(readDeviceToken(other), null, other)
  }
})

t.test('the secret counts for the device that it was made for, and by a pepper that is still there', async t => {
  const secret = randomBytes(32)
  const claims = { tenant: 't', userId: 'u', epoch: 1, id: 'd', factorId: 'f', earnedAt: 5 }
  const mac = deviceMac(ring, claims, secret)
  t.equal(isDevice(ring, { ...claims, mac }, secret), true)
  const rotated = { primary: 'p2', keys: new Map([['p2', randomBytes(32)], ...ring.keys]) }
  t.equal(isDevice(rotated, { ...claims, mac }, secret), true)
  t.equal(isDevice({ ...rotated, keys: new Map([['p2', randomBytes(32)]]) }, { ...claims, mac }, secret), false)
  t.equal(isDevice(ring, { ...claims, mac }, randomBytes(32)), false)
  for (const change of [{ tenant: 'o' }, { userId: 'o' }, { epoch: 2 }, { id: 'o' }, { factorId: 'o' }, { earnedAt: 6 }]) {
    t.equal(isDevice(ring, { ...claims, ...change, mac }, secret), false, Object.keys(change).join())
  }
})

t.test('a device lifts a session for as long as a code would, and no longer than itself', async t => {
  const token = { id: randomUUID(), secret: randomBytes(32) }
  const of = (earnedAt: number): WholeUser => {
    const mac = deviceMac(ring, { tenant: 't', userId: 'u', epoch: 1, id: token.id, factorId: 'f', earnedAt }, token.secret)
    const device: TrustedDevice = { id: token.id, name: null, factorId: 'f', earnedAt, createdAt: NOW, lastUsedAt: null, mac }
    return trusting(10, { devices: [device] })
  }
  const use = (user: WholeUser, who = caller(), text = writeDeviceToken(token)): any => decideUse(user, who, text, ring, settings)
  t.match(use(of(NOW_SECONDS - DAY)), {
    outcome: 'lift', days: 10, authentication: { acr: 'mfa-device', methods: [], authTime: NOW_SECONDS - DAY, endsAt: NOW_SECONDS + 43_200 }
  })
  t.equal(use(of(NOW_SECONDS - 10 * DAY + 60)).authentication.endsAt, NOW_SECONDS + 60)
  t.same(use(of(NOW_SECONDS - 10 * DAY - 1)), { outcome: 'refused', cause: 'expired' })
  t.same(listDevices(of(NOW_SECONDS - 10 * DAY - 1), settings), [])
  t.same(use(of(NOW_SECONDS), caller(), 'x'), { outcome: 'refused', cause: 'unknown' })
  t.same(use(of(NOW_SECONDS), caller({ session: undefined })), { outcome: 'refused', cause: 'not_offered' })
  t.same(use({ ...of(NOW_SECONDS), isAdministrator: true }), { outcome: 'refused', cause: 'not_offered' })
})

t.test('the decision says by what the session passes: a factor, the provider\'s MFA, a device', async t => {
  const reason = (user: WholeUser, who: Caller): string => decide(user, who, NOW, settings as DecisionSettings).reason
  const old = NOW_SECONDS - 20 * DAY
  t.equal(reason(liftedUser(old), caller()), 'trusted_device')
  t.equal(reason(liftedUser(old, 19), caller()), 'factor_enrolled')
  t.equal(reason(liftedUser(old), caller({ isIdpMfa: true })), 'idp_mfa')
  t.equal(reason(liftedUser(old), withMfa('mfa')), 'mfa_verified')
  t.equal(reason(liftedUser(old), withMfa('mfa-device', { authTime: old })), 'trusted_device')
  t.equal(reason(trusting(19), withMfa('mfa-device', { authTime: old })), 'factor_enrolled')
  t.equal(reason(liftedUser(old, 30, { isAdministrator: true }), caller()), 'factor_enrolled')
  t.equal(reason(liftedUser(old, 30, { isDisabled: true }), caller()), 'user_disabled')
})

t.test('no demand of a gateway is met by a device, from the token alone and by what its session remembers', async t => {
  const fresh = withMfa('mfa-device')
  t.same(decideByToken(fresh, {}, NOW), { action: 'allow', acr: 'mfa-device', reason: 'trusted_device' })
  const ask = (demands: Demands, who = caller(), user = liftedUser(NOW_SECONDS)): unknown =>
    decideAuthorize(user, who, demands, NOW, settings)
  t.same(ask({}), { action: 'allow', acr: 'mfa-device', reason: 'trusted_device' })
  t.same(ask({}, caller({ isIdpMfa: true })), { action: 'allow', acr: 'idp-mfa', reason: 'idp_mfa' })
  t.same(ask({}, withMfa('mfa')), { action: 'allow', acr: 'mfa', reason: 'mfa_verified' })
  for (const demands of [{ acr: 'mfa' }, { maxAge: 900 }, { maxAge: 0 }, { acr: 'mfa', maxAge: 900 }] as Demands[]) {
    t.equal(decideByToken(fresh, demands, NOW), null, JSON.stringify(demands))
    t.match(ask(demands), { action: 'verify' }, JSON.stringify(demands))
    t.match(ask(demands, fresh), { action: 'verify' }, JSON.stringify(demands))
  }
  t.match(ask({ maxAge: 900 }, caller({ isIdpMfa: true })), { action: 'allow', acr: 'idp-mfa' })
})

t.test('it is never fresh, and renewed only while it counts', async t => {
  t.equal(hasFreshMfa(withMfa('mfa-device'), NOW, 900), false)
  t.equal(hasFreshMfa(withMfa('mfa'), NOW, 900), true)
  t.equal(isProved(withMfa('mfa-device')), false)
  t.equal(isProved(caller()), false)
  const renewed = (user: WholeUser, who: Caller, acr?: Acr): Acr | undefined => renewableAuthentication(user, who, acr, settings)?.acr
  const old = NOW_SECONDS - 20 * DAY
  t.equal(renewed(liftedUser(old), caller()), 'mfa-device')
  t.equal(renewed(liftedUser(old), caller(), 'mfa'), undefined)
  t.equal(renewed(liftedUser(old, 19), caller()), undefined)
  t.equal(renewed(trusting(19), withMfa('mfa-device', { authTime: old })), undefined)
  t.equal(renewed(trusting(), withMfa('mfa-device', { authTime: old })), 'mfa-device')
})
