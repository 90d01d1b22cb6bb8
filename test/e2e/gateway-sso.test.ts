// The whole chain: a browser's cookie at Debian's Apache, which signs users in at an OpenID provider; the access token in a
// header; Caddy, which asks; the application. Configured by examples/gateways as it is, but for the file of which it says that
// it is the operator's.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import http, { type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import https from 'node:https'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { longPath, open, type Opened, OTHER_PROTOCOLS, proveEcho } from '../helpers/gateway-traffic.ts'
import {
  type Arrival,
  change,
  EXAMPLES,
  freePort,
  gatewayDir,
  OUTER,
  startApplication,
  startCaddy,
  startGateway
} from '../helpers/gateways.ts'
import { issuersEnvironment, newTenant } from '../helpers/issuers.ts'
import { CLIENT_SECRET, CookieJar, MachineClock, RESOURCE, TestProvider } from '../helpers/provider.ts'
import { type Service, startService } from '../helpers/service.ts'

const MODULES = ['mpm_event', 'ssl', 'remoteip', 'authn_core', 'authz_core', 'authz_user', 'auth_openidc', 'headers', 'proxy', 'proxy_http']
const PAGES = {
  ENROLL_PAGE_URL: 'https://id.example.com/set-up',
  VERIFY_PAGE_URL: 'https://id.example.com/code',
  LOGIN_PAGE_URL: 'https://id.example.com/login'
}
const HTML = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const JSON_TYPE = { 'content-type': 'application/json' }
const API = { accept: 'application/json', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'same-origin' }

/** Files of a certificate for 127.0.0.1. */
function certify (dir: string): void {
  execFileSync('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '1',
    '-subj',
    '/CN=127.0.0.1',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
    '-keyout',
    join(dir, 'key.pem'),
    '-out',
    join(dir, 'cert.pem')
  ], { stdio: 'ignore' })
}

/** Starts it in that directory, where the certificate is. */
async function startApache (t: Test, dir: string, listen: string, values: Record<string, string>, isTlsBefore: boolean): Promise<void> {
  cpSync(join(EXAMPLES, 'apache'), join(dir, 'mfa'), { recursive: true })
  change(join(dir, 'mfa/addresses.conf'), { ...values, '/etc/apache2/mfa/': `${dir}/mfa/` })
  change(join(dir, 'mfa/listen.conf'), {
    'app.example.com': '127.0.0.1',
    ...(isTlsBefore
      ? { '# RemoteIPHeader': 'RemoteIPHeader', '# RemoteIPTrustedProxy 10.0.0.0/8': `RemoteIPTrustedProxy ${OUTER}` }
      : {
          '# SSLEngine': 'SSLEngine',
          '# SSLCertificateFile    /etc/ssl/app.example.com.pem': `SSLCertificateFile ${dir}/cert.pem`,
          '# SSLCertificateKeyFile /etc/ssl/private/app.example.com.key': `SSLCertificateKeyFile ${dir}/key.pem`
        })
  })
  writeFileSync(join(dir, 'mfa/passphrase'), 'a passphrase of the test that is long enough')
  const loaded = MODULES.map(name => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`)
  writeFileSync(
    join(dir, 'apache2.conf'),
    [
      `ServerRoot ${dir}`,
      `PidFile ${dir}/pid`,
      `ErrorLog ${dir}/error.log`,
      'LogLevel warn',
      'ServerName localhost',
      'StartServers 1',
      'ThreadsPerChild 25',
      ...loaded,
      'User www-data',
      'Group www-data',
      `Listen ${listen}`,
      'Include mfa/site.conf'
    ].join('\n')
  )
  await startGateway(t, listen, 'apache2', ['-D', 'FOREGROUND', '-f', join(dir, 'apache2.conf')])
}

/** A load balancer that ends TLS, at OUTER: what it adds is what load balancers add. */
async function startBalancer (t: Test, dir: string, listen: string, to: string): Promise<void> {
  const server = https.createServer(
    { cert: readFileSync(join(dir, 'cert.pem')), key: readFileSync(join(dir, 'key.pem')) },
    (request, response) => {
      const headers = { ...request.headers, 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https' }
      const onward = http.request(`http://${to}${request.url}`, { method: request.method, headers, localAddress: OUTER }, answer => {
        response.writeHead(answer.statusCode as number, answer.headers)
        answer.pipe(response)
      })
      request.pipe(onward.on('error', () => { response.destroy() }))
    })
  server.listen(Number(listen.split(':')[1]), '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
}

