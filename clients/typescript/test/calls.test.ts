import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { startService } from '../../../test/helpers/service.ts'
import { createMfaClient, type Problem, problemOf } from '../src/index.ts'
import { wire } from './wired.ts'

const service = await startService(t, { JWT_SESSION_CLAIM: 'sid', MFA_APPLICATION_AUDIENCES: 'billing' })

t.test('the guide, from the QR code to a recovery code, with the client alone', async t => {
  const user = service.user({ sid: 's1' })
  const { mfa, received } = wire(user)
  t.match(await mfa.getStatus(), {
    subject: user.sub,
    enrolled: false,
    factors: [],
    recoveryCodes: null,
    decision: { action: 'allow', reason: 'not_required' }
  })
  const { factorId, secret, qrCode } = await mfa.startEnrollment({ label: 'My phone' })
  t.match(qrCode, /^data:image\/png;base64,/)
  const { recoveryCodes } = await mfa.confirmEnrollment({ factorId, code: service.clock.code(secret) })
  t.equal(recoveryCodes?.length, 10)
  t.match(received, [{ token: String, acr: 'mfa', amr: ['pwd', 'otp', 'mfa'], expiresAt: Number }])
  t.equal(await mfa.acknowledgeRecoveryCodes(), undefined)
  t.match(await mfa.getRecovery(), { total: 10, remaining: 10, acknowledgedAt: String })
  t.match(await mfa.renameFactor(factorId, { label: 'Old phone' }), { label: 'Old phone' })
  t.match(await mfa.listFactors(), { items: [{ id: factorId, label: 'Old phone', status: 'active' }] })

  await mfa.endSession()
  t.equal(received.at(-1), null)
  t.match(await mfa.getStatus(), { decision: { action: 'verify', reason: 'factor_enrolled' } })
  service.clock.advance(30)
  t.match(await mfa.verify({ code: service.clock.code(secret) }), { acr: 'mfa', factorId })
  t.match(await mfa.recover({ code: recoveryCodes?.[0] as string }), { acr: 'mfa-recovery', remaining: 9 })
  t.match(await mfa.replaceRecoveryCodes(), { recoveryCodes: Array })
  t.equal(await mfa.removeFactor(factorId), undefined, 'the last one: there is no token any more')
  t.match(await mfa.getStatus(), { enrolled: false })
})

t.test('an administrator\'s calls: lists with a query, and a change only of what was read', async t => {
  const user = service.user({ sid: 's1', roles: ['mfa:admin'], accounts: ['local'] })
  const { mfa } = wire(user)
  const { factorId, secret } = await mfa.startEnrollment()
  await mfa.confirmEnrollment({ factorId, code: service.clock.code(secret) })
  const policy = await mfa.getPolicy()
  t.match(await mfa.setPolicy({ enforcement: 'required' }, { ifMatch: `"${policy.version}"` }), { enforcement: 'required' })
  t.equal(
    (await mfa.setPolicy({ enforcement: 'optional' }, { ifMatch: `"${policy.version}"` }).catch(problemOf) as Problem).code,
    'precondition_failed'
  )
  t.match(await mfa.syncUsers({ users: [{ subject: 'bob & söhne', accounts: ['sso'] }] }), { created: 1 })
  const { items } = await mfa.listUsers({ subject: 'bob & söhne', limit: 1 })
  t.match(items, [{ subject: 'bob & söhne', decision: { reason: 'exempt_sso' } }])
  t.match(await mfa.getUser(items[0]?.userId as string), { subject: 'bob & söhne' })
  t.match(await mfa.listAuditEvents({ action: 'policy.changed' }), { items: [{ action: 'policy.changed' }], nextCursor: null })
})

t.test('a token for an application is handed on, and never used here', async t => {
  const user = service.user({ sid: 's1' })
  const { mfa, received } = wire(user)
  t.match(await mfa.renewToken({ audience: 'billing' }), { acr: 'none' })
  t.same(received, [])
  const { factorId, secret } = await mfa.startEnrollment()
  await mfa.confirmEnrollment({ factorId, code: service.clock.code(secret), audience: 'billing' })
  t.same(received, [])
  const { token } = await mfa.renewToken({ audience: 'billing' })
  t.not(await mfa.token(), token)
  const unremembered = wire(user, { getToken: () => user.token({ sid: undefined }) })
  service.clock.advance(30)
  await unremembered.mfa.verify({ code: service.clock.code(secret) })
  t.match(await unremembered.mfa.renewToken({ audience: 'billing' }), { acr: 'mfa' }, 'of the MFA token, where no session is remembered')
  t.match(await mfa.listFactors(), { items: [{ id: factorId }] })
})

t.test('each operation of the specification has one function, which sends its method and path', async t => {
  const { paths } = parse(readFileSync('openapi.yaml', 'utf8')) as { paths: Record<string, Record<string, { operationId: string }>> }
  const specified = new Map(
    Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => [operationId, `${method.toUpperCase()} ${path}`])
    )
  )
  let sent = ''
  const client: Record<string, unknown> = {
    ...createMfaClient({
      baseUrl: '',
      fetch: async (url, { method }) => {
        sent = `${method} ${url}`
        return new Response(null, { status: 204 })
      }
    })
  }
  t.same(Object.keys(client).filter(name => !specified.has(name)).sort(), ['forget', 'token'], 'and two of its own')
  for (const [operationId, route] of specified) {
    await (client[operationId] as (...args: unknown[]) => Promise<unknown>)(...(route.match(/\{\w+\}/g) ?? []).map(() => 'a/b'))
    t.equal(sent, route.replaceAll(/\{\w+\}/g, 'a%2Fb'))
  }
})
