// Why a token is refused: one line for the operator, in development for the caller too, in production for no one else.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { Metrics } from '../../../src/http/plugins/metrics.ts'
import { explain, RefusedToken, REFUSAL_CAUSES } from '../../../src/http/auth/refused-token.ts'
import { Refusals } from '../../../src/http/auth/refusals.ts'
import { newTenant, startTrusting, TestIssuer } from '../../helpers/issuers.ts'
import { raw, request } from '../../helpers/raw.ts'
import { first, REFUSED } from '../../helpers/refused.ts'
import { type Answer, AUDIENCE, claimsOf, encode, ISSUER, SECRET, type Service, signToken, startService } from '../../helpers/service.ts'
import { bare, compact, withKey } from '../../helpers/tokens.ts'
import { until } from '../../helpers/until.ts'

const linesOf = ({ log }: Service): any[] => log.map(line => JSON.parse(line)).filter(({ msg }) => /^token refused/.test(msg))
const ask = (service: Service, token: string, headers: Record<string, string> = {}): Promise<Answer> =>
  service.call('GET', '/mfa/status', { token, headers })

t.test('each cause has its words, in the log and in the answer', async t => {
  const service = await startService(t)
  const now = service.clock.seconds
  for (const [name, [token, cause, text, entry]] of Object.entries(REFUSED)) {
    const given = token(service, now)
    const before = linesOf(service).length
    const answer = await ask(service, given)
    t.match(answer, { status: 401, body: { code: 'invalid_token', cause: text } }, name)
    service.app.log.info(name) // the lines of one cause are told once, so each is looked for on its own
    const lines = linesOf(service)
    if (lines.length > before) {
      t.match(lines.at(-1), {
        level: 30,
        reqId: answer.headers.get('x-request-id'),
        cause,
        count: 1,
        msg: typeof text === 'string' ? `token refused: ${text}` : /^token refused: /
      }, name)
      t.equal(lines.at(-1).entry, entry, `${name}: held against`)
    }
  }
  const causes = new Set(linesOf(service).map(({ cause }) => cause))
  t.same([...new Set(Object.values(REFUSED).map(([, cause]) => cause))].filter(cause => !causes.has(cause)), [], 'each cause is in the log')
  t.match(linesOf(service).find(({ cause }) => cause === 'audience'), {
    presented: { iss: ISSUER, aud: 'account', alg: 'HS256', typ: 'JWT', exp: Number }
  }, 'what the token says of itself')
})

t.test('no token, several, and what is no bearer token say so', async t => {
  const service = await startService(t)
  const { body } = await service.call('GET', '/mfa/status')
  t.equal(body.cause, 'there is no token in Authorization')
  for (const authorization of ['Basic YWxpY2U6c2VjcmV0', 'Bearer', 'eyJhbGciOiJIUzI1NiJ9.e30.AA']) {
    t.equal(
      (await service.call('GET', '/mfa/status', { headers: { authorization } })).body.cause,
      'Authorization does not begin with "Bearer" and a token'
    )
  }
  const twice = await raw(service.url, request('GET /mfa/status', ['Authorization: Bearer a.b.c', 'Authorization: Bearer d.e.f']))
  t.match(JSON.parse(twice.body), { cause: 'there is more than one Authorization header' })
  t.notMatch(service.log.join(''), 'YWxpY2U6c2VjcmV0')
})

