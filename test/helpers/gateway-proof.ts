// What is proved of each gateway alike, with its configuration of examples/gateways as it is.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { enforce, type Gateway, HTML, lines, PAGES, send, setUp, type Stage } from './gateway-stage.ts'
import {
  proveLength,
  proveMethods,
  proveOtherOrigins,
  proveOuterProxy,
  proveOuterToken,
  proveUntold,
  proveUpgrades
} from './gateway-traffic.ts'
import type { Arrival } from './gateways.ts'
import { enrollPasskey, provePasskey } from './passkeys.ts'
import type { RawAnswer } from './raw.ts'
import type { Answer } from './service.ts'

const location = ({ headers }: Answer): URL => new URL(headers.get('location') as string)

export function prove (gateway: Gateway): void {
  const { name, also } = gateway
  t.test(`${name}: no one comes to the application but by what the service says`, async t => {
    const stage = await setUp(t, gateway)
    await t.test('who must enroll meets the redirect on every page until it is done, then passes', t => proveEnrollment(t, stage))
    await t.test('who is enrolled is asked once for each login', t => proveOneQuestion(t, stage))
    await t.test('a browser is led on, a program is told', t => proveAudiences(t, stage))
    await t.test('a part opens by a passkey alone, however its path is spelled', t => provePasskeys(t, stage))
    await t.test('who has SSO alone passes, and no one without a token', t => proveSsoAndStrangers(t, stage))
    await t.test('what a client forges changes nothing', t => proveForgeries(t, stage))
    await t.test('return_to is where the user was, however odd that is, and never another host', t => proveReturn(t, stage))
    await t.test('what is sent and answered arrives as it was', t => proveTransport(t, stage))
    await t.test('any method arrives as it is, and no body is sent for nothing', t => proveMethods(t, stage))
    await t.test('a WebSocket opens for those who may pass, and no other protocol does', t => proveUpgrades(t, stage))
    await t.test('long addresses and long tokens are decided like short ones, or refused by what they are', t => proveLength(t, stage))
    await t.test('a proxy before it, and no one else, says how the client came', t => proveOuterProxy(t, stage))
    await t.test('the token of a gateway before it is asked about', t => proveOuterToken(t, stage))
    await t.test('pages of a named origin may call, and read why not; those of others may not', t => proveOtherOrigins(t, stage))
    if (also !== undefined) await t.test(also[0], t => also[1](t, stage))
    await t.test('without the service it is closed, and opens again with it', t => proveOutage(t, stage, gateway.unavailable))
  })
  t.test(`${name}, without a named proxy before it: it believes no one, and no preflight passes`, async t =>
    proveUntold(t, await setUp(t, gateway, false)))
}

/** Spellings of a path that an application may read as /payroll/list. */
const SPELLINGS = [
  '/payroll/list',
  '/payroll/list?x=1',
  '/%70ayroll/list',
  '/%70%61%79%72%6f%6c%6c/list',
  '//payroll/list',
  '/./payroll/list',
  '/x/../payroll/list',
  '/x/%2e%2e/payroll/list',
  '/payroll/../payroll/list'
]

