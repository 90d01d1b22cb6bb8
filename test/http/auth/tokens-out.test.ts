import * as jose from 'jose'
import t from 'tap'
import { AUDIENCE, claimsOf, headerOf, ISSUER, OWN_ISSUER, type Service, signingKey, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** As an application would: the published keys, our issuer, the audience, one kind of token. */
const verify = async (service: Service, token: string): Promise<jose.JWTPayload> =>
  (await jose.jwtVerify(token, jose.createRemoteJWKSet(new URL(`${service.url}/.well-known/jwks.json`)), {
    issuer: OWN_ISSUER, audience: 'mfa-own', typ: 'at+jwt', algorithms: ['ES256', 'EdDSA'], currentDate: service.clock.read()
  })).payload

const setOf = (...keys: object[]): { MFA_SIGNING_KEYS: string } => ({ MFA_SIGNING_KEYS: JSON.stringify({ keys }) })

for (const [algorithm, type] of [['ES256', 'ec'], ['EdDSA', 'ed25519']] as const) {
  t.test(`an MFA token is an ${algorithm} access token that anyone can verify by our published keys`, async t => {
    const service = await startService(t, setOf(signingKey('2026-11', type)))
    const user = service.user()
    const { token } = await user.enroll()
    t.same(headerOf(token), { alg: algorithm, typ: 'at+jwt', kid: '2026-11' })
    t.equal((await verify(service, token)).sub, user.sub)
    await t.rejects(verify(service, `${token.slice(0, -8)}AAAAAAAA`), 'and no other')
  })
}

t.test('it says who, by what and until when, exactly', async t => {
  const service = await useService(t)
  const { clock } = service
  const user = service.user({
    roles: ['mfa:auditor', 'sales'],
    groups: ['staff', 'berlin'],
    sid: 'session-1',
    client_id: 'web',
    email: 'a@example.com',
    scope: 'everything',
    cnf: { jkt: 'x' },
    name: 'Alice'
  })
  const { factorId, secret } = await user.enroll()
  const { body } = await user.call('POST', '/mfa/verify', { code: clock.code(secret) })
  const { id, epoch } = await user.row()
  const { jti, ...claims } = claimsOf(body.token)
  t.match(jti, UUID)
  t.same(claims, {
    iss: OWN_ISSUER,
    aud: 'mfa-own',
    sub: user.sub,
    uid: id,
    ns: ISSUER,
    tenant: user.tenant,
    roles: ['mfa:auditor', 'sales'],
    groups: ['staff', 'berlin'],
    client_id: 'web',
    sid: 'session-1',
    sid_iss: ISSUER,
    auth_time: clock.seconds,
    amr: ['pwd', 'otp', 'mfa'],
    acr: 'mfa',
    fid: factorId,
    epoch,
    iat: clock.seconds,
    exp: clock.seconds + 900
  })
  t.match(body, { tokenType: 'Bearer', expiresIn: 900, acr: 'mfa', amr: claims.amr })
})

t.test('what the first token did not claim is not claimed', async t => {
  const service = await useService(t)
  const { token } = await service.user({ amr: undefined as never }).enroll()
  const claims = claimsOf(token)
  for (const name of ['groups', 'client_id', 'sid', 'sid_iss', 'email', 'cnf']) t.notOk(name in claims, name)
  t.same([claims.amr, claims.roles], [['otp', 'mfa'], []])
})

t.test('amr tells the truth: what was proved before, and what was proved here', async t => {
  const service = await useService(t)
  const { clock } = service
  const user = service.user()
  const { secret, recoveryCodes } = await user.enroll()
  const cases: Array<[string[], string[]]> = [
    [['pwd'], ['pwd']],
    [['hwk', 'user'], ['hwk', 'user']],
    [['mfa', 'otp', 'recovery'], []],
    [['pwd', 'mfa', 'otp'], ['pwd']],
    [['otp', 'otp'], []],
    [[], []]
  ]
  for (const [amr, kept] of cases) {
    const { body } = await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, user.token({ amr }))
    t.same(claimsOf(body.token).amr, [...kept, 'otp', 'mfa'], amr.join())
    clock.advance(30)
  }
  for (const [index, [amr, kept]] of cases.entries()) {
    const { body } = await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[index] }, user.token({ amr }))
    t.match(claimsOf(body.token), { amr: [...kept, 'recovery', 'mfa'], acr: 'mfa-recovery' }, `${amr.join()}: a recovery is no otp`)
    t.equal(claimsOf(body.token).amr.includes('otp'), false)
  }
})

t.test('a recovery stays a recovery through what is done with it', async t => {
  const service = await useService(t)
  const user = service.user()
  const { recoveryCodes } = await user.enroll()
  const { body: { token } } = await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  const again = await user.enroll(token)
  t.match(claimsOf(again.token), { acr: 'mfa-recovery', amr: ['pwd', 'otp', 'recovery', 'mfa'] })
  const replaced = await service.call('POST', '/mfa/verify', { token: again.token, body: { code: service.clock.code(again.secret) } })
  t.match(claimsOf(replaced.body.token), { acr: 'mfa', amr: ['pwd', 'otp', 'mfa'] }, 'until a code of an authenticator is proved')
})