interface Stage {
  service: Service
  provider: TestProvider
  tenant: string
  site: string
  arrived: () => Arrival[]
  policy: (fields: Record<string, unknown>) => Promise<void>
}

async function setUp (t: Test, isTlsBefore = false): Promise<Stage> {
  const [apache, caddy, balancer] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  const host = isTlsBefore ? balancer : apache
  const site = `https://${host}`
  const dir = gatewayDir(t, 'apache')
  certify(dir)
  certificate = readFileSync(join(dir, 'cert.pem'), 'utf8')
  const provider = new TestProvider()
  provider.gateways = [`${site}/-/signed-in`]
  await provider.start(t)
  const tenant = newTenant()
  const issuer = {
    issuer: provider.url,
    audience: 'mfa',
    jwksUrl: provider.jwksUrl,
    loginType: 'sso',
    tenant,
    grants: ['mfa:admin'],
    sessionClaim: 'sid',
    header: 'OIDC_access_token'
  }
  const service = await startService(t, {
    ...issuersEnvironment(t, [issuer]),
    ...PAGES,
    TRUSTED_PROXIES: '127.0.0.1/32',
    RETURN_HOSTS: host
  }, new MachineClock())
  const application = await startApplication(t)
  const mfa = new URL(service.url).host
  await startCaddy(t, { listen: caddy, mfa, application: application.address, isFilledIn: false }, { BEHIND: '127.0.0.1/32' })
  if (isTlsBefore) await startBalancer(t, dir, balancer, apache)
  await startApache(t, dir, apache, {
    'SITE_PORT      80': `SITE_PORT ${apache.split(':')[1]}`,
    'SITE_SCHEME    http': 'SITE_SCHEME https',
    'SITE_HOST      app.example.com': `SITE_HOST ${host}`,
    '127.0.0.1:8000': caddy,
    '127.0.0.1:3000': mfa,
    'https://id.example.com': provider.url,
    'CLIENT_ID      app': 'CLIENT_ID gateway-0',
    'what your provider says': CLIENT_SECRET,
    'https%3A%2F%2Fmfa.example.com': encodeURIComponent(RESOURCE)
  }, isTlsBefore)
  provider.claims = { roles: ['mfa:admin'] }
  const admin = service.user({ tenant, sub: 'admin' })
  const { token } = await admin.enroll((await provider.login('admin')).accessToken)
  provider.claims = {}
  return {
    service,
    provider,
    tenant,
    site,
    arrived: () => application.arrivals.splice(0),
    async policy (fields) {
      const { status, text } = await admin.call('PUT', '/admin/policy', fields, token)
      if (status !== 200) throw new Error(text)
    }
  }
}

interface Seen { status: number, headers: IncomingHttpHeaders, text: string, body: any }

let certificate = ''

/** `fetch` says `Sec-Fetch-Mode` by itself, and is no browser. */
async function send (method: string, url: string, headers: Record<string, string>, body?: unknown): Promise<Seen> {
  const { request } = url.startsWith('https:') ? https : http
  const sent = request(url, {
    method,
    ca: certificate,
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) }
  })
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  const [answer] = await once(sent, 'response') as [IncomingMessage]
  const text = (await answer.toArray()).join('')
  return {
    status: answer.statusCode as number,
    headers: answer.headers,
    text,
    body: /json/.test(answer.headers['content-type'] ?? '') ? JSON.parse(text) : undefined
  }
}

/** A browser with its cookies, which follows where it is sent as long as that is on this machine. */
class Browser {
  #cookies = new CookieJar()
  constructor (readonly site: string) {}

