// What a trusted device opens, over every operation of the specification and each kind of token: what a password opens, and what
// says by name that it may. Whatever is added to the API later is asked here, too.
import { createPrivateKey, randomUUID } from 'node:crypto'
import t from 'tap'
import { lifted, login, REMEMBERING, truster, type Truster } from '../helpers/devices.ts'
import { PASSKEYS } from '../helpers/passkeys.ts'
import { type Answer, claimsOf, headerOf, startService, signWithKey } from '../helpers/service.ts'

const service = await startService(t, { ...REMEMBERING, ...PASSKEYS })

interface Operation { method: string, path: string, body: unknown, isOpen: boolean }

interface Documented {
  operationId: string
  security?: object[]
  requestBody?: { content: { 'application/json'?: { schema: { $ref?: string, examples?: unknown[] } } } }
}

const { body: specification } = await service.call<any>('GET', '/openapi.json')

function exampleOf (documented: Documented): unknown {
  const schema = documented.requestBody?.content['application/json']?.schema
  if (schema === undefined) return undefined
  const named = schema.$ref === undefined ? schema : specification.components.schemas[schema.$ref.split('/').at(-1) as string]
  return named.examples?.[0] ?? {}
}

const OPERATIONS: Operation[] = Object.entries<Record<string, Documented>>(specification.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, documented]) => ({
    method: method.toUpperCase(), path, body: exampleOf(documented), isOpen: documented.security?.length === 0
  }))
)

/** What a session that a device has lifted may do besides. */
const OPENED = new Map([
  ['GET /mfa/authorize', 200],
  ['GET /mfa/forward-auth', 200],
  ['POST /mfa/token', 200],
  ['POST /mfa/devices/use', 200]
])

const pathFor = (path: string, { factorId, deviceId }: Truster, userId: string): string =>
  path.replace('{factorId}', factorId).replace('{deviceId}', deviceId).replace('{userId}', userId).replace(/\{\w+\}/, randomUUID())

const summary = ({ status, body }: Answer): string => `${status} ${(body?.code as string | undefined) ?? ''}`

/** The operation, as a user in the same state asks it with a token of each kind. */
async function ask ({ method, path, body }: Operation, kind: 'password' | 'device' | 'session', made?: Truster): Promise<string> {
  const asking = made ?? await truster(service)
  const { user, deviceToken } = asking
  const session = login(user)
  const device = kind === 'password' ? undefined : await lifted(user, deviceToken, session)
  const isFresh = device === undefined || claimsOf(device).auth_time > service.clock.seconds - 900
  if (!isFresh) throw new Error('it is not as fresh as can be')
  return summary(
    await user.call(method, pathFor(path, asking, (await user.row()).id), body, kind === 'device' ? device : session)
  )
}

t.test('a trusted device opens what a password opens, and what is listed here; of that a demand of a gateway opens nothing', async t => {
  let wanting = 0
  for (const operation of OPERATIONS.filter(({ isOpen }) => !isOpen)) {
    const name = `${operation.method} ${operation.path}`
    // What changes nothing is asked of one user.
    const made = operation.method === 'GET' ? await truster(service) : undefined
    const password = await ask(operation, 'password', made)
    const device = await ask(operation, 'device', made)
    const session = await ask(operation, 'session', made)
    const listed = OPENED.get(name)
    if (listed === undefined) {
      t.equal(device, password, `${name} by the device's token: ${device}`)
      t.equal(session, password, `${name} in its session: ${session}`)
    } else {
      t.equal(Number.parseInt(device), listed, `${name} by the device's token`)
      t.equal(Number.parseInt(session), listed, `${name} in its session`)
    }
    if (password === '401 step_up_required') wanting++
  }
  t.ok(wanting > 8, `${wanting} want a second factor`)
  const made = await truster(service)
  for (const path of ['/mfa/authorize', '/mfa/forward-auth']) {
    for (const query of ['acr=mfa', 'acr=phr', 'maxAge=900', 'maxAge=9999999', 'acr=mfa&maxAge=900']) {
      for (const kind of ['device', 'session'] as const) {
        t.equal(
          await ask({ method: 'GET', path: `${path}?${query}`, body: undefined, isOpen: false }, kind, made),
          query === 'acr=phr' ? '403 enrollment_required' : '401 step_up_required',
          `${path}?${query} by ${kind}`
        )
      }
    }
  }
  for (const kind of ['device', 'session'] as const) {
    t.match(await ask({ method: 'POST', path: '/mfa/token', body: { acr: 'phr' }, isOpen: false }, kind, made), /^409 not_enrolled$/)
  }
})

t.test('nor is there an administrator by a device, whatever the token says of roles', async t => {
  const made = await truster(service)
  const { user, deviceToken } = made
  const token = await lifted(user, deviceToken)
  const [key] = JSON.parse(service.env.MFA_SIGNING_KEYS as string).keys
  t.ok(createPrivateKey({ key, format: 'jwk' }))
  const asIf = (more: object): string => signWithKey({ ...claimsOf(token), ...more }, key, headerOf(token))
  const admin = asIf({ roles: ['mfa:admin', 'mfa:support', 'mfa:auditor', 'mfa:sync'], sid: randomUUID(), sid_gen: 9 })
  const others = asIf({ roles: ['mfa:admin'], acr: 'mfa', sid: randomUUID(), sid_gen: 9 })
  const id = (await user.row()).id
  let count = 0
  for (const { method, path, body } of OPERATIONS.filter(({ path }) => path.startsWith('/admin/'))) {
    const answer = await user.call(method, pathFor(path, made, id), body, admin)
    t.match(answer, { status: 401, body: { code: 'step_up_required' } }, `${method} ${path}: ${answer.text}`)
    count++
  }
  t.ok(count > 15)
  t.equal((await user.call('GET', '/admin/policy', undefined, others)).status, 200, 'with a real one it would be')
})