t.test('of several issuers the line names the entry and the member to look at', async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  const entry = { issuer: issuer.iss, jwksUrl: issuer.jwksUrl, algorithms: ['ES256'] }
  const other = { issuer: 'https://b.test', audience: 'mfa', secret: SECRET, tenant: 'acme' }
  const service = await startTrusting(t, [{ ...entry, audience: 'users', tenants: ['acme', 'bravo'] }, {
    ...entry,
    audience: ['machines', 'robots'],
    tenant: 'acme',
    loginType: 'service'
  }, other])
  const cases: Record<
    string,
    [claims: Record<string, unknown>, header: Record<string, unknown>, text: string | RegExp, entry: string | undefined]
  > = {
    audience: [
      { aud: 'account' },
      {},
      'aud is "account", expected "users" or "machines" or "robots" (TRUSTED_ISSUERS_FILE [0].audience)',
      undefined
    ],
    ambiguous: [{ aud: ['users', 'robots'] }, {}, 'aud is ["users", "robots"], expected the audience of only one entry', undefined],
    issuer: [
      { iss: 'https://c.test' },
      {},
      'iss is "https://c.test", expected "https://a.test" or "https://b.test" (TRUSTED_ISSUERS_FILE [0].issuer)',
      undefined
    ],
    key: [
      { aud: 'machines' },
      { kid: 'gone' },
      'kid is "gone", expected a key of the issuer\'s key set (TRUSTED_ISSUERS_FILE [1].jwksUrl)',
      'TRUSTED_ISSUERS_FILE [1]'
    ],
    not_allowed: [
      { aud: 'users', tenant: 'other' },
      {},
      'tenant is "other", expected "acme" or "bravo" (TRUSTED_ISSUERS_FILE [0].tenants)',
      'TRUSTED_ISSUERS_FILE [0]'
    ],
    kind: [
      { aud: 'users', events: {} },
      {},
      'events is {…}, expected an access token (TRUSTED_ISSUERS_FILE [0].tokenUse)',
      'TRUSTED_ISSUERS_FILE [0]'
    ]
  }
  for (const [cause, [claims, header, text, held]] of Object.entries(cases)) {
    t.match((await ask(service, issuer.sign(service.clock, { tenant: 'acme', ...claims }, header))).body, { cause: text }, cause)
    t.match(linesOf(service).at(-1), { cause, msg: `token refused: ${String(text)}` })
    t.equal(linesOf(service).at(-1).entry, held)
  }
  const forged = issuer.sign(service.clock, { aud: 'users', tenant: 'acme' }).replace(/.{8}$/, 'AAAAAAAA')
  t.equal((await ask(service, forged)).body.cause, 'the signature is not by a key of its issuer (TRUSTED_ISSUERS_FILE [0].jwksUrl)')
  const secretly = signToken({ ...claimsOf(issuer.sign(service.clock, { tenant: 'acme' })), iss: other.issuer }, {}, 'y'.repeat(48))
  t.equal((await ask(service, secretly)).body.cause, 'the signature is not by a key of its issuer (TRUSTED_ISSUERS_FILE [2].secret)')
})

t.test('our own tokens say so too: whose they are, their key, their end', async t => {
  const service = await startService(t, { MFA_APPLICATION_AUDIENCES: 'billing' })
  const user = service.user({ exp: service.clock.seconds + 7200 })
  const { secret, token } = await user.enroll()
  const { body } = await user.call('POST', '/mfa/verify', { code: service.clock.code(secret), audience: 'billing' })
  t.equal((await ask(service, body.token)).body.cause, 'aud is "billing", expected "mfa-own" (MFA_AUDIENCE)')
  t.match(linesOf(service).at(-1), {
    cause: 'audience',
    entry: 'our own',
    presented: { iss: 'https://mfa.test', alg: 'ES256', typ: 'at+jwt', kid: 'test-1' }
  })
  const [head, payload, signature] = token.split('.') as [string, string, string]
  const header = JSON.parse(Buffer.from(head, 'base64url').toString())
  t.equal(
    (await ask(service, `${encode({ ...header, kid: 'old' })}.${payload}.${signature}`)).body.cause,
    'kid is "old", expected one of our keys (MFA_SIGNING_KEYS)'
  )
  t.match((await ask(service, sign(service, { ...claimsOf(token), fid: undefined }))).body, {
    cause: 'it lacks a claim that MFA tokens have'
  })
  service.clock.advance(1000)
  t.match((await ask(service, token)).body.cause, /^exp is \d+ \(20.*Z\), expected a time in the future$/)
  const renewed = await user.verify(secret)
  await user.call('DELETE', '/mfa/sessions', undefined, renewed)
  t.equal((await ask(service, renewed)).body.cause, 'it was ended by a sign-out, a log-out, a reset or an erasure')
})

