// Why a token is refused: one line for whoever runs the service, in development for the caller too, in production for nobody else.
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Metrics } from '../../src/http/metrics.ts'
import { explain, RefusedToken, REFUSAL_CAUSES, type RefusalCause } from '../../src/http/refused-token.ts'
import { Refusals } from '../../src/http/refusals.ts'
import { newTenant, startTrusting, TestIssuer } from '../helpers/issuers.ts'
import { raw, request } from '../helpers/raw.ts'
import { type Answer, AUDIENCE, claimsOf, encode, ISSUER, SECRET, type Service, signToken, startService } from '../helpers/service.ts'
import { bare, compact, hmac, withKey } from '../helpers/tokens.ts'

const linesOf = ({ log }: Service): any[] => log.map(line => JSON.parse(line)).filter(({ msg }) => /^token refused/.test(msg))
const ask = (service: Service, token: string, headers: Record<string, string> = {}): Promise<Answer> => service.call('GET', '/mfa/status', { token, headers })

/** What is refused, by which of the causes, in which words, and held against what. */
type Case = [token: (service: Service, now: number) => string, cause: RefusalCause, text: string | RegExp, entry?: string | undefined]

const first = (claims: Record<string, unknown>, header: Record<string, unknown> = {}) => (service: Service): string =>
  signToken({ ...claimsOf(service.person({ tenant: 'acme' }).token()), ...claims }, header)