async function provePasskeys (t: Test, stage: Stage): Promise<void> {
  const { service, carry, arrived } = stage
  const alice = service.user({ sid: 'session-1' })
  const { token } = await alice.enroll()
  t.match(await stage.go('/page', token), { status: 200 })
  arrived()
  const first = await stage.browse('/payroll/list', token)
  t.equal(first.status, 302)
  t.equal(location(first).origin + location(first).pathname, PAGES.ENROLL_PAGE_URL)
  t.same(Object.fromEntries(location(first).searchParams), { kind: 'passkey', return_to: `http://${stage.host}/payroll/list` })
  t.match(await stage.go('/payroll/list', token), { status: 403, body: { code: 'enrollment_required' } })

  const { authenticator } = await enrollPasskey(alice, { token })
  const second = await stage.browse('/payroll/list', token)
  t.equal(location(second).origin + location(second).pathname, PAGES.VERIFY_PAGE_URL)
  t.same(Object.fromEntries(location(second).searchParams), { acr: 'phr', return_to: `http://${stage.host}/payroll/list` })
  const refused = await stage.go('/payroll/list', token)
  t.match([refused.status, refused.headers.get('www-authenticate')], [401, /acr_values="phr"/])
  for (const spelling of SPELLINGS) {
    t.match((await send(stage, `GET ${spelling}`, lines(carry(token)))).status, /^40[0134]$/, spelling)
  }
  t.same(arrived(), [], 'nothing of it came to the application')

  const { body } = await provePasskey(alice, authenticator, {}, alice.token())
  for (const spelling of SPELLINGS) t.equal((await send(stage, `GET ${spelling}`, lines(carry(body.token)))).status, 200, spelling)
  t.same([...new Set(arrived().map(({ headers }) => headers['x-mfa-acr']))], ['phr'])
  t.equal((await stage.go('/payroll/list', alice.token())).status, 200, 'its session remembers it')
  t.equal((await stage.go('/page', body.token)).status, 200)
  t.same(arrived().map(({ headers }) => headers['x-mfa-acr']), ['phr', 'mfa'], 'elsewhere it is told mfa')
}

async function proveEnrollment (t: Test, stage: Stage): Promise<void> {
  const bob = (await enforce(stage))()
  const token = bob.token()
  for (const path of ['/', '/page', '/page/deeper?x=1', '/favicon.ico', '/page']) {
    const answer = await stage.browse(path, token)
    t.equal(answer.status, 302, path)
    t.equal(location(answer).origin + location(answer).pathname, PAGES.ENROLL_PAGE_URL)
    t.equal(location(answer).searchParams.get('return_to'), `http://${stage.host}${path}`)
  }
  t.same(stage.arrived(), [])
  const { token: mfaToken } = await bob.enroll(token)
  const { id } = await bob.row()
  for (const good of [token, mfaToken]) {
    t.equal((await stage.browse('/page', good)).text, `hello ${id}`)
    t.match(stage.arrived(), [{
      user: id,
      url: '/page',
      headers: {
        'x-mfa-subject': bob.sub,
        'x-mfa-tenant': bob.tenant,
        'x-mfa-namespace': 'https://id.test',
        'x-mfa-acr': 'mfa',
        'x-mfa-reason': 'mfa_verified'
      }
    }])
  }
}