function sign (service: Service, claims: Record<string, unknown>): string {
  const [key] = service.secrets.signing
  return compact({ alg: 'ES256', typ: 'at+jwt', kid: 'test-1' }, claims, withKey((key as { privatePem: string }).privatePem as never))
}

t.test('in production one answer for every cause; the log and the metric have it', async t => {
  const service = await startService(t, { NODE_ENV: 'production', BCRYPT_COST: '10' })
  const now = service.clock.seconds
  const none = await service.call('GET', '/mfa/status')
  t.notOk('cause' in none.body)
  const expected: Record<string, number> = { missing: 1 }
  for (const [name, [token, cause]] of Object.entries(REFUSED)) {
    const answer = await ask(service, token(service, now))
    t.same(Object.keys(answer.body), Object.keys(none.body), name)
    t.same(bare(answer), bare(none), name)
    expected[cause] = (expected[cause] ?? 0) + 1
  }
  t.same([...new Set(linesOf(service).map(({ cause }) => cause))].sort(), Object.keys(expected).sort())
  const { text } = await service.call('GET', '/metrics')
  const counted = Object.fromEntries(
    [...text.matchAll(/^mfa_refused_tokens_total\{cause="(\w+)"\} (\d+)$/gm)].map(([, cause, count]) => [cause, Number(count)])
  )
  t.same(counted, { ...Object.fromEntries(REFUSAL_CAUSES.map(cause => [cause, 0])), ...expected }, 'each cause is there from the beginning')
})

t.test('what a token says is cut short, forges no line and turns nothing around; the token and the secret are nowhere', async t => {
  const service = await startService(t)
  const evil = 'x\n{"level":60}\r\u001b[31m\u2028\u202e\u200b\ud800"end\\'
  const given = [
    first({ aud: evil })(service),
    first({ iss: 'i'.repeat(5000) })(service),
    first({ aud: Array.from({ length: 900 }, (_, i) => `audience-${i}`) })(service),
    first({ aud: [['deep']], iss: ISSUER })(service),
    first({ sub: { nested: 'x'.repeat(3000) } })(service),
    first({}, { kid: 'k'.repeat(300), alg: 'none\u0000' })(service)
  ]
  for (const token of given) {
    const { text, body } = await ask(service, token)
    t.ok(text.length < 1200, body.cause)
    // eslint-disable-next-line no-control-regex -- that is what is looked for
    t.notMatch(body.cause, /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202e\u200b\ud800-\udfff]/)
  }
  t.match(linesOf(service)[0].msg, /aud is "x\\u000a\{\\"level\\":60\}\\u000d\\u001b\[31m\\u2028\\u202e\\u200b.*\\"end\\", expected/)
  const log = service.log.join('')
  for (const line of linesOf(service)) t.ok(JSON.stringify(line).length < 1500)
  for (const token of given) for (const part of token.split('.').slice(1)) t.notOk(log.includes(part), 'no part of it')
  t.notOk(log.includes(SECRET))
})

t.test('a cause that repeats is one line in ten seconds, with a count; and made-up issuers fill nothing', async t => {
  const service = await startService(t)
  const began = performance.now()
  await Promise.all(Array.from({ length: 30 }, () => ask(service, first({ aud: 'account' })(service))))
  await Promise.all(Array.from({ length: 300 }, (_, i) => ask(service, first({ iss: `https://${i}.test` })(service))))
  const whiles = 1 + Math.floor((performance.now() - began) / 10_000)
  const told = linesOf(service).length
  t.ok(told <= 102 * whiles, `${told} lines`)
  await service.app.close()
  const last = linesOf(service)
  const ofAudience = last.filter(({ cause }) => cause === 'audience')
  t.ok(ofAudience.length <= 1 + whiles)
  t.match(
    ofAudience.at(-1),
    { count: Number, msg: /^token refused, the last of \d+: aud is "account"/ },
    'what was not told yet is, at the end'
  )
  t.equal(ofAudience.reduce((sum, { count }) => sum + (count as number), 0), 30)
  t.equal(last.reduce((sum, { count }) => sum + (count as number), 0), 330, 'none is lost')
})

