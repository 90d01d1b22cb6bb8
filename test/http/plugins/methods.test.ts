import t from 'tap'
import { checkProblem } from '../../helpers/problems.ts'
import { raw, request } from '../../helpers/raw.ts'
import { type Answer, startService } from '../../helpers/service.ts'
import { useService } from '../../helpers/use-service.ts'

t.test('a method that a resource does not have is 405 and names those that it has', async t => {
  const { url } = await useService(t)
  const cases: Array<[string, string, string]> = [
    ['GET', '/mfa/verify', 'POST'],
    ['GET', '/mfa/enroll', 'POST'],
    ['GET', '/mfa/recovery/codes', 'POST'],
    ['POST', '/mfa/status', 'GET, HEAD'],
    ['DELETE', '/mfa/factors', 'GET, HEAD'],
    ['PUT', '/mfa/factors/x', 'PATCH, DELETE'],
    ['POST', '/.well-known/jwks.json', 'GET, HEAD'],
    ['DELETE', '/admin/policy', 'GET, HEAD, PUT'],
    ['PATCH', '/admin/policy', 'GET, HEAD, PUT'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['POST', '/health/live', 'GET, HEAD'],
    ['OPTIONS', '/mfa/status', 'GET, HEAD'],
    ['TRACE', '/mfa/status', 'GET, HEAD'],
    ['PROPFIND', '/mfa/status', 'GET, HEAD'],
    ['LOCK', '/admin/policy', 'GET, HEAD, PUT'],
    ['PURGE', '/.well-known/jwks.json', 'GET, HEAD']
  ]
  for (const [method, path, allow] of cases) {
    const answer = await raw(
      url,
      request(`${method} ${path}`, ['X-Canary: canary7391', 'Content-Type: text/plain', 'Content-Length: 2'], '{}')
    )
    checkProblem(t, { ...answer, body: JSON.parse(answer.body) }, 405, 'method_not_allowed', `${method} ${path}`)
    t.same(answer.headers.allow?.split(', ').sort(), allow.split(', ').sort(), `${method} ${path}: Allow`)
    t.notMatch(answer.text, 'canary7391', 'TRACE echoes nothing')
  }
})

t.test('what answers GET answers HEAD alike, without the body, and with the same checks', async t => {
  const service = await useService(t)
  const user = service.user()
  const { token } = await user.enroll()
  const ask = (method: string, path: string, lines: string[] = []): Promise<any> => raw(service.url, request(`${method} ${path}`, lines))
  for (
    const path of [
      '/health/live',
      '/health/ready',
      '/.well-known/jwks.json',
      '/openapi.json',
      '/openapi.yaml',
      '/metrics',
      '/docs/',
      '/mfa/status',
      '/admin/policy'
    ]
  ) {
    for (const lines of [[], [`Authorization: Bearer ${token}`]]) {
      const [get, head] = [await ask('GET', path, lines), await ask('HEAD', path, lines)]
      t.equal(head.status, get.status, path)
      t.equal(head.body, '', 'without a body')
      for (const name of ['content-type', 'cache-control', 'www-authenticate']) {
        t.equal(head.headers[name], get.headers[name], `${path} ${name}`)
      }
    }
  }
  t.match(await ask('HEAD', '/mfa/enroll'), { status: 405, body: '', headers: { allow: 'POST' } }, 'and nothing else')
  t.match(await ask('DELETE', '/mfa/status'), { status: 405, headers: { allow: 'GET, HEAD' } })
})

t.test('CONNECT is no request', async t => {
  const { url } = await useService(t)
  t.equal((await raw(url, request('CONNECT evil.test:443'))).text, '')
})

t.test('no spelling of a path leads past its checks', async t => {
  const service = await useService(t)
  const user = service.user()
  const { url } = service
  const spellings = [
    '/admin/policy/',
    '//admin/policy',
    '/admin//policy',
    '/Admin/Policy',
    '/ADMIN/POLICY',
    '/./admin/policy',
    '/mfa/../admin/policy',
    '/%2e/admin/policy',
    '/mfa/%2e%2e/admin/policy',
    '/admin%2fpolicy',
    '/admin;x/policy',
    '/admin/policy;x=1',
    '/admin/policy.json',
    '/admin/policy%00',
    '/admin/policy%20',
    '/admin\\policy',
    '/admin/policy%3fa',
    '/health/../admin/policy',
    '/docs/../admin/policy',
    '/.well-known/jwks.json/../../admin/policy'
  ]
  for (const path of spellings) {
    const answer = await raw(url, request(`GET ${path}`))
    t.equal(answer.status, 404, path)
    t.equal((await raw(url, request(`GET ${path}`, [`Authorization: Bearer ${user.token()}`]))).status, 404, `${path} with a token`)
    t.match(JSON.parse(answer.body), { code: 'not_found' })
  }
  for (const path of ['/admin/%70olicy', 'http://localhost/admin/policy', '/admin/policy?', '/admin/policy#x']) {
    t.equal((await raw(url, request(`GET ${path}`))).status, 401, `${path} is the same resource with the same check`)
    t.equal((await raw(url, request(`GET ${path}`, [`Authorization: Bearer ${user.token()}`]))).status, 403, `${path} with a token`)
  }
  t.equal(
    (await raw(
      url,
      request('GET /mfa/status', [
        `Authorization: Bearer ${user.token()}`,
        'X-HTTP-Method-Override: DELETE',
        'X-Original-URL: /admin/policy',
        'X-Rewrite-URL: /admin/policy'
      ])
    )).status,
    200,
    'headers name no other'
  )
})

t.test('nothing changes by GET, and a cookie is no caller', async t => {
  const service = await useService(t)
  const user = service.user()
  const { token } = await user.enroll()
  for (const path of ['/mfa/enroll', '/mfa/enroll/confirm', '/mfa/verify', '/mfa/recovery/codes', '/mfa/recovery/acknowledge']) {
    t.equal((await user.call('GET', path, undefined, token)).status, 405, path)
  }
  t.equal((await service.call('POST', '/mfa/enroll', { headers: { cookie: `token=${token}` } })).status, 401)
  t.equal(
    (await service.call('POST', '/mfa/enroll', {
      token,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'label=x'
    })).status,
    415
  )
})

const PAGE = 'https://app.test'
const cors = { CORS_ORIGINS: `${PAGE}, https://other.test:8443` }
const corsHeaders = (headers: Headers): Record<string, string> =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')))

t.test('a page of a configured origin may call, and read what it needs', async t => {
  const service = await startService(t, cors)
  const user = service.user()
  const expected = { 'access-control-allow-origin': PAGE, 'access-control-expose-headers': 'WWW-Authenticate, Retry-After, ETag' }
  for (
    const [path, status, token] of [
      ['/mfa/status', 200, user.token()],
      ['/mfa/status', 401, undefined],
      ['/admin/policy', 403, user.token()],
      ['/nothing', 404, undefined],
      ['/.well-known/jwks.json', 200, undefined]
    ] as const
  ) {
    const answer = await service.call('GET', path, { token, headers: { origin: PAGE } })
    t.equal(answer.status, status, path)
    t.same(corsHeaders(answer.headers), expected, `${path} ${status}: exactly these`)
    t.match(answer.headers.get('vary'), /Origin/)
  }
  t.equal(
    (await service.call('GET', '/mfa/status', { headers: { origin: 'https://other.test:8443' } })).headers.get(
      'access-control-allow-origin'
    ),
    'https://other.test:8443'
  )
})

t.test('a preflight of a configured origin is 204 with the methods of the route', async t => {
  const service = await startService(t, cors)
  for (
    const [path, methods] of [['/mfa/status', 'GET, HEAD'], ['/mfa/verify', 'POST'], ['/mfa/factors/x', 'DELETE, PATCH'], [
      '/admin/policy',
      'GET, HEAD, PUT'
    ]] as const
  ) {
    const answer = await service.call('OPTIONS', path, {
      headers: { origin: PAGE, 'access-control-request-method': 'DELETE', 'access-control-request-headers': 'x-evil' }
    })
    t.equal(answer.status, 204, path)
    const { 'access-control-allow-methods': allowed = '', 'access-control-expose-headers': _, ...rest } = corsHeaders(answer.headers)
    t.same(allowed.split(', ').sort().join(', '), methods)
    t.same(rest, {
      'access-control-allow-origin': PAGE,
      'access-control-allow-headers': 'authorization, content-type, if-match, traceparent, tracestate, baggage, sentry-trace',
      'access-control-max-age': '600'
    })
    t.equal(answer.text, '')
  }
  t.equal((await service.call('OPTIONS', '/mfa/status', { headers: { origin: PAGE } })).status, 405, 'without a method it is no preflight')
  t.equal((await service.call('OPTIONS', '/nothing', { headers: { origin: PAGE, 'access-control-request-method': 'GET' } })).status, 404)
})

t.test('any other origin gets no CORS header, nor does any without configuration', async t => {
  const origins = [
    'https://evil.test',
    'null',
    'https://app.test.evil.test',
    'https://app.test:8443',
    'http://app.test',
    'https://APP.test',
    'https://app.test/',
    'https://app.tes',
    '*',
    'file://',
    `${PAGE}, ${PAGE}`
  ]
  for (const [env, asking] of [[cors, origins], [{}, [PAGE, 'null', ...origins]]] as const) {
    const service = await startService(t, env)
    for (const origin of asking) {
      const answer = await service.call('GET', '/mfa/status', { headers: { origin } })
      t.same(corsHeaders(answer.headers), {}, origin)
      const preflight = await service.call('OPTIONS', '/mfa/status', { headers: { origin, 'access-control-request-method': 'GET' } })
      t.same([preflight.status, corsHeaders(preflight.headers)], [405, {}], `${origin}: preflight`)
    }
  }
})

t.test('an origin that may not call is named in the log with the variable, each once, and not what is none', async t => {
  const service = await startService(t, cors)
  const preflight = (origin: string, path = '/mfa/status'): Promise<Answer> =>
    service.call('OPTIONS', path, { headers: { origin, 'access-control-request-method': 'GET' } })
  for (
    const origin of [
      'http://127.0.0.1:3530',
      'https://app.test:8443',
      'http://127.0.0.1:3530',
      'null',
      'https://app.test/',
      `https://${'x'.repeat(300)}.test`,
      '*',
      'https://x.test "}'
    ]
  ) {
    t.match((await preflight(origin)).body, { code: 'method_not_allowed', detail: /CORS_ORIGINS has exactly its origin/ })
  }
  await preflight('https://elsewhere.test', '/health/live')
  await service.call('GET', '/mfa/status', { headers: { origin: 'https://elsewhere.test' } })
  const told = (): string[] => service.log.map(line => JSON.parse(line).msg as string).filter(msg => msg.includes('CORS_ORIGINS'))
  t.same(
    told(),
    ['http://127.0.0.1:3530', 'https://app.test:8443'].map(origin => `a page of ${origin} may not call: CORS_ORIGINS does not name it`)
  )
  for (let n = 0; n < 110; n++) await preflight(`https://page-${n}.test`)
  t.equal(told().length, 100, 'made-up origins fill no disk')
  t.notMatch(
    (await service.call('OPTIONS', '/mfa/status', { headers: { origin: PAGE } })).body.detail,
    /CORS/,
    'a plain OPTIONS is told of methods'
  )
})

t.test('probes and the console answer no other origin', async t => {
  const service = await startService(t, { ...cors, DOCS: 'true' })
  for (const path of ['/health/live', '/health/ready', '/docs/']) {
    t.same(corsHeaders((await service.call('GET', path, { headers: { origin: PAGE } })).headers), {}, path)
  }
})
