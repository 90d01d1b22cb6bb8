// Of the gateways in examples/gateways the end-to-end tests start those that Debian has. Traefik and Envoy are held here to the
// names and types that they know, and the service is asked what they ask.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import typescript from 'typescript'
import { parse } from 'yaml'
import { mistakesOf } from './helpers/envoy.ts'
import { type Service, startService } from './helpers/service.ts'

const PAGES = {
  ENROLL_PAGE_URL: 'https://id.example.com/set-up',
  VERIFY_PAGE_URL: 'https://id.example.com/code',
  LOGIN_PAGE_URL: 'https://id.example.com/login'
}
const NAMES = ['X-MFA-User', 'X-MFA-Subject', 'X-MFA-Namespace', 'X-MFA-Tenant', 'X-MFA-Acr', 'X-MFA-Reason']
const SCHEMA = 'node_modules/@schemastore/traefik-v3-file-provider/index.d.ts'

const read = (path: string): string => readFileSync(`examples/gateways/${path}`, 'utf8')
const traefik = parse(read('traefik.yaml'))
const envoy = parse(read('envoy.yaml'))
const manager = envoy.static_resources.listeners[0].filter_chains[0].filters[0].typed_config
const [mutation, authorization] = manager.http_filters.map(({ typed_config: config }: { typed_config: any }) => config)

t.test('Traefik\'s file has the shape that its file provider takes: no field that there is not', t => {
  // The types take any other field besides; without that they name all that there are.
  const types = readFileSync(SCHEMA, 'utf8').replace(/^\s*\[k: string\]: unknown \| undefined;$/gm, '')
  t.testdir({ 'types.d.ts': types })
  const errorsOf = (value: string): string[] => {
    const file = join(t.testdirName, 'traefik.ts')
    writeFileSync(file, `export const traefik: import('./types.js').HttpsJsonSchemastoreOrgTraefikV3FileProviderJson = ${value}`)
    const program = typescript.createProgram([file], {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: [],
      module: typescript.ModuleKind.ESNext,
      moduleResolution: typescript.ModuleResolutionKind.Bundler,
      lib: ['lib.es2022.d.ts']
    })
    return typescript.getPreEmitDiagnostics(program).map(({ messageText }) => typescript.flattenDiagnosticMessageText(messageText, ' '))
  }
  const value = JSON.stringify(traefik)
  t.same(errorsOf(value), [])
  t.match(errorsOf(value.replace('authRequestHeaders', 'authRequestHeader')), [/"authRequestHeader"/], 'a field that there is not is found')
  t.match(errorsOf(value.replace('customRequestHeaders', 'customRequestHeader')), [/"customRequestHeader"/])
  const { routers, middlewares, services } = traefik.http
  for (const { middlewares: used, service } of Object.values<any>(routers)) {
    t.same(
      [...used.filter((name: string) => !(name in middlewares)), ...[service].filter(name => !(name in services))],
      [],
      'what is named is there'
    )
  }
  t.end()
})

t.test('Envoy\'s file is a bootstrap configuration of its API: no field that there is not, none that is missing', async t => {
  t.same(await mistakesOf(envoy), [])
  const broken = async (from: string, to: string): Promise<string[]> => await mistakesOf(parse(read('envoy.yaml').replace(from, to)))
  t.match(await broken('failure_mode_allow:', 'failure_mode_allowed:'), [/failure_mode_allowed: is no field of ExtAuthz/])
  t.match(await broken('ServiceUnavailable', 'Unavailable'), [/is no StatusCode/])
  t.match(await broken('timeout: 3s', 'timeout: 3'), [/is no Duration/])
  t.match(await broken('cluster: mfa, ', ''), [/0 of http_upstream_type/])
  t.match(await broken('http.router.v3.Router', 'http.router.v3.Routes'), [/no such type/])
  t.match(await broken('filters.http.ext_authz.v3.ExtAuthzPerRoute', 'filters.http.ext_authz.v3.ExtAuthz'), [
    /disabled: is no field of ExtAuthz/
  ])
  const clusters = new Set(envoy.static_resources.clusters.map(({ name }: { name: string }) => name))
  t.ok(clusters.has(authorization.http_service.server_uri.cluster))
  for (const { route } of manager.route_config.virtual_hosts[0].routes) t.ok(clusters.has(route.cluster))
})

