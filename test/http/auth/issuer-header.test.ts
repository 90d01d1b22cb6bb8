import t, { type Test } from 'tap'
import { peerIn } from '../../../src/http/auth/gateway.ts'
import { raw, request } from '../../helpers/raw.ts'
import type { Answer, Service } from '../../helpers/service.ts'
import { bare } from '../../helpers/tokens.ts'
import { newTenant, startTrusting, TestIssuer } from '../../helpers/issuers.ts'

const HEADER = 'X-Gateway-Token'

const hears = (cidrs: string[], remoteAddress: string | undefined): boolean => peerIn(cidrs)({ socket: { remoteAddress } } as never)

t.test('a proxy is trusted by its address, in either notation', async t => {
  t.equal(hears(['10.0.0.0/8'], '::ffff:10.1.2.3'), true)
  t.equal(hears(['2001:db8::/32'], '2001:db8::1'), true)
  for (const address of ['11.0.0.1', '2001:db9::1', '', undefined, 'x']) {
    t.equal(hears(['10.0.0.0/8', '2001:db8::/32'], address), false, String(address))
  }
  t.equal(hears([], '10.0.0.1'), false)
})

interface Stage {
  service: Service
  gateway: TestIssuer
  other: TestIssuer
  call: (method: string, path: string, headers: Record<string, string>, body?: unknown) => Promise<Answer>
}

/** A gateway's issuer, whose header is read, and another one in its namespace. */
async function stage (t: Test, env: Record<string, string> = { TRUSTED_PROXIES: '127.0.0.0/8' }): Promise<Stage> {
  const [gateway, other] = [await new TestIssuer('https://gateway.test').start(t), await new TestIssuer('https://app.test').start(t)]
  const members = { audience: 'mfa', tenants: '*', namespace: 'users', sessionClaim: 'sid' }
  const service = await startTrusting(t, [
    { ...members, issuer: gateway.iss, jwksUrl: gateway.jwksUrl, header: HEADER, loginType: 'sso' },
    { ...members, issuer: other.iss, jwksUrl: other.jwksUrl },
    { ...members, issuer: gateway.iss, jwksUrl: gateway.jwksUrl, audience: 'second', header: 'OIDC_access_token', loginType: 'sso' }
  ], env)
  return { service, gateway, other, call: (method, path, headers, body) => service.call(method, path, { headers, body }) }
}

const JSON_TYPE = { 'content-type': 'application/json' }

t.test('a gateway\'s header names the caller that a bearer token would name', async t => {
  const { service: { clock }, gateway, call } = await stage(t)
  const claims = { tenant: newTenant(), sub: 'alice' }
  const token = gateway.sign(clock, claims)
  t.match((await call('GET', '/mfa/status', { [HEADER]: token })).body, { subject: 'alice', tenant: claims.tenant })
  t.match((await call('GET', '/mfa/status', { [HEADER.toLowerCase()]: token })).body, { subject: 'alice' }, 'in any case')
  t.match(
    (await call('GET', '/mfa/status', { authorization: `Bearer ${token}` })).body,
    { subject: 'alice' },
    "and so does the gateway's token in Authorization"
  )
  t.match((await call('GET', '/mfa/status', { OIDC_access_token: gateway.sign(clock, { ...claims, aud: 'second' }) })).body, {
    subject: 'alice'
  }, 'a header with underscores')
})

t.test('the header is read only from a trusted proxy, by the socket and not by what it forwards', async t => {
  const { service, gateway, call } = await stage(t, { TRUSTED_PROXIES: '10.0.0.0/8,2001:db8::/32' })
  const none = bare(await service.call('GET', '/mfa/status'))
  for (const headers of [{}, { 'x-forwarded-for': '10.0.0.1' }, { forwarded: 'for=10.0.0.1' }, { 'x-real-ip': '10.0.0.1' }]) {
    t.same(bare(await call('GET', '/mfa/status', { [HEADER]: gateway.sign(service.clock), ...headers as Record<string, string> })), none)
  }
  t.equal(
    (await call('GET', '/mfa/status', { authorization: `Bearer ${gateway.sign(service.clock)}`, [HEADER]: 'x' })).status,
    200,
    'nor does it harm a bearer token'
  )
})