  /** Asks for another protocol. */
  open = (path: string, headers: OutgoingHttpHeaders = {}): Promise<Opened> =>
    open(this.site + path, { cookie: this.#cookies.for(this.site + path), ...headers }, certificate)

  async go (method: string, path: string, headers: Record<string, string>, body?: unknown): Promise<Seen> {
    let url = this.site + path
    for (let hops = 0; hops < 12; hops++) {
      const cookie = this.#cookies.for(url)
      const answer = await send(method, url, { ...headers, ...(cookie !== '' && { cookie }) }, body)
      this.#cookies.take(url, answer.headers['set-cookie'] ?? [])
      const next = answer.headers.location
      if (next === undefined || !new URL(next, url).hostname.startsWith('127.')) return answer
      url = new URL(next, url).href
    }
    throw new Error('sent in circles')
  }

  /** Opens a page. */
  see = (path: string, headers: Record<string, string> = {}): Promise<Seen> => this.go('GET', path, { ...HTML, ...headers })
  /** What a page of the site calls. */
  api = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Seen> =>
    this.go(method, path, { ...API, ...headers }, body)
}

t.test('behind the gateway that signs users in', async t => {
  const stage = await setUp(t)
  await stage.policy({ enforcement: 'required' })
  await t.test('the second factor is asked once for each sign-in, and the application knows the user by X-MFA-User', t =>
    proveSignIn(t, stage))
  await t.test('who must enroll is led there from every page until it is done', t => proveEnrollment(t, stage))
  await t.test('neither a stranger\'s MFA token nor forged headers open anything', t => proveForgeries(t, stage))
  await t.test('WebSockets, long addresses, long tokens and odd calls', t => proveTraffic(t, stage))
  await t.test('without the service it is closed', async t => {
    const browser = new Browser(stage.site)
    await stage.service.app.close()
    t.equal((await browser.see('/page')).status, 502)
    t.equal((await browser.api('GET', '/page')).status, 502)
    t.same(stage.arrived(), [])
  })
})

t.test('TLS may end before the gateway, at a load balancer that says who the client is', async t => {
  const stage = await setUp(t, true)
  const { provider, service, site, arrived, tenant } = stage
  provider.user = 'erin'
  const { accessToken } = await provider.login('erin')
  await service.user({ tenant, sub: 'erin' }).enroll(accessToken)
  const browser = new Browser(site)
  const asked = await browser.see('/page?x=1')
  t.equal(asked.headers.location, led(PAGES.VERIFY_PAGE_URL, site, '/page?x=1'))
  provider.user = 'frank'
  const other = new Browser(site)
  t.equal((await other.see('/page')).status, 200)
  t.match(arrived(), [{
    headers: {
      'x-forwarded-proto': 'https',
      'x-forwarded-for': /^203\.0\.113\.7(, 127\.0\.0\.1)?$/,
      'x-forwarded-host': new URL(site).host
    }
  }])
  const { body } = await other.api('GET', '/mfa/status')
  t.equal(body.subject, 'frank', 'and the session\'s cookie is one of a site with TLS')
})

const code = (service: Service, secret: string, offset = 0): string => service.clock.code(secret, offset)
const led = (page: string, site: string, path: string): string => `${page}?return_to=${encodeURIComponent(site + path)}`

async function proveSignIn (t: Test, { service, provider, site, tenant, arrived }: Stage): Promise<void> {
  provider.user = 'alice'
  const laptop = new Browser(site)
  t.equal(
    (await send('GET', `${site}/page`, HTML)).headers.location?.startsWith(`${provider.url}/auth?`),
    true,
    'who has not signed in is led to the provider'
  )
  t.equal((await send('GET', `${site}/page`, API)).status, 401, 'a program is told')
  t.equal((await laptop.see('/page?x=1')).status, 200, 'who has SSO alone passes')
  const { id } = await service.user({ tenant, sub: 'alice' }).row()
  t.match(arrived(), [{
    user: id,
    url: '/page?x=1',
    headers: { 'x-mfa-subject': 'alice', 'x-mfa-acr': 'none', 'x-mfa-reason': 'exempt_sso' }
  }])

  const started = await laptop.api('POST', '/mfa/enroll', { label: 'Phone' })
  t.equal(started.status, 201)
  const { factorId, secret } = started.body
  t.equal((await laptop.api('POST', '/mfa/enroll/confirm', { factorId, code: code(service, secret) })).status, 200)
  t.equal((await laptop.see('/page')).status, 200)
  t.match(arrived(), [{ user: id, headers: { 'x-mfa-acr': 'mfa', 'x-mfa-reason': 'mfa_verified' } }], 'this sign-in has its second factor')

  const tablet = new Browser(site)
  const page = '/a%2Fb/%C3%BC?q=a+b%26c&x=%2F'
  const asked = await tablet.see(page)
  t.equal(asked.status, 302)
  t.equal(asked.headers.location, led(PAGES.VERIFY_PAGE_URL, site, page))
  const told = await tablet.api('GET', '/data')
  t.match(told, {
    status: 401,
    body: { code: 'step_up_required' },
    headers: {
      'x-mfa-action': 'verify',
      'x-mfa-location': led(PAGES.VERIFY_PAGE_URL, site, '/data'),
      'www-authenticate': /insufficient_user_authentication/
    }
  })
  t.match(
    (await tablet.api('GET', '/mfa/status')).body,
    { subject: 'alice', decision: { action: 'verify' } },
    'the page that asks can call the service'
  )
  t.same(arrived(), [])
  t.equal((await tablet.api('POST', '/mfa/verify', { code: code(service, secret, 1) })).status, 200)
  for (const path of [page, '/another']) t.equal((await tablet.see(path)).status, 200)
  t.equal((await tablet.api('POST', '/data', { a: 1 })).status, 200)
  t.match(arrived(), [{ user: id, url: page, headers: { 'x-mfa-acr': 'mfa' } }, { user: id, url: '/another' }, {
    user: id,
    method: 'POST',
    url: '/data'
  }])
  t.equal((await tablet.api('DELETE', '/mfa/session', undefined, JSON_TYPE)).status, 204)
  t.equal((await tablet.see('/page')).status, 302, 'logged out of the second factor')
  t.equal((await laptop.see('/page')).status, 200, 'the other sign-in goes on')
  arrived()
}

async function proveEnrollment (t: Test, { service, provider, site, policy, arrived }: Stage): Promise<void> {
  await policy({ ssoRule: 'none' })
  provider.user = 'bob'
  const browser = new Browser(site)
  for (const path of ['/', '/page', '/page/deeper?x=1', '/page']) {
    t.equal((await browser.see(path)).headers.location, led(PAGES.ENROLL_PAGE_URL, site, path))
  }
  t.match(await browser.api('GET', '/data'), { status: 403, body: { code: 'enrollment_required' }, headers: { 'x-mfa-action': 'enroll' } })
  t.same(arrived(), [])
  const { factorId, secret } = (await browser.api('POST', '/mfa/enroll', {})).body
  t.equal((await browser.api('POST', '/mfa/enroll/confirm', { factorId, code: code(service, secret) })).status, 200)
  t.equal((await browser.see('/page')).status, 200)
  t.match(arrived(), [{ headers: { 'x-mfa-subject': 'bob', 'x-mfa-acr': 'mfa' } }])
}

async function proveTraffic (t: Test, { service, provider, site, tenant, policy, arrived }: Stage): Promise<void> {
  await policy({ ssoRule: 'exempt_sso_only' })
  provider.claims = { padding: 'x'.repeat(5000) }
  provider.user = 'grace'
  const browser = new Browser(site)
  t.equal((await browser.see('/page')).status, 200, 'with a long token')
  const { id } = await service.user({ tenant, sub: 'grace' }).row()
  arrived()

  const { status, socket } = await browser.open('/socket')
  t.equal(status, 101)
  t.match(arrived(), [{ user: id, url: '/socket', headers: { upgrade: 'websocket' } }])
  await proveEcho(t, socket)
  for (const headers of OTHER_PROTOCOLS) {
    const { status, socket } = await browser.open('/socket', headers)
    socket?.destroy()
    const [arrival] = arrived()
    t.ok(
      [undefined, 'websocket'].includes(arrival?.headers.upgrade),
      `${String(headers.upgrade)}: ${status} ${arrival?.headers.upgrade ?? ''}`
    )
  }
  t.match(await open(`${site}/socket`, { ...API }, certificate), { status: 401, socket: undefined }, 'not for who has not signed in')

  for (const method of ['HEAD', 'OPTIONS', 'DELETE', 'PROPFIND', 'REPORT', 'M-SEARCH']) {
    t.equal((await browser.api(method, '/odd?a=b')).status, 200, method)
    t.match(arrived(), [{ user: id, method, url: '/odd?a=b' }])
  }
  t.equal((await browser.see(longPath(7500))).status, 200)
  t.match(arrived(), [{ user: id, url: longPath(7500) }])

  provider.user = 'heidi'
  await policy({ ssoRule: 'none' })
  const stranger = new Browser(site)
  for (const length of [1500, 2000]) {
    const { headers } = await stranger.see(longPath(length))
    t.equal(new URL(headers.location as string).searchParams.get('return_to'), site + longPath(length), `${length} characters`)
  }
  t.equal((await stranger.see(longPath(7500))).headers.location, PAGES.ENROLL_PAGE_URL, 'without the way back, which would be too long')
  t.match(await stranger.open('/socket', API), { status: 403, headers: { 'x-mfa-action': 'enroll' }, socket: undefined })
  t.same(arrived(), [])
  provider.claims = {}
}

async function proveForgeries (t: Test, { service, provider, site, tenant, arrived }: Stage): Promise<void> {
  const sign = async (sub: string, offset: number): Promise<{ accessToken: string, mfaToken: string }> => {
    const { accessToken } = await provider.login(sub)
    const started = await service.call('POST', '/mfa/enroll', { token: accessToken, body: {} })
    const confirmed = await service.call('POST', '/mfa/enroll/confirm', {
      token: accessToken,
      body: { factorId: started.body.factorId, code: code(service, started.body.secret, offset) }
    })
    return { accessToken, mfaToken: confirmed.body.token }
  }
  const mallory = await sign('mallory', 0)
  const carol = await sign('carol', 0)
  const { id: malloryId } = await service.user({ tenant, sub: 'mallory' }).row()
  provider.user = 'carol'
  const browser = new Browser(site)
  t.equal((await browser.see('/page')).headers.location, led(PAGES.VERIFY_PAGE_URL, site, '/page'))

  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
  const forged: Array<[string, Record<string, string>]> = [
    ['a stranger\'s MFA token', bearer(mallory.mfaToken)],
    ['her own MFA token of another sign-in', bearer(carol.mfaToken)],
    ['a stranger\'s access token in Authorization', bearer(mallory.accessToken)],
    ...['OIDC_access_token', 'oidc-access-token', 'OIDC_ACCESS_TOKEN', 'OIDC-access_token'].map(name =>
      [`a stranger's token as ${name}`, { [name]: mallory.accessToken, ...bearer(mallory.mfaToken) }] as [string, Record<string, string>]
    ),
    ['names', { 'x-mfa-user': malloryId, x_mfa_user: malloryId, 'x-mfa-acr': 'mfa', oidc_claim_sub: 'mallory' }],
    ['another place', {
      'x-forwarded-host': 'evil.test',
      'x-forwarded-proto': 'https',
      'x-forwarded-uri': '/evil',
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-server': 'evil.test',
      'x-original-url': 'https://evil.test/',
      forwarded: 'host=evil.test'
    }]
  ]
  for (const [name, headers] of forged) {
    t.equal((await browser.see('/page', headers)).headers.location, led(PAGES.VERIFY_PAGE_URL, site, '/page'), `${name}: she is asked`)
    t.match(await browser.api('POST', '/data', {}, headers), { status: 401, body: { code: 'step_up_required' } }, name)
    t.equal(
      (await send('GET', `${site}/page`, { ...HTML, ...headers })).headers.location?.startsWith(provider.url),
      true,
      `${name}: no one who has not signed in`
    )
  }
  t.same(arrived(), [])
  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site', 'content-type': 'text/plain' }]) {
    t.match(
      await browser.api('POST', '/mfa/enroll', undefined, headers),
      { status: 403, body: { code: 'forbidden' } },
      "a page of another site changes nothing by the gateway's cookie"
    )
  }

  const laptop = new Browser(site)
  provider.user = 'dave'
  t.equal((await laptop.see('/page')).status, 302)
  const { factorId, secret } = (await laptop.api('POST', '/mfa/enroll', {})).body
  await laptop.api('POST', '/mfa/enroll/confirm', { factorId, code: code(service, secret) })
  const { id } = await service.user({ tenant, sub: 'dave' }).row()
  for (const [name, headers] of forged.filter(([name]) => name !== 'her own MFA token of another sign-in')) {
    t.equal((await laptop.see('/page', headers)).text, `hello ${id}`, `${name}: the user stays the same`)
  }
  for (const { headers } of arrived()) {
    const names = Object.keys(headers).filter(name => /^(oidc|x.mfa|x.forwarded|forwarded|x.original)/.test(name)).sort()
    t.same(names, [
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-forwarded-server',
      'x-mfa-acr',
      'x-mfa-namespace',
      'x-mfa-reason',
      'x-mfa-subject',
      'x-mfa-tenant',
      'x-mfa-user'
    ])
    t.equal(headers['x-forwarded-host'], new URL(site).host)
    t.equal(headers['x-forwarded-proto'], 'https')
    t.notMatch(JSON.stringify(headers), /evil|10\.0\.0\.1|mallory/)
    t.notMatch(headers.cookie ?? '', /mod_auth_openidc/, 'the gateway\'s cookie is the gateway\'s')
  }
}