t.test('both take from a client the names that only the service may say, and give the application all of them', async t => {
  const pattern = new RegExp(traefik.http.middlewares.mfa.forwardAuth.authResponseHeadersRegex.replace('(?i)', ''), 'i')
  const spellings = NAMES.flatMap(
    name => [name, name.toLowerCase(), name.replaceAll('-', '_'), name.replace('-', '_'), name.replaceAll('-', '.')]
  )
  t.same(spellings.filter(name => !pattern.test(name)), [])
  t.same(['X-Forwarded-User', 'X-Mfauser', 'Cookie'].filter(name => pattern.test(name)), [], 'and nothing else')
  const { customRequestHeaders } = traefik.http.middlewares['no-user'].headers
  t.same(Object.entries(customRequestHeaders).sort(), NAMES.flatMap(name => [[name, ''], [name.replaceAll('-', '_'), '']]).sort())

  const removed = mutation.mutations.request_mutations.map(({ remove }: { remove?: string }) => remove)
  t.same(NAMES.filter(name => !removed.includes(name.toLowerCase())), [])
  t.equal(manager.common_http_protocol_options.headers_with_underscores_action, 'REJECT_REQUEST')
  const { patterns } = authorization.http_service.authorization_response.allowed_upstream_headers
  t.same(NAMES.filter(name => !patterns.some(({ prefix }: { prefix: string }) => name.toLowerCase().startsWith(prefix))), [])
})

interface Question { path: (asked: string) => string, headers: string[] }

/** What is asked for at the gateway, as the gateway asks about it. */
const QUESTIONS: Record<string, Question> = {
  Traefik: {
    path: () => new URL(traefik.http.middlewares.mfa.forwardAuth.address).pathname,
    headers: traefik.http.middlewares.mfa.forwardAuth.authRequestHeaders
  },
  Envoy: {
    path: asked => `${authorization.http_service.path_prefix}${asked}`,
    headers: ['authorization', ...authorization.allowed_headers.patterns.map(({ exact }: { exact: string }) => exact)]
  }
}

for (const [name, question] of Object.entries(QUESTIONS)) {
  t.test(`what ${name} asks is answered by who asks and by nothing else of the request`, t => prove(t, question))
}

async function prove (t: Test, { path, headers }: Question): Promise<void> {
  const service = await startService(t, {
    ...PAGES,
    JWT_SESSION_CLAIM: 'sid',
    TRUSTED_PROXIES: '127.0.0.0/8',
    RETURN_HOSTS: 'app.example.com'
  })
  t.ok(['authorization', 'accept'].every(name => headers.some(each => each.toLowerCase() === name)), 'the token, and what a browser takes')
  const alice = service.user({ sid: 'session-1' })
  const { token } = await alice.enroll()
  for (const asked of ['/', '/?x=1', '/?acr=none&maxAge=x', '/page', '/a%2Fb?acr=mfa', '//x', '/mfa/authorize?acr=mfa', '/../x']) {
    for (const method of ['GET', 'POST', 'PROPFIND']) {
      const answer = await ask(service, method, path(asked), asked, token)
      t.equal(answer.status, 200, `${method} ${asked}`)
      t.equal(answer.headers.get('x-mfa-subject'), alice.sub)
    }
    const refused = await ask(service, 'GET', path(asked), asked, alice.token({ sid: 'session-2' }))
    t.equal(refused.status, 302, asked)
    t.equal(
      new URL(refused.headers.get('location') as string).searchParams.get('return_to'),
      new URL(`https://app.example.com${asked}`).href
    )
  }
  t.match(await service.call('GET', path('/page')), { status: 401, body: { code: 'invalid_token' } })
}

const ask = (service: Service, method: string, path: string, asked: string, token: string): ReturnType<Service['call']> =>
  service.call(method, path, {
    token,
    headers: { accept: 'text/html', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'app.example.com', 'x-forwarded-uri': asked }
  })

t.test('each header that docs/issuers.md names for tokens of a gateway is asked about by nginx and HAProxy', t => {
  const named = [...readFileSync('docs/issuers.md', 'utf8').matchAll(/"header": "([\w-]+)"/g)].map(([, name]) =>
    (name as string).toLowerCase()
  )
  t.ok(named.length > 0)
  for (const name of named) {
    t.match(read('nginx/ask.conf').toLowerCase(), new RegExp(`proxy_set_header ${name} +\\$http_${name.replaceAll('-', '_')};`))
    t.match(read('haproxy/mfa.lua'), `"${name}"`)
  }
  t.end()
})