t.test('an MFA token lives for at most 15 minutes and never past the token that it was made from', async t => {
  const service = await useService(t)
  const { clock } = service
  const user = service.user()
  const { secret, token } = await user.enroll()
  const lives = async (claims: object): Promise<[number, number]> => {
    const { body } = await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, user.token({ ...claims }))
    const { exp, iat } = claimsOf(body.token)
    clock.advance(30)
    return [exp - iat, body.expiresIn]
  }
  t.same(await lives({ exp: clock.seconds + 7200 }), [900, 900])
  t.same(await lives({ exp: clock.seconds + 100 }), [100, 100])
  t.same(await lives({ exp: clock.seconds + 1 }), [1, 1])
  const { body } = await user.call('POST', '/mfa/verify', { code: clock.code(secret) }, token)
  t.equal(claimsOf(body.token).exp, claimsOf(token).exp, 'nor past an MFA token')
  t.match(claimsOf(body.token), { auth_time: clock.seconds, amr: ['pwd', 'otp', 'mfa'] })
  const short = await startService(t, { ...service.env, MFA_TOKEN_SECONDS: '60' }, clock)
  const other = await short.user().enroll()
  t.equal(claimsOf(other.token).exp - claimsOf(other.token).iat, 60)
})

t.test('no body names an audience, a subject or rights', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  const before = service.clock.code(secret)
  for (
    const [name, value] of Object.entries({
      sub: 'bob',
      roles: ['mfa:admin'],
      scope: 'x',
      aud: AUDIENCE,
      acr: 'mfa',
      amr: ['hwk'],
      exp: 1e10,
      tenant: 'x',
      uid: 'x'
    })
  ) {
    t.equal((await user.call('POST', '/mfa/verify', { code: before, [name]: value })).status, 400, name)
  }
})

t.test('every token has an id of its own, and nothing in it is a secret', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret, recoveryCodes, token } = await user.enroll()
  const tokens = [token]
  for (let i = 0; i < 20; i++) tokens.push(await user.verify(secret))
  t.equal(new Set(tokens.map(each => claimsOf(each).jti)).size, tokens.length)
  const text = tokens.map(each => JSON.stringify(claimsOf(each))).join()
  for (const canary of [secret, ...recoveryCodes as string[], service.env.JWT_SECRET as string, 'otpauth']) t.notOk(text.includes(canary))
})

t.test('a token comes in the body of an answer that no cache keeps, and a refusal has none', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret } = await user.enroll()
  const code = service.clock.code(secret)
  const accepted = await user.call('POST', '/mfa/verify', { code })
  t.equal(accepted.headers.get('cache-control'), 'no-store')
  for (const name of ['location', 'set-cookie', 'authorization', 'x-auth-token']) t.notOk(accepted.headers.has(name), name)
  t.notOk([...accepted.headers.values()].some(value => value.includes(accepted.body.token)))
  for (
    const refused of [
      await user.call('POST', '/mfa/verify', { code }),
      await user.call('POST', '/mfa/verify', { code: service.clock.wrongCode(secret) })
    ]
  ) {
    t.equal(refused.status, 422, 'also the same request again')
    t.notMatch(refused.text, /eyJ/)
  }
})

t.test('a token for an application is for it alone: this service takes it for no caller', async t => {
  const service = await useService(t, { MFA_APPLICATION_AUDIENCES: 'billing' })
  const user = service.user({ roles: ['mfa:admin'] })
  const { secret } = await user.enroll()
  const { body: { token } } = await user.call('POST', '/mfa/verify', { code: service.clock.code(secret), audience: 'billing' })
  t.match(claimsOf(token), { aud: 'billing', acr: 'mfa', sub: user.sub })
  const neighbour = service.user()
  const { body: { token: allowed } } = await neighbour.call('POST', '/mfa/token', { audience: 'billing' })
  t.match(claimsOf(allowed), { aud: 'billing', acr: 'none', mfa_reason: 'not_required' })
  for (const bearer of [token, allowed]) {
    for (const [method, path] of [['GET', '/mfa/status'], ['GET', '/admin/policy'], ['POST', '/mfa/token']] as const) {
      t.match(await service.call(method, path, { token: bearer }), { status: 401, body: { code: 'invalid_token' } })
    }
  }
  t.match(await user.call('POST', '/mfa/token', { audience: 'another' }), { status: 400, body: { errors: [{ field: 'audience' }] } })
})

t.test('an MFA token is accepted wherever the first one is', async t => {
  const service = await useService(t)
  const user = service.user()
  const { secret, token } = await user.enroll()
  t.match((await user.call('GET', '/mfa/status', undefined, token)).body, {
    subject: user.sub,
    decision: { action: 'allow', reason: 'mfa_verified' }
  })
  t.equal((await user.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, token)).status, 200)
})