t.test('the count comes by itself when the while is over', async t => {
  const lines: any[] = []
  const refusals = new Refusals({
    log: {
      info: (fields: object, msg: string) => {
        lines.push({ ...fields, msg })
      }
    } as never,
    metrics: new Metrics(),
    isProduction: true,
    limits: { ms: 20, maxKinds: 5 }
  })
  t.teardown(() => { refusals.end() })
  for (let i = 0; i < 7; i++) t.equal(refusals.tell({ id: `r${i}` } as never, new RefusedToken({ cause: 'missing' })), undefined)
  await until(() => lines.length >= 2)
  t.match(lines, [{ reqId: 'r0', count: 1, msg: 'token refused: there is no token in Authorization' }, {
    reqId: 'r6',
    count: 6,
    msg: 'token refused, the last of 6: there is no token in Authorization'
  }])
})

t.test('a gateway\'s question says why too, by the header and by a redirect; beside a good token nothing is refused', async t => {
  const issuer = await new TestIssuer('https://outer.test').start(t)
  const entries = [{ issuer: issuer.iss, audience: 'mfa', jwksUrl: issuer.jwksUrl, tenants: '*', header: 'X-Outer', sessionClaim: 'sid' }, {
    issuer: ISSUER,
    audience: AUDIENCE,
    secret: SECRET,
    tenants: '*'
  }]
  const service = await startTrusting(t, entries, { TRUSTED_PROXIES: '127.0.0.0/8', LOGIN_PAGE_URL: 'https://id.example.com/login' })
  const tenant = newTenant()
  const good = issuer.sign(service.clock, { tenant, sid: 's' })
  const question = (headers: Record<string, string>, path = '/mfa/authorize'): Promise<Answer> => service.call('GET', path, { headers })
  t.match(await question({ 'x-outer': 'opaque' }), {
    status: 401,
    body: { cause: 'x-outer: it does not have the three parts of a signed JWT: it may be an opaque token' }
  })
  t.match(await question({ 'x-outer': `${good.slice(0, -9)}AAAAAAAAA` }), { status: 401, body: { cause: /^the signature/ } })
  t.equal((await question({ 'x-outer': good, authorization: 'Basic x' })).status, 200)
  t.match(
    await service.call('GET', '/mfa/status', {
      headers: { 'x-outer': good, authorization: `Bearer ${issuer.sign(service.clock, { tenant, sid: 't' })}` }
    }),
    { status: 401, body: { cause: 'the tokens of the request name different users or login sessions' } }
  )
  t.same(linesOf(service).map(({ cause }) => cause), ['malformed', 'signature', 'ambiguous'])
  const led = await question({ accept: 'text/html' }, '/mfa/forward-auth')
  t.equal(led.status, 302)
  t.match(
    linesOf(service).at(-1),
    { cause: 'missing', reqId: led.headers.get('x-request-id') },
    'a browser that is led away is told nothing, and the log is'
  )
})

t.test('of many that would do the first few are named', async t => {
  t.equal(
    explain({ cause: 'audience', claim: 'aud', value: 'x', expected: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] }),
    'aud is "x", expected "a" or "b" or "c" or "d" or "e" or others'
  )
})

t.test('the specification has the member', async t => {
  const service = await startService(t)
  const { body } = await service.call('GET', '/openapi.json')
  t.match(body.components.schemas.Problem.properties.cause, { type: 'string', description: /outside production/ })
})

t.test('each cause has its row in docs/troubleshooting.md', async t => {
  const text = readFileSync('docs/troubleshooting.md', 'utf8')
  const rows = [...text.slice(text.indexOf('## Tokens'), text.indexOf('## Gateways')).matchAll(/^\| `(\w+)` \|/gm)].map(([, cause]) =>
    cause
  )
  t.same(rows.filter(row => row !== 'cause').sort(), [...REFUSAL_CAUSES].sort())
})
