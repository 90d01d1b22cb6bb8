import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, RouteOptions } from 'fastify'
import t from 'tap'
import { ALL_METHODS } from '../../src/http/plugins/methods.ts'
import { type Enrolled, type User, type Service, startService } from '../helpers/service.ts'
import { useService } from '../helpers/use-service.ts'

/** Who asks: a token, and the factor that is named where a path takes one. */
interface Asking { token: string | undefined, factorId?: string, secret?: string }

const UNKNOWN_FACTOR = '00000000-0000-4000-8000-000000000000'
const ADMIN = { roles: ['mfa:admin'] }

/** Prepares a caller and says what they send; `login` makes a first-factor token that is fresh at the time of the call. */
const CALLERS = {
  none: async () => () => ({ token: undefined }),
  malformed: async () => () => ({ token: 'x.y.z' }),
  login: async service => asLogin(service.user()),
  disabled: async service => {
    const user = service.user(ADMIN)
    const enrolled = await user.enroll()
    await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${user.tenant}`
    return asLogin(user, enrolled)
  },
  disabledMfa: async service => {
    const user = service.user(ADMIN)
    const enrolled = await user.enroll()
    await service.db.rows`UPDATE users SET disabled_at = now() WHERE tenant = ${user.tenant}`
    await endTokens(user)
    return asMfa(enrolled)
  },
  enrolledLogin: async service => await prepared(service.user(), asLogin),
  mfa: async service => await prepared(service.user(), (_user, enrolled) => asMfa(enrolled)),
  oldEpoch: async service => {
    const user = service.user(ADMIN)
    const enrolled = await user.enroll()
    await endTokens(user)
    return asMfa(enrolled)
  },
  admin: async service => asLogin(service.user(ADMIN)),
  adminLogin: async service => await prepared(service.user(ADMIN), asLogin),
  adminMfa: async service => await prepared(service.user(ADMIN), (_user, enrolled) => asMfa(enrolled)),
  adminStale: async service => await prepared(service.user(ADMIN), (_user, enrolled) => {
    service.clock.advance(90)
    return asMfa(enrolled)
  }),
  adminRecovery: async service => {
    const user = service.user(ADMIN)
    const enrolled = await user.enroll()
    const { body } = await user.call('POST', '/mfa/recovery', { code: enrolled.recoveryCodes?.[0] })
    return asMfa({ ...enrolled, token: body.token })
  },
  auditor: async service => await prepared(service.user({ roles: ['mfa:auditor'] }), (_user, enrolled) => asMfa(enrolled)),
  support: async service =>
    await prepared(service.user({ roles: ['mfa:support', 'mfa:sync', 'admin'] }), (_user, enrolled) => asMfa(enrolled)),
  otherTenant: async service => {
    const victim = await service.user().enroll()
    const enrolled = await service.user(ADMIN).enroll()
    return asMfa({ ...enrolled, factorId: victim.factorId })
  }
} satisfies Record<string, (service: Service) => Promise<() => Asking>>

/** As all that ends a user's tokens does; and the replica's memory knows it. */
async function endTokens (user: User): Promise<void> {
  await user.service.db.rows`SELECT bump_epoch(${user.tenant}, ${(await user.row()).id}::uuid)`
  await sleep(600)
}

const prepared = async (user: User, as: (user: User, enrolled: Enrolled) => () => Asking): Promise<() => Asking> =>
  as(user, await user.enroll())
const asLogin = (user: User, enrolled?: Enrolled) => (): Asking => ({ ...enrolled, token: user.token() })
const asMfa = ({ token, factorId, secret }: Enrolled) => (): Asking => ({ token, factorId, secret })

type Name = keyof typeof CALLERS
type Expected = Record<Name, string>
/** `anew`: the caller is prepared once more, since the row before took something from them. */
interface Row { expected: Expected, anew?: true, path?: (asking: Asking) => string, body?: (asking: Asking, service: Service) => unknown }

const NO_TOKEN = '401 invalid_token'
const STEP_UP = '401 step_up_required'
const every = (answer: string): Expected => Object.fromEntries(Object.keys(CALLERS).map(name => [name, answer])) as Expected
/** What a call for users answers those who get in, and what else it answers some of them. */
const users = (answer: string, others: Partial<Expected> = {}): Expected => ({
  ...every(answer), none: NO_TOKEN, malformed: NO_TOKEN, oldEpoch: NO_TOKEN, disabled: '403 forbidden', disabledMfa: NO_TOKEN, ...others
})
/** What a call for administrators answers all but them. */
const admins = (others: Partial<Expected>): Expected =>
  users('403 forbidden', {
    admin: '409 not_enrolled',
    adminLogin: STEP_UP,
    adminStale: STEP_UP,
    adminRecovery: STEP_UP,
    adminMfa: '200',
    otherTenant: '200',
    ...others
  })

/** Of no user: a caller who may read learns that there is no such user. */
const reading = admins({ adminMfa: '404 not_found', otherTenant: '404 not_found', auditor: '404 not_found', support: '404 not_found' })

/** The same for callers who may help users, which an auditor may not. */
const helping = admins({ adminMfa: '404 not_found', otherTenant: '404 not_found', support: '404 not_found' })

/** What changes an active factor: a fresh second factor, a recovery's too. */
const changing = (answer: string, others: Partial<Expected>): Expected =>
  users(answer, { enrolledLogin: STEP_UP, adminLogin: STEP_UP, adminStale: STEP_UP, ...others })
const notEnrolled = { login: '409 not_enrolled', admin: '409 not_enrolled' }
const notFound = { login: '404 not_found', admin: '404 not_found', otherTenant: '404 not_found' }
const byMfaToken = Object.fromEntries(
  ['mfa', 'adminMfa', 'adminStale', 'adminRecovery', 'auditor', 'support', 'otherTenant'].map(name => [name, '200'])
)
const ofFactor = ({ factorId = UNKNOWN_FACTOR }: Asking): string => `/mfa/factors/${factorId}`

/** A gateway's question, with no policy. */
const asking = users('200', { enrolledLogin: STEP_UP, adminLogin: STEP_UP })

/** Every route of the service, in this order: the last ones take something from the caller. */
const MATRIX: Record<string, Row> = {
  'GET /.well-known/jwks.json': { expected: every('200') },
  'GET /health/live': { expected: every('200') },
  'GET /health/ready': { expected: every('200') },
  'GET /metrics': { expected: every('200') },
  'GET /openapi.json': { expected: every('200') },
  'GET /openapi.yaml': { expected: every('200') },
  'GET /mfa/status': { expected: users('200', { disabled: '200' }) },
  'GET /mfa/authorize': { expected: asking },
  'ANY /mfa/authorize': { expected: asking },
  'ANY /mfa/authorize/*': { expected: asking, path: () => '/mfa/authorize/admin/policy?x=y' },
  'GET /mfa/forward-auth': { expected: asking },
  'ANY /mfa/forward-auth': { expected: asking },
  'ANY /mfa/forward-auth/*': { expected: asking, path: () => '/mfa/forward-auth/admin/policy?x=y' },
  'GET /mfa/factors': { expected: users('200') },
  'GET /mfa/recovery': { expected: users('200', notEnrolled) },
  'POST /mfa/enroll': { expected: changing('201', {}) },
  'POST /mfa/enroll/confirm': { expected: users('404 not_found'), body: () => ({ factorId: UNKNOWN_FACTOR, code: '000000' }) },
  'POST /mfa/verify': {
    expected: users('422 code_refused', notEnrolled),
    body: ({ secret }, { clock }) => ({ code: secret === undefined ? '000000' : clock.wrongCode(secret) })
  },
  'POST /mfa/passkeys': { expected: users('409 not_offered') },
  'POST /mfa/passkeys/confirm': {
    expected: users('409 not_offered'),
    body: () => ({
      factorId: UNKNOWN_FACTOR,
      credential: { id: 'x', type: 'public-key', response: { clientDataJSON: 'x', attestationObject: 'x' } }
    })
  },
  'POST /mfa/passkeys/challenge': { expected: users('409 not_offered') },
  'POST /mfa/passkeys/verify': {
    expected: users('409 not_offered'),
    body: () => ({ credential: { id: 'x', type: 'public-key', response: { clientDataJSON: 'x', authenticatorData: 'x', signature: 'x' } } })
  },
  'POST /mfa/recovery': { expected: users('422 code_refused'), body: () => ({ code: '9999-9999-9999-9999' }) },
  'POST /mfa/recovery/acknowledge': { expected: users('204', notEnrolled) },
  'POST /mfa/recovery/codes': { expected: changing('201', notEnrolled) },
  'POST /mfa/token': { expected: users('200', { ...notEnrolled, enrolledLogin: STEP_UP, adminLogin: STEP_UP }) },
  'POST /mfa/devices': { expected: users('409 not_offered') },
  'POST /mfa/devices/use': { expected: users('422 code_refused', byMfaToken), body: () => ({ deviceToken: 'mfad_x' }) },
  'GET /mfa/devices': { expected: users('200') },
  'DELETE /mfa/devices': { expected: users('204') },
  'DELETE /mfa/devices/:deviceId': { expected: users('404 not_found'), path: () => `/mfa/devices/${UNKNOWN_FACTOR}` },
  'DELETE /mfa/session': { expected: users('204') },
  'GET /admin/policy': { expected: admins({ auditor: '200' }) },
  'PUT /admin/policy': { expected: admins({}), body: () => ({ enforcement: 'optional' }) },
  'POST /admin/policy/preview': { expected: admins({ auditor: '200' }) },
  'GET /admin/audit': { expected: admins({ auditor: '200' }) },
  'GET /admin/audit/verify': { expected: admins({ auditor: '200' }) },
  'GET /admin/notices': { expected: admins({ auditor: '200' }) },
  'POST /admin/notices/:id/retry': {
    expected: admins({ adminMfa: '404 not_found', otherTenant: '404 not_found' }),
    path: () => `/admin/notices/${UNKNOWN_FACTOR}/retry`
  },
  'GET /admin/users/:userId': { expected: reading, path: () => `/admin/users/${UNKNOWN_FACTOR}` },
  'POST /admin/users/:userId/reset': {
    expected: helping,
    path: () => `/admin/users/${UNKNOWN_FACTOR}/reset`,
    body: () => ({ reason: 'x' })
  },
  'POST /admin/users/:userId/unlock': {
    expected: helping,
    path: () => `/admin/users/${UNKNOWN_FACTOR}/unlock`,
    body: () => ({ reason: 'x' })
  },
  'POST /admin/users/:userId/bypass': {
    expected: helping,
    path: () => `/admin/users/${UNKNOWN_FACTOR}/bypass`,
    body: () => ({ reason: 'x' })
  },
  'POST /admin/users/:userId/sign-out': {
    expected: helping,
    path: () => `/admin/users/${UNKNOWN_FACTOR}/sign-out`,
    body: () => ({ reason: 'x' })
  },
  'DELETE /admin/users/:userId/devices': {
    expected: helping,
    path: () => `/admin/users/${UNKNOWN_FACTOR}/devices`,
    body: () => ({ reason: 'x' })
  },
  'DELETE /admin/users/:userId/devices/:deviceId': {
    expected: helping,
    path: () => `/admin/users/${UNKNOWN_FACTOR}/devices/${UNKNOWN_FACTOR}`,
    body: () => ({ reason: 'x' })
  },
  'POST /admin/users/:userId/erase': {
    expected: admins({ adminMfa: '404 not_found', otherTenant: '404 not_found' }),
    path: () => `/admin/users/${UNKNOWN_FACTOR}/erase`,
    body: () => ({ reason: 'x' })
  },
  'PUT /admin/users/:userId/exemption': {
    expected: admins({ adminMfa: '404 not_found', otherTenant: '404 not_found' }),
    path: () => `/admin/users/${UNKNOWN_FACTOR}/exemption`,
    body: () => ({ exempt: true, reason: 'x' })
  },
  'PUT /admin/users/:userId/grace': {
    expected: admins({ adminMfa: '404 not_found', otherTenant: '404 not_found' }),
    path: () => `/admin/users/${UNKNOWN_FACTOR}/grace`,
    body: () => ({ until: '2199-01-01T00:00:00Z', reason: 'x' })
  },
  'GET /admin/users': { expected: admins({ auditor: '200', support: '200' }) },
  'PUT /admin/users': { expected: admins({ support: '200' }), body: () => ({ users: [{ subject: 'someone' }] }) },
  'GET /admin/stats': { expected: admins({ auditor: '200', support: '200' }) },
  'PATCH /mfa/factors/:factorId': { expected: changing('200', notFound), path: ofFactor, body: () => ({ label: 'Renamed' }) },
  'DELETE /mfa/factors/:factorId': { expected: changing('204', notFound), path: ofFactor },
  'DELETE /mfa/sessions': { expected: users('204', { ...notEnrolled, enrolledLogin: STEP_UP, adminLogin: STEP_UP }), anew: true }
}

/** Starts a service and collects what its router is given. */
async function startCollecting (
  t: Parameters<typeof startService>[0],
  env: Record<string, string>
): Promise<{ service: Service, routes: RouteOptions[] }> {
  const routes: RouteOptions[] = []
  const collect = (message: unknown): void => {
    (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', route => { routes.push(route) })
  }
  subscribe('fastify.initialization', collect)
  const service = await startService(t, env)
  unsubscribe('fastify.initialization', collect)
  return { service, routes }
}

/** A route of all methods is one, and so is a GET with the HEAD that Fastify makes of it. */
const namesOf = (routes: RouteOptions[]): string[] => routes
  .filter(({ method }) => method !== 'HEAD')
  .flatMap(({ method, url }) => method.length > 20 ? `ANY ${url}` : [method].flat().map(each => `${each as string} ${url}`))

t.test('every route has a row, and every row a route', async t => {
  const { routes } = await startCollecting(t, { DOCS: 'false' })
  t.same(namesOf(routes).sort(), Object.keys(MATRIX).sort())
})

t.test('any other method of a route is 405 for every caller', async t => {
  const { service, routes } = await startCollecting(t, { DOCS: 'false' })
  const admin = await CALLERS.adminMfa(service)
  const known = new Set(routes.flatMap(({ method, url }) => [method].flat().map(each => `${each as string} ${url}`)))
  // Which is a device with that name.
  known.add('DELETE /mfa/devices/use')
  const others = [...new Set(routes.map(({ url }) => url))].filter(url => !url.includes('*'))
    .flatMap(url => ALL_METHODS.map(method => `${method} ${url}`)).filter(name => !known.has(name))
  t.ok(others.length > 20 * 10, 'there are some')
  for (const [method, url] of others.map(other => other.split(' ') as [string, string])) {
    if (method === 'TRACE') continue // fetch does not send it; methods.test.ts does
    for (
      const headers of /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(method)
        ? [{}, { authorization: `Bearer ${admin().token as string}` }]
        : [{}]
    ) {
      t.equal(
        (await fetch(service.url + url.replace(/:(factor|user|device)Id/g, UNKNOWN_FACTOR), { method, headers })).status,
        405,
        `${method} ${url}`
      )
    }
  }
})

t.test('the console is pages for everyone, and no call', async t => {
  const { service, routes } = await startCollecting(t, { DOCS: 'true' })
  const others = namesOf(routes).filter(name => !(name in MATRIX))
  t.ok(others.length > 0)
  for (const name of others) t.match(name, /^(GET|HEAD) \/(docs(\/.*)?)?$/)
  t.equal((await service.call('GET', '/docs/')).status, 200)
  t.equal((await service.call('GET', '/')).headers.get('location'), 'docs/', 'the root leads there')
})

t.test('each route answers each caller as the matrix says', async t => {
  const service = await useService(t, { MFA_FRESH_SECONDS: '60' })
  for (const [name, prepare] of Object.entries(CALLERS) as Array<[Name, typeof CALLERS[Name]]>) {
    await t.test(name, async t => {
      let asking = await prepare(service)
      for (const [route, { expected, anew, path, body }] of Object.entries(MATRIX)) {
        if (anew && expected[name] === '204') asking = await prepare(service)
        const now = asking()
        const [method, url] = route.split(' ') as [string, string]
        const answer = await service.call(method === 'ANY' ? 'PUT' : method, path?.(now) ?? url, {
          token: now.token,
          body: body?.(now, service)
        })
        const code = answer.status < 400 ? '' : ` ${answer.body?.code as string}`
        t.equal(`${answer.status}${code}`, expected[name], route)
      }
    })
  }
})