t.test('what the header holds is verified like any other token, and only its own issuer speaks there', async t => {
  const { service, gateway, other, call } = await stage(t)
  const { clock } = service
  const tenant = newTenant()
  const user = service.user({ tenant, sub: 'alice' })
  const { token: mfaToken } = await user.enroll(gateway.sign(clock, { tenant, sub: 'alice', sid: 's' }))
  const none = bare(await service.call('GET', '/mfa/status'))
  const good = gateway.sign(clock, { tenant })
  for (const [cause, token] of Object.entries({
    'another issuer': other.sign(clock, { tenant }),
    'another issuer\'s key': other.sign(clock, { iss: gateway.iss, tenant }),
    'another entry\'s audience': gateway.sign(clock, { aud: 'second', tenant }),
    'an MFA token': mfaToken,
    'an ended token': gateway.sign(clock, { exp: clock.seconds - 1, tenant }),
    'an ID token': gateway.sign(clock, { nonce: 'n', tenant }),
    'Bearer before it': `Bearer ${good}`,
    'two tokens': `${good}, ${good}`,
    'no token': 'x'
  })) {
    t.same(bare(await call('GET', '/mfa/status', { [HEADER]: token })), none, cause)
    t.same(
      bare(await call('GET', '/mfa/status', { [HEADER]: token, authorization: `Bearer ${good}` })),
      none,
      `${cause}, beside a good one`
    )
  }
  const twice = await raw(service.url, request('GET /mfa/status', [`${HEADER}: ${good}`, `${HEADER}: ${good}`]))
  t.equal(twice.status, 401, 'the header twice')
  t.equal((await call('GET', '/mfa/status', { [HEADER]: '', authorization: `Bearer ${good}` })).status, 200, 'an empty header is none')
})

t.test('with Authorization beside it both name one user, and one session where both name one; then Authorization counts', async t => {
  const { service, gateway, other, call } = await stage(t)
  const { clock } = service
  const claims = { tenant: newTenant(), sub: 'alice', sid: 'session-1' }
  const user = service.user(claims)
  const { token: mfaToken, secret } = await user.enroll(gateway.sign(clock, claims))
  const both = (header: string, bearer: string) => call('GET', '/mfa/status', { [HEADER]: header, authorization: `Bearer ${bearer}` })
  t.match(
    (await both(gateway.sign(clock, claims), mfaToken)).body.decision,
    { action: 'allow', reason: 'mfa_verified' },
    'the MFA token counts'
  )
  t.match(
    (await both(gateway.sign(clock, { ...claims, sid: undefined }), mfaToken)).body.decision,
    { action: 'allow' },
    'a header that names no session'
  )
  t.match((await both(gateway.sign(clock, claims), gateway.sign(clock, { ...claims, sid: undefined }))).body.decision, { action: 'verify' })
  t.match(
    (await both(gateway.sign(clock, { ...claims, sid: undefined }), other.sign(clock, claims))).body.decision,
    { action: 'verify' },
    'one user by two issuers'
  )

  const none = bare(await service.call('GET', '/mfa/status'))
  const bob = service.user({ ...claims, sub: 'bob' })
  const { token: bobs } = await bob.enroll(gateway.sign(clock, { ...claims, sub: 'bob' }))
  for (const [cause, header, bearer] of [
    ['a stranger\'s MFA token', gateway.sign(clock, claims), bobs],
    ['a stranger in the header', gateway.sign(clock, { ...claims, sub: 'bob' }), mfaToken],
    ['a namesake of another tenant', gateway.sign(clock, { ...claims, tenant: newTenant() }), mfaToken],
    ['another session of the same user', gateway.sign(clock, { ...claims, sid: 'session-2' }), mfaToken],
    ['a session of another issuer', gateway.sign(clock, claims), other.sign(clock, claims)],
    ['another session of a first-factor token', gateway.sign(clock, claims), gateway.sign(clock, { ...claims, sid: 'session-2' })],
    ['an Authorization that is no token', gateway.sign(clock, claims), 'x'],
    ['an MFA token that has ended', gateway.sign(clock, claims), `${mfaToken.slice(0, -4)}AAAA`]
  ] as const) t.same(bare(await both(header, bearer)), none, cause)
  t.same(
    bare(await call('GET', '/mfa/status', { [HEADER]: gateway.sign(clock, claims), authorization: 'Basic eDp4' })),
    none,
    'another scheme'
  )
  t.same(
    bare(
      await call('GET', '/mfa/status', {
        [HEADER]: gateway.sign(clock, claims),
        OIDC_access_token: gateway.sign(clock, { ...claims, aud: 'second', sub: 'bob' })
      })
    ),
    none,
    'two headers that disagree'
  )
  t.equal(
    (await call('GET', '/mfa/status', {
      [HEADER]: gateway.sign(clock, claims),
      OIDC_access_token: gateway.sign(clock, { ...claims, aud: 'second' })
    })).status,
    200,
    'two that agree'
  )
  t.match(await call('POST', '/mfa/verify', { ...JSON_TYPE, [HEADER]: gateway.sign(clock, claims) }, { code: clock.code(secret) }), {
    status: 200
  }, 'and the next code is still good')
})