const PLAIN: Record<string, Case> = {
  'an opaque token': [() => 'kx83hsbfls', 'malformed', /three parts of a signed JWT: it may be an opaque token/],
  'an encrypted token': [() => 'eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn', 'malformed', /encrypted token \(JWE\)/],
  '"Bearer" twice': [service => `Bearer ${service.person().token()}`, 'malformed', /"Bearer" twice/],
  'an empty signature': [service => service.person().token().replace(/[^.]+$/, ''), 'malformed', /one of its three parts is empty/],
  'no JSON': [() => 'abc.def.ghi', 'malformed', /no JSON object in UTF-8/],
  'a list': [() => `${encode([1])}.${encode({})}.AA`, 'malformed', /no JSON object in UTF-8/],
  'claims without a bottom': [service => compact({ alg: 'HS256' }, JSON.stringify({ ...claimsOf(service.person().token()), deep: 0 }).replace('"deep":0', `"deep":${'['.repeat(6000)}${']'.repeat(6000)}`), hmac(SECRET)), 'malformed', 'a claim is nested too deep, expected at most 32 levels', 'JWT_ISSUER'],
  'a header that changes how it is read': [first({}, { crit: ['b64'], b64: false }), 'header', 'its header has crit, which is not supported'],
  'another issuer': [first({ iss: `${ISSUER}/` }), 'issuer', `iss is "${ISSUER}/", expected "${ISSUER}" (JWT_ISSUER)`],
  'no issuer': [first({ iss: undefined }), 'issuer', `iss is not there, expected "${ISSUER}" (JWT_ISSUER)`],
  'another audience': [first({ aud: 'account' }), 'audience', `aud is "account", expected "${AUDIENCE}" (JWT_AUDIENCE)`, 'JWT_ISSUER'],
  'other audiences': [first({ aud: ['account', 'https://api.example.com'] }), 'audience', `aud is ["account", "https://api.example.com"], expected "${AUDIENCE}" (JWT_AUDIENCE)`, 'JWT_ISSUER'],
  'no audience': [first({ aud: undefined }), 'audience', `aud is not there, expected "${AUDIENCE}" (JWT_AUDIENCE)`, 'JWT_ISSUER'],
  'another algorithm': [service => compact({ alg: 'RS256', kid: 'k' }, claimsOf(service.person().token()), withKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)), 'algorithm', 'alg is "RS256", expected "HS256" (JWT_ALGORITHMS)', 'JWT_ISSUER'],
  'no algorithm': [service => compact({}, claimsOf(service.person().token()), hmac(SECRET)), 'algorithm', 'alg is not there, expected "HS256" (JWT_ALGORITHMS)', 'JWT_ISSUER'],
  'another key': [service => signToken(claimsOf(service.person().token()), {}, 'x'.repeat(48)), 'signature', 'the signature is not by a key of its issuer (JWT_SECRET)', 'JWT_ISSUER'],
  'an ID token': [first({ nonce: 'n-1' }), 'kind', /^nonce is "n-1", expected an access token \(tokenUse/, 'JWT_ISSUER'],
  'a refresh token': [first({ typ: 'Refresh' }), 'kind', /^typ is "Refresh", expected an access token/, 'JWT_ISSUER'],
  'a logout token': [first({}, { typ: 'logout+jwt' }), 'kind', /^typ is "logout\+jwt", expected an access token/, 'JWT_ISSUER'],
  'one that ended': [(service, now) => first({ exp: now - 3600 })(service), 'expired', /^exp is \d+ \(20\d\d-.*Z\), expected a time to come$/, 'JWT_ISSUER'],
  'one that ended a moment ago': [(service, now) => first({ exp: now - 5 })(service), 'expired', /^exp is \d+ \(20\d\d-.*Z\), expected a time to come$/, 'JWT_ISSUER'],
  'one for later': [(service, now) => first({ nbf: now + 3600 })(service), 'not_yet', /^nbf is \d+ \(20\d\d-.*Z\), expected a time that has come$/, 'JWT_ISSUER'],
  'one of the future': [(service, now) => first({ iat: now + 3600 })(service), 'not_yet', /^iat is \d+ \(20\d\d-.*Z\), expected a time that has come$/, 'JWT_ISSUER'],
  'one for long': [(service, now) => first({ exp: now + 90_000 })(service), 'lifetime', /^it lasts for 90000 seconds, expected at most 86400/, 'JWT_ISSUER'],
  'without an end': [first({ exp: undefined }), 'absent', 'exp is not there, expected seconds since 1970', 'JWT_ISSUER'],
  'an end that is text': [first({ exp: '1795887490' }), 'unreadable', 'exp is "1795887490", expected a number', 'JWT_ISSUER'],
  'an end that is no time': [first({ exp: 1e20 }), 'unreadable', 'exp is 100000000000000000000, expected seconds since 1970', 'JWT_ISSUER'],
  'a beginning that is no time': [first({ nbf: 1e20 }), 'unreadable', 'exp or nbf is no time, expected seconds since 1970', 'JWT_ISSUER'],
  nobody: [first({ sub: undefined }), 'absent', /^sub is not there, expected a text of 1 to 255 characters \(claims\.subject/, 'JWT_ISSUER'],
  'a number for somebody': [first({ sub: 42 }), 'unreadable', /^sub is 42, expected a text of 1 to 255 characters/, 'JWT_ISSUER'],
  'a tenant that is a list': [first({ tenant: ['acme', 'b'] }), 'unreadable', /^tenant is \["acme", "b"\], expected a text of 1 to 128/, 'JWT_ISSUER']
}

t.test('each cause has its words, in the log and in the answer', async t => {
  const service = await startService(t)
  const now = service.clock.seconds
  for (const [name, [token, cause, text, entry]] of Object.entries(PLAIN)) {
    const given = token(service, now)
    const before = linesOf(service).length
    const answer = await ask(service, given)
    t.match(answer, { status: 401, body: { code: 'invalid_token', cause: text } }, name)
    service.app.log.info(name) // the lines of one cause are told once, so each is looked for on its own
    const lines = linesOf(service)
    if (lines.length > before) {
      t.match(lines.at(-1), { level: 30, reqId: answer.headers.get('x-request-id'), cause, count: 1, msg: typeof text === 'string' ? `token refused: ${text}` : /^token refused: / }, name)
      t.equal(lines.at(-1).entry, entry, `${name}: held against`)
    }
  }
  const causes = new Set(linesOf(service).map(({ cause }) => cause))
  t.same([...new Set(Object.values(PLAIN).map(([, cause]) => cause))].filter(cause => !causes.has(cause)), [], 'each cause is in the log')
  t.match(linesOf(service).find(({ cause }) => cause === 'audience'), { said: { iss: ISSUER, aud: 'account', alg: 'HS256', typ: 'JWT', exp: Number } }, 'what the token says of itself')
})

t.test('no token, several, and what is no bearer token say so', async t => {
  const service = await startService(t)
  const { body } = await service.call('GET', '/mfa/status')
  t.equal(body.cause, 'there is no token in Authorization')
  for (const authorization of ['Basic YWxpY2U6c2VjcmV0', 'Bearer', 'eyJhbGciOiJIUzI1NiJ9.e30.AA']) {
    t.equal((await service.call('GET', '/mfa/status', { headers: { authorization } })).body.cause, 'Authorization does not begin with "Bearer" and a token')
  }
  const twice = await raw(service.url, request('GET /mfa/status', ['Authorization: Bearer a.b.c', 'Authorization: Bearer d.e.f']))
  t.match(JSON.parse(twice.body), { cause: 'there is more than one Authorization header' })
  t.notMatch(service.log.join(''), 'YWxpY2U6c2VjcmV0')
})

t.test('of several issuers the line names the entry and the member to look at', async t => {
  const issuer = await new TestIssuer('https://a.test').start(t)
  const entry = { issuer: issuer.iss, jwksUrl: issuer.jwksUrl, algorithms: ['ES256'] }
  const other = { issuer: 'https://b.test', audience: 'mfa', secret: SECRET, tenant: 'acme' }
  const service = await startTrusting(t, [{ ...entry, audience: 'people', tenants: ['acme', 'bravo'] }, { ...entry, audience: ['machines', 'robots'], tenant: 'acme', loginType: 'service' }, other])
  const cases: Record<string, [claims: Record<string, unknown>, header: Record<string, unknown>, text: string | RegExp, entry: string | undefined]> = {
    audience: [{ aud: 'account' }, {}, 'aud is "account", expected "people" or "machines" or "robots" (TRUSTED_ISSUERS_FILE [0].audience)', undefined],
    ambiguous: [{ aud: ['people', 'robots'] }, {}, 'aud is ["people", "robots"], expected the audience of one entry alone', undefined],
    issuer: [{ iss: 'https://c.test' }, {}, 'iss is "https://c.test", expected "https://a.test" or "https://b.test" (TRUSTED_ISSUERS_FILE [0].issuer)', undefined],
    key: [{ aud: 'machines' }, { kid: 'gone' }, 'kid is "gone", expected a key of the issuer\'s key set (TRUSTED_ISSUERS_FILE [1].jwksUrl)', 'TRUSTED_ISSUERS_FILE [1]'],
    not_allowed: [{ aud: 'people', tenant: 'other' }, {}, 'tenant is "other", expected "acme" or "bravo" (TRUSTED_ISSUERS_FILE [0].tenants)', 'TRUSTED_ISSUERS_FILE [0]'],
    kind: [{ aud: 'people', events: {} }, {}, 'events is {…}, expected an access token (TRUSTED_ISSUERS_FILE [0].tokenUse)', 'TRUSTED_ISSUERS_FILE [0]']
  }
  for (const [cause, [claims, header, text, held]] of Object.entries(cases)) {
    t.match((await ask(service, issuer.sign(service.clock, { tenant: 'acme', ...claims }, header))).body, { cause: text }, cause)
    t.match(linesOf(service).at(-1), { cause, msg: `token refused: ${String(text)}` })
    t.equal(linesOf(service).at(-1).entry, held)
  }
  const forged = issuer.sign(service.clock, { aud: 'people', tenant: 'acme' }).replace(/.{8}$/, 'AAAAAAAA')
  t.equal((await ask(service, forged)).body.cause, 'the signature is not by a key of its issuer (TRUSTED_ISSUERS_FILE [0].jwksUrl)')
  const secretly = signToken({ ...claimsOf(issuer.sign(service.clock, { tenant: 'acme' })), iss: other.issuer }, {}, 'y'.repeat(48))
  t.equal((await ask(service, secretly)).body.cause, 'the signature is not by a key of its issuer (TRUSTED_ISSUERS_FILE [2].secret)')
})

t.test('our own tokens say so too: whose they are, their key, their end', async t => {
  const service = await startService(t, { MFA_APPLICATION_AUDIENCES: 'billing' })
  const person = service.person({ exp: service.clock.seconds + 7200 })
  const { secret, token } = await person.enroll()
  const { body } = await person.call('POST', '/mfa/verify', { code: service.clock.code(secret), audience: 'billing' })
  t.equal((await ask(service, body.token)).body.cause, 'aud is "billing", expected "mfa-own" (MFA_AUDIENCE)')
  t.match(linesOf(service).at(-1), { cause: 'audience', entry: 'our own', said: { iss: 'https://mfa.test', alg: 'ES256', typ: 'at+jwt', kid: 'test-1' } })
  const [head, payload, signature] = token.split('.') as [string, string, string]
  const header = JSON.parse(Buffer.from(head, 'base64url').toString())
  t.equal((await ask(service, `${encode({ ...header, kid: 'old' })}.${payload}.${signature}`)).body.cause, 'kid is "old", expected one of our keys (MFA_SIGNING_KEYS)')
  t.match((await ask(service, sign(service, { ...claimsOf(token), fid: undefined }))).body, { cause: 'it lacks a claim that our MFA tokens have' })
  service.clock.advance(1000)
  t.match((await ask(service, token)).body.cause, /^exp is \d+ \(20.*Z\), expected a time to come$/)
  const renewed = await person.verify(secret)
  await person.call('DELETE', '/mfa/sessions', undefined, renewed)
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
  for (const [name, [token, cause]] of Object.entries(PLAIN)) {
    const answer = await ask(service, token(service, now))
    t.same(Object.keys(answer.body), Object.keys(none.body), name)
    t.same(bare(answer), bare(none), name)
    expected[cause] = (expected[cause] ?? 0) + 1
  }
  t.same([...new Set(linesOf(service).map(({ cause }) => cause))].sort(), Object.keys(expected).sort())
  const { text } = await service.call('GET', '/metrics')
  const counted = Object.fromEntries([...text.matchAll(/^mfa_refused_tokens_total\{cause="(\w+)"\} (\d+)$/gm)].map(([, cause, count]) => [cause, Number(count)]))
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

t.test('a cause that repeats is one line in ten seconds, with a count; and whoever makes up issuers fills nothing', async t => {
  const service = await startService(t)
  const tokens = Array.from({ length: 30 }, () => first({ aud: 'account' })(service))
  await Promise.all(tokens.map(token => ask(service, token)))
  t.equal(linesOf(service).length, 1)
  for (let i = 0; i < 300; i++) await ask(service, first({ iss: `https://${i}.test` })(service))
  t.ok(linesOf(service).length <= 102, `${linesOf(service).length} lines`)
  await service.app.close()
  const last = linesOf(service).filter(({ count }) => count > 1)
  t.match(last.find(({ cause }) => cause === 'audience'), { count: 29, msg: /^token refused, the last of 29: aud is "account"/ }, 'what was not told yet is, at the end')
  t.equal(linesOf(service).reduce((sum, { count }) => sum + (count as number), 0), 330, 'none is lost')
})

t.test('the count comes by itself when the while is over', async t => {
  const lines: any[] = []
  const refusals = new Refusals({ log: { info: (fields: object, msg: string) => { lines.push({ ...fields, msg }) } } as never, metrics: new Metrics(), isProduction: true, limits: { ms: 20, maxKinds: 5 } })
  t.teardown(() => { refusals.end() })
  for (let i = 0; i < 7; i++) t.equal(refusals.tell({ id: `r${i}` } as never, new RefusedToken({ cause: 'missing' })), undefined)
  while (lines.length < 2) await sleep(5)
  t.match(lines, [{ reqId: 'r0', count: 1, msg: 'token refused: there is no token in Authorization' }, { reqId: 'r6', count: 6, msg: 'token refused, the last of 6: there is no token in Authorization' }])
})

t.test('a gateway\'s question says why too, by the header and by a redirect; beside a good token nothing is refused', async t => {
  const issuer = await new TestIssuer('https://outer.test').start(t)
  const entries = [{ issuer: issuer.iss, audience: 'mfa', jwksUrl: issuer.jwksUrl, tenants: '*', header: 'X-Outer', sessionClaim: 'sid' }, { issuer: ISSUER, audience: AUDIENCE, secret: SECRET, tenants: '*' }]
  const service = await startTrusting(t, entries, { TRUSTED_PROXIES: '127.0.0.0/8', LOGIN_PAGE_URL: 'https://id.example.com/login' })
  const tenant = newTenant()
  const good = issuer.sign(service.clock, { tenant, sid: 's' })
  const question = (headers: Record<string, string>, path = '/mfa/authorize'): Promise<Answer> => service.call('GET', path, { headers })
  t.match(await question({ 'x-outer': 'opaque' }), { status: 401, body: { cause: 'x-outer: it does not have the three parts of a signed JWT: it may be an opaque token' } })
  t.match(await question({ 'x-outer': `${good.slice(0, -9)}AAAAAAAAA` }), { status: 401, body: { cause: /^the signature/ } })
  t.equal((await question({ 'x-outer': good, authorization: 'Basic x' })).status, 200)
  t.match(await service.call('GET', '/mfa/status', { headers: { 'x-outer': good, authorization: `Bearer ${issuer.sign(service.clock, { tenant, sid: 't' })}` } }), { status: 401, body: { cause: 'the tokens of the request name different users or login sessions' } })
  t.same(linesOf(service).map(({ cause }) => cause), ['malformed', 'signature', 'ambiguous'])
  const led = await question({ accept: 'text/html' }, '/mfa/forward-auth')
  t.equal(led.status, 302)
  t.match(linesOf(service).at(-1), { cause: 'missing', reqId: led.headers.get('x-request-id') }, 'a browser that is led away is told nothing, and the log is')
})

t.test('of many that would do the first few are named', async t => {
  t.equal(explain({ cause: 'audience', claim: 'aud', value: 'x', expected: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] }), 'aud is "x", expected "a" or "b" or "c" or "d" or "e" or others')
})

t.test('the specification has the member', async t => {
  const service = await startService(t)
  const { body } = await service.call('GET', '/openapi.json')
  t.match(body.components.schemas.Problem.properties.cause, { type: 'string', description: /outside production/ })
})

t.test('each cause has its row in docs/troubleshooting.md', async t => {
  const text = readFileSync('docs/troubleshooting.md', 'utf8')
  const rows = [...text.slice(text.indexOf('## Tokens'), text.indexOf('## Gateways')).matchAll(/^\| `(\w+)` \|/gm)].map(([, cause]) => cause)
  t.same(rows.filter(row => row !== 'cause').sort(), [...REFUSAL_CAUSES].sort())
})
