// That a token was signed is checked once; whether its key still counts, and it itself, each time.
import t, { type Test } from 'tap'
import { KEY_SET_LIMITS } from '../../../src/http/auth/remote-keys.ts'
import { newKey, newTenant, startTrusting, TestIssuer, type Trusting, trusting } from '../../helpers/issuers.ts'
import type { Answer } from '../../helpers/service.ts'

/** Each token twice: who checked, and who remembers. */
async function both (t: Test, status: Trusting['status'], token: string, expected: number, what: string): Promise<void> {
  for (const time of ['first', 'second']) t.equal((await status(token)).status, expected, `${what}, the ${time} time`)
}

// CVE-2026-35039: what was said of one token is said of another that shares a part of it.
t.test('what is remembered of a token that was checked is of that token alone, whole', async t => {
  const { service, issuer, status } = await trusting(t)
  const tenant = newTenant()
  // Alike but for the last claim, so that almost all of the text is the same.
  const tokens = ['a', 'b'].map(last => issuer.sign(service.clock, { tenant, sub: 'same', preferred_username: last }))
  const [[head, payload, signature], [, otherPayload, otherSignature]] = tokens.map(token => token.split('.')) as [
    [string, string, string],
    [string, string, string]
  ]
  for (const token of tokens) await both(t, status, token, 200, 'as it was signed')
  await both(t, status, `${head}.${payload}.${otherSignature}`, 401, 'the signature of another')
  await both(t, status, `${head}.${otherPayload}.${signature}`, 401, 'the payload of another')
  await both(t, status, `${head}.${payload}.${signature.slice(0, -2)}AA`, 401, 'another end')
  await both(t, status, tokens[0] as string, 200, 'and the token itself is as good as before')
})

t.test('two users\' tokens are answered for each of them, however often', async t => {
  const { service, issuer } = await trusting(t)
  const tenant = newTenant()
  const users = await Promise.all(['one', 'two'].map(async sub => {
    const token = issuer.sign(service.clock, { tenant, sub })
    return { token, userId: (await service.call('GET', '/mfa/status', { token })).body.userId as string }
  }))
  t.not(users[0]?.userId, users[1]?.userId)
  for (let round = 0; round < 3; round++) {
    for (const { token, userId } of users) t.equal((await service.call('GET', '/mfa/status', { token })).body.userId, userId)
  }
})

t.test('a token that was checked is refused once its key is another under the same kid', async t => {
  const { service: { clock }, issuer, status } = await trusting(t)
  const tenant = newTenant()
  const [old] = issuer.keys as [Record<string, unknown>]
  const token = issuer.sign(clock, { tenant })
  await both(t, status, token, 200, 'by its key')
  issuer.keys = [newKey('ES256', old.kid as string)]
  const real = Date.now
  t.intercept(Date, 'now', { value: () => real() + KEY_SET_LIMITS.maxAge + 1000 })
  await both(t, status, token, 401, 'by the key that has its kid now')
  await both(t, status, issuer.sign(clock, { tenant }), 200, 'what that key has signed')
  issuer.keys = [old]
  t.intercept(Date, 'now', { value: () => real() + 2 * (KEY_SET_LIMITS.maxAge + 1000) })
  t.equal((await status(issuer.sign(clock, { tenant, exp: clock.seconds + 7200 }))).status, 200, 'and back')
})

t.test('a token that was checked is good until its last second and not one longer', async t => {
  const { service: { clock }, issuer, status } = await trusting(t)
  const token = issuer.sign(clock, { tenant: newTenant(), exp: clock.seconds + 20 })
  await both(t, status, token, 200, 'before')
  clock.advance(19)
  t.equal((await status(token)).status, 200)
  clock.advance(1)
  await both(t, status, token, 401, 'after')
})

t.test('a token that comes too early is refused then, and good once its time has come', async t => {
  const { service: { clock }, issuer, status } = await trusting(t)
  const token = issuer.sign(clock, { tenant: newTenant(), nbf: clock.seconds + 600, exp: clock.seconds + 1200 })
  await both(t, status, token, 401, 'before')
  const real = Date.now
  t.intercept(Date, 'now', { value: () => real() + 605_000 })
  clock.advance(605)
  await both(t, status, token, 200, 'after')
})

t.test('what is remembered for one entry of an issuer says nothing for another', async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  const entry = { issuer: issuer.iss, jwksUrl: issuer.jwksUrl, tenants: '*' }
  const service = await startTrusting(t, [{ ...entry, audience: 'users' }, { ...entry, audience: 'machines', loginType: 'service' }])
  const tenant = newTenant()
  const status = async (token: string): Promise<Answer> => await service.call('GET', '/mfa/status', { token })
  await both(t, status, issuer.sign(service.clock, { aud: 'users', tenant }), 200, 'a user')
  await both(t, status, issuer.sign(service.clock, { aud: 'machines', tenant }), 403, 'a machine')
  await both(t, status, issuer.sign(service.clock, { aud: ['users', 'machines'], tenant }), 401, 'who claims to be both')
})