t.test('who is known by a header alone changes nothing from a page of another site', async t => {
  const { service, gateway, call } = await stage(t)
  const { clock } = service
  const claims = { tenant: newTenant(), sub: 'alice', sid: 'session-1' }
  const header = (): Record<string, string> => ({ [HEADER]: gateway.sign(clock, claims) })
  for (
    const headers of [
      {},
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'application/jsonp' },
      { 'content-type': 'text/plain; application/json' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' }
    ]
  ) {
    t.match(await call('POST', '/mfa/enroll', { ...header(), ...headers as Record<string, string> }), {
      status: 403,
      body: { code: 'forbidden' }
    }, JSON.stringify(headers))
  }
  for (const headers of [JSON_TYPE, { 'content-type': 'Application/JSON; charset=utf-8' }, { 'sec-fetch-site': 'same-origin' }]) {
    t.equal((await call('POST', '/mfa/enroll', { ...header(), ...headers })).status, 201, JSON.stringify(headers))
  }
  t.equal(
    (await call('POST', '/mfa/enroll', { ...header(), authorization: `Bearer ${gateway.sign(clock, claims)}` })).status,
    201,
    'with Authorization no browser does it by itself'
  )
  t.equal((await call('GET', '/mfa/factors', { ...header(), 'sec-fetch-site': 'cross-site' })).status, 200, 'a GET changes nothing')
  t.match(
    await call('DELETE', '/mfa/factors/00000000-0000-4000-8000-000000000000', { ...header(), ...JSON_TYPE }),
    { status: 404 },
    'without a body too'
  )
  t.match(
    await call('POST', '/mfa/enroll', { [HEADER]: 'x' }),
    { status: 401, body: { code: 'invalid_token' } },
    'a bad token is told first'
  )
})

t.test('a machine behind the gateway is not taken for a user of its name', async t => {
  const gateway = await new TestIssuer('https://gateway.test').start(t)
  const entry = { issuer: gateway.iss, jwksUrl: gateway.jwksUrl, tenants: '*' }
  const service = await startTrusting(t, [{ ...entry, audience: 'mfa' }, {
    ...entry,
    audience: 'machines',
    loginType: 'service',
    grants: ['mfa:auditor'],
    header: HEADER,
    sessionClaim: null
  }], { TRUSTED_PROXIES: '127.0.0.1/32' })
  const claims = { tenant: newTenant(), sub: 'crm' }
  const machine = gateway.sign(service.clock, { ...claims, aud: 'machines', roles: ['mfa:auditor'] })
  t.equal((await service.call('GET', '/admin/policy', { headers: { [HEADER]: machine } })).status, 200)
  t.equal((await service.call('GET', '/mfa/status', { headers: { [HEADER]: machine } })).status, 403)
  t.equal(
    (await service.call('GET', '/mfa/status', { headers: { [HEADER]: machine }, token: gateway.sign(service.clock, claims) })).status,
    401
  )
})
