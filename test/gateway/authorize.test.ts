import t, { type Test } from 'tap'
import { checkProblem as checkPlain } from '../helpers/problems.ts'
import { newTenant, startTrusting, TestIssuer } from '../helpers/issuers.ts'
import { raw, request } from '../helpers/raw.ts'
import { type Answer, claimsOf, type User, type Service, startService } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

const PAGES = {
  ENROLL_PAGE_URL: 'https://app.example.com/set-up',
  VERIFY_PAGE_URL: 'https://app.example.com/code?a=b',
  LOGIN_PAGE_URL: 'https://id.example.com/login'
}
const BEHIND = { ...PAGES, TRUSTED_PROXIES: '127.0.0.0/8', RETURN_HOSTS: 'app.example.com,app.example.com:8443,[::1]:81' }
const ORIGINAL = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'app.example.com', 'x-forwarded-uri': '/page?x=1&y=%20' }
const ORIGINAL_URL = 'https://app.example.com/page?x=1&y=%20'

const ask = (
  service: Service,
  token: string | undefined,
  query = '',
  headers: Record<string, string> = {},
  path = '/mfa/authorize'
): Promise<Answer> => service.call('GET', `${path}${query}`, { token, headers })

const checkProblem = (t: Test, answer: Answer, status: number, code: string, name = code): void => {
  checkPlain(t, { ...answer, headers: Object.fromEntries(answer.headers) }, status, code as never, name)
}

const identity = ({ headers }: Answer): Record<string, string> =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('x-mfa-')))

const requireMfa = (user: User): Promise<unknown> =>
  user.service.db.rows`INSERT INTO policies (tenant, enforcement, version) VALUES (${user.tenant}, 'required', 1)`

t.test('a user who may pass is named, always by all headers', async t => {
  const service = await useService(t)
  const user = service.user()
  const { token, recoveryCodes } = await user.enroll()
  const { id } = await user.row()
  const named = { 'x-mfa-user': id, 'x-mfa-subject': user.sub, 'x-mfa-namespace': 'https://id.test', 'x-mfa-tenant': user.tenant }
  const passed = await ask(service, token)
  t.equal(passed.status, 200)
  t.equal(passed.text, '')
  t.equal(passed.headers.get('cache-control'), 'no-store')
  t.same(identity(passed), { ...named, 'x-mfa-acr': 'mfa', 'x-mfa-reason': 'mfa_verified' })
  const { body } = await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  t.match(identity(await ask(service, body.token)), { ...named, 'x-mfa-acr': 'mfa-recovery' })
  const other = service.user()
  t.match(identity(await ask(service, other.token())), { 'x-mfa-subject': other.sub, 'x-mfa-acr': 'none', 'x-mfa-reason': 'not_required' })
  t.equal((await other.row()).id, identity(await ask(service, other.token()))['x-mfa-user'], 'the first question records the first sight')
})

t.test('names are percent-encoded where they are no printable ASCII, and no two look the same', async t => {
  const service = await useService(t)
  const tenant = newTenant()
  const subjects = ['Zoë 😀', 'a b', ' a', 'a ', '%61', 'a,b;c"', '\u00a0x', 'ä'.repeat(255)]
  for (const sub of subjects) {
    const given = identity(await ask(service, service.user({ tenant, sub }).token()))['x-mfa-subject'] as string
    t.match(given, /^[\x20-\x7e]+$/, sub)
    t.equal(decodeURIComponent(given), sub)
    t.equal(given, given.trim())
  }
  t.equal(identity(await ask(service, service.user({ tenant, sub: 'a b' }).token()))['x-mfa-subject'], 'a b', 'what is printable stays')
})