async function proveOneQuestion (t: Test, stage: Stage): Promise<void> {
  const { service, browse } = stage
  const alice = service.user({ sid: 'session-1' })
  const { secret } = await alice.enroll()
  const later = alice.token({ sid: 'session-2' })
  const asked = await browse('/page?x=1', later)
  t.equal(asked.status, 302)
  t.equal(asked.headers.get('location'), `${PAGES.VERIFY_PAGE_URL}?return_to=${encodeURIComponent(`http://${stage.host}/page?x=1`)}`)
  t.equal((await alice.call('POST', '/mfa/verify', { code: service.clock.code(secret) }, later)).status, 200)
  for (const path of ['/page?x=1', '/another']) t.equal((await browse(path, later)).status, 200)
  t.equal((await browse('/page', alice.token({ sid: 'session-3' }))).status, 302, 'another login is asked')
  await alice.call('DELETE', '/mfa/session', undefined, later)
  t.equal((await browse('/page', later)).status, 302, 'and so is a user who has logged out')
  t.equal(stage.arrived().length, 2)
}

async function proveAudiences (t: Test, stage: Stage): Promise<void> {
  const enrolled = stage.service.user()
  await enrolled.enroll()
  const bob = (await enforce(stage))()
  const cases = [
    {
      token: enrolled.token(),
      status: 401,
      code: 'step_up_required',
      action: 'verify',
      page: PAGES.VERIFY_PAGE_URL,
      challenge: 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age=43200'
    },
    { token: bob.token(), status: 403, code: 'enrollment_required', action: 'enroll', page: PAGES.ENROLL_PAGE_URL, challenge: null },
    {
      token: bob.token({ auth_time: stage.service.clock.seconds - 1000 }),
      status: 403,
      code: 'enrollment_required',
      action: 'enroll',
      page: `${PAGES.LOGIN_PAGE_URL}?max_age=900`,
      challenge: null
    },
    {
      token: bob.token({ auth_time: undefined }),
      status: 403,
      code: 'login_time_unknown',
      action: 'enroll',
      page: PAGES.ENROLL_PAGE_URL,
      challenge: null
    },
    {
      token: undefined,
      status: 401,
      code: 'invalid_token',
      action: 'login',
      page: PAGES.LOGIN_PAGE_URL,
      challenge: 'Bearer error="invalid_token"'
    },
    {
      token: bob.token({ exp: 1 }),
      status: 401,
      code: 'invalid_token',
      action: 'login',
      page: PAGES.LOGIN_PAGE_URL,
      challenge: 'Bearer error="invalid_token"'
    }
  ]
  for (const { token, status, code, action, page, challenge } of cases) {
    const led = `${page}${page.includes('?') ? '&' : '?'}return_to=${encodeURIComponent(`http://${stage.host}/data`)}`
    for (
      const [method, headers] of [['GET', { accept: 'application/json' }], ['GET', { accept: '*/*' }], ['POST', HTML], [
        'DELETE',
        HTML
      ]] as const
    ) {
      const answer = await stage.go('/data', token, { method, headers, ...(method === 'POST' && { body: { a: 1 } }) })
      t.equal(answer.status, status, `${code} ${method}`)
      t.match(answer.headers.get('content-type'), /^application\/problem\+json/)
      t.match(answer.body, { type: `urn:headless-mfa:problem:${code}`, status, code })
      t.equal(answer.headers.get('x-mfa-action'), action)
      t.equal(answer.headers.get('x-mfa-location'), led)
      t.equal(answer.headers.get('www-authenticate'), challenge)
      t.equal(answer.headers.get('cache-control'), 'no-store')
    }
    for (const method of ['GET', 'HEAD']) {
      const answer = await stage.go('/data', token, { method, headers: HTML })
      t.equal(answer.status, 302, `${code} ${method}`)
      t.equal(answer.headers.get('location'), led)
      t.equal(answer.headers.get('cache-control'), 'no-store')
    }
  }
  const gone = (await enforce(stage))()
  await stage.go('/', gone.token())
  await stage.service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${gone.tenant}`
  t.match(await stage.browse('/data', gone.token()), { status: 403, body: { code: 'forbidden' } }, 'who is disabled is led nowhere')
  t.same(stage.arrived(), [])
}

async function proveSsoAndStrangers (t: Test, stage: Stage): Promise<void> {
  const user = await enforce(stage)
  const carol = user({ accounts: ['sso'] })
  t.equal((await stage.browse('/page', carol.token())).status, 200)
  t.match(stage.arrived(), [{ user: (await carol.row()).id, headers: { 'x-mfa-acr': 'none', 'x-mfa-reason': 'exempt_sso' } }])
  t.equal((await stage.browse('/page', user({ accounts: ['sso', 'local'] }).token())).status, 302, 'a local account too is another matter')
  t.match(await stage.go('/page'), { status: 401 })
  t.same(stage.arrived(), [])
}

async function proveForgeries (t: Test, stage: Stage): Promise<void> {
  const { service, carry } = stage
  const alice = service.user({ sid: 'session-1' })
  const { token } = await alice.enroll()
  const { id } = await alice.row()
  const victim = service.user()
  const { token: victims } = await victim.enroll()
  const { id: victimId } = await victim.row()
  const spellings = ['X-MFA-User', 'x-mfa-user', 'X_MFA_User', 'X-MFA_User', 'X.MFA.User', 'X-Mfa-User']
  const forged = [
    ...spellings.map(spelling => `${spelling}: ${victimId}`),
    'X-MFA-User: x',
    'X-MFA-Subject: victim',
    'X-MFA-Tenant: other',
    'X-MFA-Namespace: other',
    'X_MFA_Acr: mfa',
    'X-MFA-Acr: mfa',
    'X-MFA-Reason: forged',
    'X-MFA-Action: allow',
    'X-MFA-Location: /',
    'X-Forwarded-For: 10.0.0.1',
    'X-Forwarded-Proto: javascript',
    'X-Forwarded-Host: evil.test',
    'X-Forwarded-Uri: /forged',
    'X-Forwarded-Method: POST',
    'X-Original-URL: https://evil.test/',
    'X-Original-Method: POST',
    'Forwarded: for=10.0.0.1;host=evil.test'
  ]
  /** Values by the name as a CGI or WSGI application sees it, where `_`, `-` and `.` are one. */
  const folded = ({ headers }: Arrival): Map<string, unknown[]> => {
    const values = new Map<string, unknown[]>()
    for (const [name, value] of Object.entries(headers)) {
      values.set(name.replace(/[^a-z0-9]/g, '_'), [...values.get(name.replace(/[^a-z0-9]/g, '_')) ?? [], value])
    }
    return values
  }

  t.equal((await send(stage, 'GET /page', [...lines(carry(token)), ...forged])).status, 200)
  const [arrival] = stage.arrived()
  t.equal(arrival?.user, id)
  const seen = folded(arrival as Arrival)
  t.same([...seen].filter(([name]) => name.startsWith('x_mfa_')).sort(), [
    ['x_mfa_acr', ['mfa']],
    ['x_mfa_namespace', ['https://id.test']],
    ['x_mfa_reason', ['mfa_verified']],
    ['x_mfa_subject', [alice.sub]],
    ['x_mfa_tenant', [alice.tenant]],
    ['x_mfa_user', [id]]
  ], 'the application sees what the service said, by whatever name')
  t.notMatch(JSON.stringify(arrival?.headers), /evil\.test|10\.0\.0\.1|javascript|\/forged/, 'nor does it hear of another host')

  const refused = await send(stage, 'GET /page', [...lines({ ...carry(alice.token({ sid: 'session-9' })), ...HTML }), ...forged])
  t.equal(refused.status, 302, 'a page all the same')
  t.equal(refused.headers.location, `${PAGES.VERIFY_PAGE_URL}?return_to=${encodeURIComponent(`http://${stage.host}/page`)}`)
  t.equal((await send(stage, 'GET /page', forged)).status, 401, 'names are no token')
  for (const dropped of ['X-MFA-User', 'Authorization', 'Cookie', 'X-MFA-User, X-MFA-Acr, X-Forwarded-Host']) {
    const answer = await send(stage, 'GET /page', [...lines(carry(token)), `Connection: close, ${dropped}`, `X-MFA-User: ${victimId}`])
    t.equal(answer.status === 200 ? answer.body : `hello ${id}`, `hello ${id}`, `hop by hop: ${dropped}`)
  }
  for (const [first, second, owner] of [[token, victims, id], [victims, token, victimId]] as const) {
    const answer = await send(stage, 'GET /page', [first, second].flatMap(one => lines(carry(one))))
    if (answer.status === 200) t.equal(answer.body, `hello ${owner}`, 'of two tokens the first is asked about')
    else t.ok(answer.status >= 400, 'or none')
  }
  stage.arrived()
  for (
    const line of [
      'GET /page',
      'POST /page',
      'OPTIONS /page',
      'PROPFIND /page',
      'GET //page',
      'GET /a/../page',
      'GET /%2e%2e/page',
      'GET /-/mfa',
      'GET /mfa/authorize',
      'GET /.well-known/x',
      'TRACE /page',
      'GET http://evil.test/page',
      'CONNECT /page'
    ]
  ) {
    await send(stage, line, ['Content-Length: 0'])
    await send(stage, line, [...lines(carry('x.y.z')), 'Content-Length: 0', 'Upgrade: websocket', 'Connection: upgrade, close'])
  }
  t.same(stage.arrived(), [], 'no method and no path comes by without a token')
}

async function proveReturn (t: Test, stage: Stage): Promise<void> {
  const { service, carry } = stage
  const alice = service.user({ sid: 'session-1' })
  await alice.enroll()
  const asking = lines({ ...carry(alice.token({ sid: 'session-2' })), ...HTML })
  const passing = lines(carry(alice.token()))
  const returnTo = (answer: RawAnswer): string | null => new URL(answer.headers.location as string).searchParams.get('return_to')
  const odd = [
    '/',
    '/?',
    '/a?b?c',
    '/a%2Fb/%E4%BD%A0%E5%A5%BD/x%20y',
    "/~!$&'()*+,;=:@-._",
    '/a;v=1?q=a+b%26c%3D%23&r=1&return_to=x&max_age=0',
    '/?redirect=https%3A%2F%2Fevil.test%2F&x=%F0%9F%98%80',
    '//evil.test/x',
    '/%2F%2Fevil.test',
    '/@evil.test',
    '/https://evil.test/', '/x%0d%0aSet-Cookie:a=b', '/%C3%28', '/a%25zz', '/?q=%27%22%3C%3E'
  ]
  for (const path of odd) {
    const answer = await send(stage, `GET ${path}`, asking)
    t.equal(answer.status, 302, path)
    t.equal(returnTo(answer), new URL(`http://${stage.host}${path}`).href, path)
    t.equal((await send(stage, `GET ${path}`, passing)).status, 200, `${path}: passes`)
    t.equal(stage.arrived()[0]?.url, path, `${path}: as it was`)
  }
  for (const path of [`/${'x'.repeat(3000)}`, '/\\evil.test', '/x%00', '/[]{}|^`"<>', '/ü', '/%zz', '/../../x', '*']) {
    const answer = await send(stage, `GET ${path}`, asking)
    if (answer.status !== 302) t.ok(answer.status >= 400, `${path.slice(0, 20)}: closed`)
    else t.ok([null, stage.host].includes(returnTo(answer) === null ? null : new URL(returnTo(answer) as string).host), path.slice(0, 20))
  }
  for (const host of ['evil.test', `${stage.host}.evil.test`, `evil.test#${stage.host}`, `${stage.host}@evil.test`, 'evil.test, x', '']) {
    const answer = await send(stage, 'GET /page', asking, '', host)
    if (answer.status === 302) t.equal(returnTo(answer), null, host)
    else t.ok(answer.status >= 400, `${host}: closed`)
  }
  const absolute = await send(stage, 'GET http://evil.test/page', asking)
  if (absolute.status === 302) t.not(new URL(returnTo(absolute) ?? 'http://none').host, 'evil.test')
  t.same(stage.arrived(), [])
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

async function proveTransport (t: Test, stage: Stage): Promise<void> {
  const { service, carry } = stage
  const alice = service.user({ sid: 'session-1' })
  const { token } = await alice.enroll()
  const bytes = randomBytes(900_000)
  const types = { 'content-type': 'application/x-whatever', 'x-mine': 'mine', cookie: 'own=1' }
  for (const [method, body] of [['POST', bytes], ['PUT', Buffer.alloc(0)], ['PATCH', Buffer.from('{"a":1}')]] as const) {
    const headers = carry(token)
    const cookie = [headers.cookie, types.cookie].filter(Boolean).join('; ')
    const response = await fetch(`http://${stage.host}/in?a=b`, { method, body, headers: { ...types, ...headers, cookie } })
    t.equal(response.status, 200)
    t.equal(response.headers.get('x-application'), 'yes')
    t.match(stage.arrived(), [{
      method,
      url: '/in?a=b',
      body: digest(body),
      headers: { 'content-type': 'application/x-whatever', 'x-mine': 'mine', cookie }
    }])
  }
  const chunked = await send(stage, 'POST /in', [...lines(carry(token)), 'Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n')
  t.equal(chunked.status, 200)
  t.match(stage.arrived(), [{ body: digest(Buffer.from('hello')) }])
  const lost = await fetch(`http://${stage.host}/in`, { method: 'POST', body: bytes, headers: carry('x.y.z') })
  t.equal(lost.status, 401)
  t.same(stage.arrived(), [], 'nothing of what is refused arrives')
  for (const status of [401, 403, 404, 500, 503]) {
    const answer = await stage.go('/page', token, { headers: { 'x-please-answer': String(status), ...HTML } })
    t.equal(answer.status, status)
    t.equal(answer.headers.get('x-application'), 'yes', `the application's own ${status} is its own`)
    t.equal(answer.headers.get('x-mfa-action'), null)
  }
  stage.arrived()
}

/** The service reads no more than 32 KiB of headers besides a token, and a cookie is nothing to it. */
export async function proveLean (t: Test, stage: Stage): Promise<void> {
  const { token } = await stage.service.user().enroll()
  const cookies = [1, 2, 3].map(n => `Cookie: c${n}=${'x'.repeat(7000)}`)
  t.equal((await send(stage, 'GET /page', [...lines(stage.carry(token)), ...cookies])).status, 200)
  t.equal(stage.arrived().length, 1)
}

async function proveOutage (t: Test, stage: Stage, unavailable: string): Promise<void> {
  const { service, proxy, go, browse } = stage
  const { token } = await service.user().enroll()
  const closed = async (name: string, status = /^50[234]$/): Promise<void> => {
    for (
      const answer of await Promise.all([
        go('/page', token),
        browse('/page', token),
        go('/page', token, { method: 'POST', body: {} }),
        go('/page')
      ])
    ) {
      t.match(String(answer.status), status, name)
    }
    t.same(stage.arrived(), [], `${name}: nothing arrives`)
  }
  t.equal((await go('/page', token)).status, 200)
  stage.arrived()
  await proxy.refuse()
  await closed('refused connections')
  for (let i = 0; i < 400 && !stage.output().includes(unavailable); i++) await sleep(25)
  t.match(stage.output(), unavailable, 'and its log says why')
  t.match(readFileSync('docs/gateways.md', 'utf8'), unavailable.replace(/\d+$/, ''), 'as docs/gateways.md has it')
  await proxy.restore()
  t.equal((await go('/page', token)).status, 200, 'open again, without a restart')
  stage.arrived()
  proxy.blackHole()
  const begun = performance.now()
  await closed('no answer')
  t.ok(performance.now() - begun < 12_000, 'and no call waits for long')
  proxy.cut()
  await proxy.restore()
  t.equal((await go('/page', token)).status, 200)
  stage.arrived()
  await lying(t, stage, closed)
}

/** Another program at the service's address: all that it may answer that is not the service's yes. */
async function lying (t: Test, { proxy }: Stage, closed: (name: string, status: RegExp) => Promise<void>): Promise<void> {
  const port = Number(new URL(proxy.url).port)
  await proxy.refuse()
  for (
    const answer of [
      'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n',
      'nonsense\r\n\r\n',
      'HTTP/1.1 200 OK\r\n'
    ]
  ) {
    const sockets = new Set<net.Socket>()
    const server = net.createServer(socket => {
      sockets.add(socket)
      socket.on('error', () => {}).once('data', () => { socket.end(answer) })
    }).listen(port, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    await closed(answer.slice(0, 20), /^[345]\d\d$/)
    // A gateway may have opened one that it did not need.
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  }
}