t.test('who has a factor is asked for it, with the challenge and the page', async t => {
  const service = await useService(t, BEHIND)
  const user = service.user()
  await user.enroll()
  const answer = await ask(service, user.token(), '', ORIGINAL)
  checkProblem(t, answer, 401, 'step_up_required')
  t.equal(answer.headers.get('www-authenticate'), 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age=43200')
  t.same(identity(answer), {
    'x-mfa-action': 'verify',
    'x-mfa-location': `https://app.example.com/code?a=b&return_to=${encodeURIComponent(ORIGINAL_URL)}`
  })
  t.match((await ask(service, user.token(), '?maxAge=60')).headers.get('www-authenticate'), /max_age=60$/)
})

t.test('who must enroll is told so, and led to the set-up or first to a new login', async t => {
  for (
    const [env, status, challenge] of [[{}, 403, null], [
      { GATEWAY_ENROLL_STATUS: '401' },
      401,
      'Bearer error="insufficient_user_authentication", acr_values="mfa"'
    ]] as const
  ) {
    const service = await startService(t, { ...BEHIND, ...env })
    const user = service.user()
    await requireMfa(user)
    const answer = await ask(service, user.token(), '', ORIGINAL)
    checkProblem(t, answer, status, 'enrollment_required')
    t.match(answer.body.detail, /page that `X-MFA-Location` names/)
    t.equal(answer.headers.get('www-authenticate'), challenge)
    t.same(identity(answer), {
      'x-mfa-action': 'enroll',
      'x-mfa-location': `https://app.example.com/set-up?return_to=${encodeURIComponent(ORIGINAL_URL)}`
    })
    const old = await ask(service, user.token({ auth_time: service.clock.seconds - 1000 }), '', ORIGINAL)
    t.same(identity(old), {
      'x-mfa-action': 'enroll',
      'x-mfa-location': `https://id.example.com/login?max_age=900&return_to=${encodeURIComponent(ORIGINAL_URL)}`
    })
    t.match(old.body.detail, /login is too old .* Sign in again/)
    t.notMatch(service.log.join(''), /no page to send/)
  }
})

t.test('no token that counts is a login, and one answer for every cause', async t => {
  const service = await useService(t, BEHIND)
  const user = service.user()
  const { token } = await user.enroll()
  const tokens = [undefined, 'x', user.token({ exp: service.clock.seconds - 1 }), user.token({ aud: 'other' }), `${token.slice(0, -4)}AAAA`]
  for (const bad of tokens) {
    const answer = await ask(service, bad)
    checkProblem(t, answer, 401, 'invalid_token')
    t.same(identity(answer), { 'x-mfa-action': 'login', 'x-mfa-location': 'https://id.example.com/login' })
  }
})

t.test('without pages there is no location and no redirect, no answer names a header that is not there, and the log says once ' +
  'what to set', async t => {
  const service = await startService(t)
  const user = service.user()
  await requireMfa(user)
  const bob = service.user({ tenant: user.tenant })
  for (let n = 0; n < 2; n++) {
    const answer = await ask(service, bob.token())
    t.match(answer, { status: 403, body: { code: 'enrollment_required', detail: 'Set one up: POST /mfa/enroll.' } })
    t.same(identity(answer), { 'x-mfa-action': 'enroll' })
  }
  t.notMatch((await ask(service, bob.token({ auth_time: service.clock.seconds - 1000 }))).text, /X-MFA-Location/)
  await user.enroll()
  t.same(identity(await ask(service, undefined)), { 'x-mfa-action': 'login' })
  t.same(identity(await ask(service, user.token())), { 'x-mfa-action': 'verify' })
  t.equal((await ask(service, user.token(), '', { accept: 'text/html' }, '/mfa/forward-auth')).status, 401)
  const warnings = service.log.map(line => JSON.parse(line)).flatMap(({ level, msg }) =>
    level === 40 ? /Set (\w+)$/.exec(msg)?.[1] ?? [] : []
  )
  t.same(warnings, ['ENROLL_PAGE_URL', 'LOGIN_PAGE_URL', 'VERIFY_PAGE_URL'])
})

t.test('a disabled user and a machine are turned away without a page', async t => {
  const service = await useService(t, BEHIND)
  const user = service.user()
  await ask(service, user.token())
  await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${user.tenant}`
  for (const token of [user.token(), service.user().token({ gty: 'client-credentials' })]) {
    for (const path of ['/mfa/authorize', '/mfa/forward-auth']) {
      const answer = await ask(service, token, '', { accept: 'text/html' }, path)
      checkProblem(t, answer, 403, 'forbidden')
      t.same(identity(answer), {})
    }
  }
  t.same(
    (await user.events()).filter(({ action }) => action === 'access.refused'),
    [],
    'a gateway asks for each picture: that is no row each'
  )
})

t.test('acr and maxAge are demands of the gateway on the exact path, and nothing below it', async t => {
  const service = await useService(t)
  const user = service.user()
  t.match(await ask(service, user.token(), '?acr=mfa'), { status: 403, body: { code: 'enrollment_required' } })
  t.match(await ask(service, user.token(), '?maxAge=900'), { status: 403, body: { code: 'enrollment_required' } })
  const { token, recoveryCodes } = await user.enroll()
  t.equal((await ask(service, token, '?acr=mfa&maxAge=60')).status, 200)
  service.clock.advance(60)
  t.match(await ask(service, token, '?acr=mfa&maxAge=60'), { status: 401, body: { code: 'step_up_required' } })
  t.equal((await ask(service, token, '?acr=mfa')).status, 200)
  const { body } = await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  t.equal((await ask(service, body.token, '?maxAge=60')).status, 200)
  t.match(await ask(service, body.token, '?acr=mfa'), { status: 401, body: { code: 'step_up_required' } })
  for (
    const query of ['?acr=MFA', '?acr=', '?acr=mfa&acr=mfa', '?maxAge=-1', '?maxAge=1.5', '?maxAge=x', '?maxAge=', '?maxage=1', '?x=1']
  ) {
    checkProblem(t, await ask(service, token, query), 400, 'invalid_request', query)
    checkProblem(t, await ask(service, undefined, query), 401, 'invalid_token', `${query}: the token first`)
    t.equal((await ask(service, token, `/page${query}`)).status, 200, `below: ${query}`)
  }
})

t.test('a slash at the end of the call takes no demand away', async t => {
  const service = await useService(t)
  const user = service.user()
  for (const call of ['/mfa/authorize', '/mfa/forward-auth']) {
    for (const slash of ['', '/', '//', '////']) {
      const path = call + slash
      t.equal((await ask(service, user.token(), '', {}, path)).status, 200, path)
      for (const query of ['?acr=mfa', '?maxAge=900', '?acr=mfa&maxAge=900']) {
        t.match(await ask(service, user.token(), query, {}, path), { status: 403, body: { code: 'enrollment_required' } }, path + query)
      }
      for (const query of ['?acr=MFA', '?maxage=900', '?x=1', '?acr=mfa&x=1']) {
        checkProblem(t, await ask(service, user.token(), query, {}, path), 400, 'invalid_request', path + query)
      }
      t.match(await service.call('POST', `${path}?acr=mfa`, { token: user.token() }), {
        status: 403,
        body: { code: 'enrollment_required' }
      }, `POST ${path}`)
    }
  }
})

t.test('any method, and any path below, whatever the body', async t => {
  const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '3', CORS_ORIGINS: 'https://app.example.com' })
  const user = service.user()
  const token = user.token()
  const headers = [
    `Authorization: Bearer ${token}`,
    'Content-Type: nonsense',
    'Content-Length: 3',
    'Origin: https://app.example.com',
    'Access-Control-Request-Method: GET'
  ]
  const paths = ['', '/', '/page', `/${'x'.repeat(4000)}`, '/%zz', '/a/../../status', '//x?acr=none', '/%00', '?']
  for (const path of ['/mfa/authorize', '/mfa/forward-auth']) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY', 'TRACE']) {
      const answer = await raw(service.url, request(`${method} ${path}`, headers, 'abc'))
      t.match(answer, { status: 200, body: '', headers: { 'x-mfa-subject': user.sub } }, `${method} ${path}`)
      t.same(Object.keys(answer.headers).filter(name => name.startsWith('access-control')), [], 'no page of another origin asks')
    }
    for (const below of paths) {
      t.equal((await raw(service.url, request(`GET ${path}${below}`, headers, 'abc'))).status, 200, below.slice(0, 30))
    }
    t.equal((await raw(service.url, request(`GET ${path}`, headers.slice(1)))).status, 401)
  }
  t.equal((await raw(service.url, request('GET /mfa/authorizes', headers))).status, 404, 'and nothing beside')
  t.notOk(service.log.some(line => line.includes('x'.repeat(4000))), 'what was asked for is not for our log')
})

t.test('return_to leads only to the URL that a trusted proxy names, on a host that is allowed', async t => {
  const service = await useService(t, BEHIND)
  const returnTo = async (headers: Record<string, string>): Promise<string | null> =>
    new URL(identity(await ask(service, undefined, '', headers))['x-mfa-location'] as string).searchParams.get('return_to')
  t.equal(await returnTo(ORIGINAL), ORIGINAL_URL)
  t.equal(await returnTo({ 'x-original-url': ORIGINAL_URL }), ORIGINAL_URL)
  t.equal(
    await returnTo({ ...ORIGINAL, 'x-original-url': 'https://app.example.com/other' }),
    ORIGINAL_URL,
    'what all proxies set counts first'
  )
  t.equal(await returnTo({ ...ORIGINAL, 'x-forwarded-proto': 'http' }), ORIGINAL_URL.replace('https', 'http'))
  t.equal(await returnTo({ ...ORIGINAL, 'x-forwarded-host': 'APP.example.com:443' }), ORIGINAL_URL)
  t.equal(await returnTo({ ...ORIGINAL, 'x-forwarded-host': 'app.example.com:8443' }), ORIGINAL_URL.replace('com', 'com:8443'))
  t.equal(await returnTo({ ...ORIGINAL, 'x-forwarded-host': '[::1]:81' }), 'https://[::1]:81/page?x=1&y=%20')
  t.equal(await returnTo({ ...ORIGINAL, 'x-forwarded-uri': '//evil.test/x' }), 'https://app.example.com//evil.test/x', 'a path')
  t.equal(
    await returnTo({ ...ORIGINAL, 'x-forwarded-uri': '/a&max_age=0&return_to=x#y' }),
    'https://app.example.com/a&max_age=0&return_to=x#y',
    'one value'
  )
  for (const headers of [
    { 'x-forwarded-host': 'evil.test' },
    { 'x-forwarded-host': 'app.example.com.evil.test' },
    { 'x-forwarded-host': 'evil.test, app.example.com' },
    { 'x-forwarded-host': 'app.example.com, evil.test' },
    { 'x-forwarded-host': 'app.example.com@evil.test' },
    { 'x-forwarded-host': 'evil.test\\app.example.com' },
    { 'x-forwarded-host': 'evil.test/app.example.com' },
    { 'x-forwarded-host': 'evil.test#app.example.com' },
    { 'x-forwarded-host': 'app.example.com:81' },
    { 'x-forwarded-host': 'app.example.com:99999' },
    { 'x-forwarded-host': '' },
    { 'x-forwarded-host': 'sub.app.example.com' },
    { 'x-forwarded-proto': 'javascript' },
    { 'x-forwarded-proto': 'ftp' },
    { 'x-forwarded-proto': 'https, http' },
    { 'x-forwarded-proto': 'https://evil.test/?' },
    { 'x-forwarded-proto': '' },
    { 'x-forwarded-uri': 'page' },
    { 'x-forwarded-uri': '@evil.test/' },
    { 'x-forwarded-uri': '.evil.test/' },
    { 'x-forwarded-uri': `/${'x'.repeat(2100)}` },
    { 'x-forwarded-uri': `/${'<'.repeat(1000)}` }
  ]) t.equal(await returnTo({ ...ORIGINAL, ...headers as Record<string, string> }), null, JSON.stringify(headers).slice(0, 80))
  for (
    const url of [
      'https://evil.test/',
      'https://user@app.example.com/',
      'https://:pass@app.example.com/',
      'javascript:alert(1)//app.example.com',
      '//app.example.com/',
      '/page',
      'https://app.example.com:8444/',
      'x'
    ]
  ) {
    t.equal(await returnTo({ 'x-original-url': url }), null, url)
  }

  const untrusting = await startService(t, { ...BEHIND, TRUSTED_PROXIES: '10.0.0.0/8' })
  for (const headers of [ORIGINAL, { 'x-original-url': ORIGINAL_URL }, { ...ORIGINAL, 'x-forwarded-for': '10.0.0.1' }]) {
    t.equal(
      identity(await ask(untrusting, undefined, '', headers as Record<string, string>))['x-mfa-location'],
      'https://id.example.com/login',
      "a stranger's headers say nothing"
    )
  }
})

t.test('forward-auth redirects a browser that asks for a page, and nothing else', async t => {
  const service = await useService(t, BEHIND)
  const user = service.user()
  const { token } = await user.enroll()
  const html = { accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8', ...ORIGINAL }
  const answer = await ask(service, user.token(), '', html, '/mfa/forward-auth')
  t.equal(answer.status, 302)
  t.equal(answer.headers.get('location'), `https://app.example.com/code?a=b&return_to=${encodeURIComponent(ORIGINAL_URL)}`)
  t.same(identity(answer), { 'x-mfa-action': 'verify', 'x-mfa-location': answer.headers.get('location') })
  t.equal((await ask(service, token, '', html, '/mfa/forward-auth')).status, 200)
  t.equal((await ask(service, user.token(), '', html, '/mfa/forward-auth/below')).status, 302)
  t.equal((await ask(service, user.token(), '', html)).status, 401, 'authorize never does')
  const cases: Array<[Record<string, string>, number]> = [
    [{ 'x-forwarded-method': 'POST' }, 401],
    [{ 'x-forwarded-method': 'HEAD' }, 302],
    [{ accept: '*/*' }, 401],
    [{ accept: 'application/json' }, 401],
    [{ accept: 'text/html;q=0, */*' }, 401],
    [{ accept: 'text/html;q=0.5' }, 302], [{ accept: 'application/json, TEXT/HTML' }, 302], [{ accept: 'text/htmlx' }, 401]
  ]
  for (const [headers, status] of cases) {
    t.equal((await ask(service, user.token(), '', { ...html, ...headers }, '/mfa/forward-auth')).status, status, JSON.stringify(headers))
  }
  t.equal((await service.call('POST', '/mfa/forward-auth', { headers: html })).status, 401)
  t.equal((await service.call('POST', '/mfa/forward-auth', { headers: { ...html, 'x-forwarded-method': 'GET' } })).status, 302)
  const untrusting = await startService(t, { ...BEHIND, TRUSTED_PROXIES: '10.0.0.0/8' })
  t.equal(
    (await untrusting.call('POST', '/mfa/forward-auth', { headers: { ...html, 'x-forwarded-method': 'GET' } })).status,
    401,
    'a stranger does not say the method'
  )
})

t.test('each issuer has its own log-in page, also for a token that has ended', async t => {
  const [a, b, c] = [
    await new TestIssuer('https://a.test').start(t),
    await new TestIssuer('https://b.test').start(t),
    await new TestIssuer('https://c.test').start(t)
  ]
  const entry = ({ iss, jwksUrl }: TestIssuer, members: object): object => ({
    issuer: iss,
    jwksUrl,
    audience: 'mfa',
    tenants: '*',
    sessionClaim: 'sid',
    ...members
  })
  const service = await startTrusting(t, [
    entry(a, { loginUrl: 'https://a.test/login' }),
    entry(b, { header: 'X-Token', loginUrl: 'https://b.test/login?x' }),
    entry(c, {})
  ], { ...BEHIND, LOGIN_PAGE_URL: undefined })
  const { clock } = service
  const location = async (token: string | undefined, headers: Record<string, string> = {}): Promise<string | undefined> =>
    identity(await ask(service, token, '', headers))['x-mfa-location']
  const ended = { exp: clock.seconds - 1 }
  t.equal(await location(a.sign(clock, ended)), 'https://a.test/login')
  t.equal(await location(b.sign(clock, ended)), 'https://b.test/login?x')
  t.equal(await location(undefined, { 'x-token': b.sign(clock, ended) }), 'https://b.test/login?x')
  t.equal(await location('x', { 'x-token': 'x' }), undefined)
  t.equal(await location(c.sign(clock, ended)), undefined)
  t.equal(await location(undefined), undefined, 'of several, none is the one')

  const claims = { tenant: newTenant(), sub: 'alice', sid: 's' }
  await service.db.rows`INSERT INTO policies (tenant, enforcement, version) VALUES (${claims.tenant}, 'required', 1)`
  t.match(
    await location(b.sign(clock, { ...claims, auth_time: clock.seconds - 1000 })),
    /^https:\/\/b\.test\/login\?x=&max_age=900$/,
    'where the login comes first'
  )
  const one = await startTrusting(t, [entry(a, { loginUrl: 'https://a.test/login' })])
  t.equal(identity(await ask(one, undefined))['x-mfa-location'], 'https://a.test/login', 'the only one\'s')
})

t.test('beside a good token in the gateway\'s header, an Authorization that is not accepted or disagrees is as absent', async t => {
  const gateway = await new TestIssuer('https://gateway.test').start(t)
  const entry = { issuer: gateway.iss, jwksUrl: gateway.jwksUrl, tenants: '*', sessionClaim: 'sid', loginType: 'sso' }
  const service = await startTrusting(t, [{ ...entry, audience: 'mfa', header: 'X-Token' }, {
    ...entry,
    audience: 'other',
    header: 'X-Other'
  }], { TRUSTED_PROXIES: '127.0.0.1/32' })
  const { clock } = service
  const claims = { tenant: newTenant(), sub: 'alice', sid: 's1' }
  const login = gateway.sign(clock, { ...claims, sid: 's0' })
  const { token } = await service.user(claims).enroll(login)
  const bob = await service.user({ ...claims, sub: 'bob' }).enroll(gateway.sign(clock, { ...claims, sub: 'bob' }))
  const asked = (sid: string, authorization?: string): Promise<Answer> =>
    ask(service, undefined, '', {
      'x-token': gateway.sign(clock, { ...claims, sid }),
      ...(authorization !== undefined && { authorization })
    })
  t.match(
    identity(await asked('s0', `Bearer ${token}`)),
    { 'x-mfa-subject': 'alice', 'x-mfa-acr': 'mfa' },
    'the MFA token of the same session counts'
  )
  t.match(await asked('s1'), { status: 401, body: { code: 'step_up_required' } })
  for (const [cause, authorization] of Object.entries({
    'another session\'s MFA token': `Bearer ${token}`,
    'a stranger\'s MFA token': `Bearer ${bob.token}`,
    'no token': 'Bearer x',
    'another scheme': 'Basic eDp4',
    'an ended token': `Bearer ${gateway.sign(clock, { ...claims, exp: clock.seconds - 1 })}`
  })) {
    const answer = await asked('s1', authorization)
    t.match(answer, { status: 401, body: { code: 'step_up_required' } }, cause)
    t.equal((await asked('s0', authorization)).status, 200, `${cause}, beside the session that the code was given in`)
  }
  t.match(await ask(service, undefined, '', { 'x-token': 'x', authorization: `Bearer ${token}` }), {
    status: 401,
    body: { code: 'invalid_token' }
  }, 'the header must be good')
  t.equal(
    (await service.call('POST', '/mfa/authorize', {
      headers: { 'x-token': gateway.sign(clock, { ...claims, sid: 's0' }), 'sec-fetch-site': 'cross-site' }
    })).status,
    200,
    'a question changes nothing, by any method and from any page'
  )

  const headers = (sub: string): Record<string, string> => ({
    'x-token': gateway.sign(clock, { ...claims, sid: 's0' }),
    'x-other': gateway.sign(clock, { ...claims, sid: 's0', aud: 'other', sub })
  })
  t.equal((await ask(service, undefined, '', headers('alice'))).status, 200, 'two headers that agree')
  t.match(await ask(service, undefined, '', headers('bob')), { status: 401, body: { code: 'invalid_token' } }, 'two that do not')

  // An MFA token that was signed out is as absent, too.
  await service.call('DELETE', '/mfa/sessions', { token, body: {} })
  await new Promise(resolve => setTimeout(resolve, 600))
  t.match(await asked('s0', `Bearer ${token}`), { status: 401, body: { code: 'step_up_required' } })
  t.match(await ask(service, token), { status: 401, body: { code: 'invalid_token' } })
  t.equal(claimsOf(token).sid, 's0')
})
