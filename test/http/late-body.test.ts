// What was asked at the head of a call is asked again where it acts: the last byte of a body may come long after it.
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { administrator } from '../helpers/administrator.ts'
import { startService } from '../helpers/service.ts'

const service = await startService(t)
const { clock, db } = service

interface Held { name: string, finish: () => Promise<number> }

/** A call that is sent but for its last byte. */
async function hold (method: string, path: string, token: string, body: object): Promise<Held> {
  const { hostname, port, host } = new URL(service.url)
  const text = JSON.stringify(body)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text.slice(0, -1)}`)
  return {
    name: `${method} ${path.replace(/[0-9a-f-]{36}/, '{id}')}`,
    async finish () {
      const answered = once(socket, 'data')
      socket.write(text.slice(-1))
      const [data] = await answered
      socket.destroy()
      return Number(String(data).split(' ')[1])
    }
  }
}

const countOf = async (tenant: string): Promise<unknown> =>
  (await db.rows`SELECT count(*)::int FROM audit_events WHERE tenant = ${tenant}`)[0]

t.test('an administrator who is signed out, reset or disabled while a body is on its way does nothing more', async t => {
  for (const ending of ['sign-out', 'reset', 'disable'] as const) {
    const { admin, token: own, actOn, enrolled, seen } = await administrator(service)
    const { user: other, id, token } = await enrolled({ roles: ['mfa:admin'] })
    const { user, id: target } = await seen()
    const reason = 'late'
    const until = new Date(Date.now() + 86_400_000).toISOString()
    const held = await Promise.all([
      hold('PUT', '/admin/policy', token, { enforcement: 'required' }),
      hold('PUT', '/admin/users', token, { users: [{ subject: user.sub, disabled: true }] }),
      hold('PUT', `/admin/users/${target}/exemption`, token, { exempt: true, reason }),
      hold('PUT', `/admin/users/${target}/grace`, token, { until, reason }),
      hold('POST', `/admin/notices/${target}/retry`, token, {}),
      ...['bypass', 'reset', 'unlock', 'sign-out', 'erase'].map(what => hold('POST', `/admin/users/${target}/${what}`, token, { reason }))
    ])
    if (ending === 'disable') {
      t.equal((await admin.call('PUT', '/admin/users', { users: [{ subject: other.sub, disabled: true }] }, own)).status, 200)
    } else t.equal((await actOn(id, ending)).status, 204)
    const before = await countOf(admin.tenant)
    for (const { name, finish } of held) t.equal(await finish(), 401, `${ending}: ${name}`)
    t.same(await countOf(admin.tenant), before, 'nothing was done')
  }
})

t.test('a user who was signed out everywhere changes nothing with a call that began before', async t => {
  const user = service.user()
  const { factorId, token } = await user.enroll()
  const { body: pending } = await user.call('POST', '/mfa/enroll', {}, token)
  const held = await Promise.all([
    hold('PATCH', `/mfa/factors/${factorId}`, token, { label: 'Late' }),
    hold('DELETE', `/mfa/factors/${pending.factorId as string}`, token, {}),
    hold('DELETE', `/mfa/factors/${factorId}`, token, {}),
    hold('POST', '/mfa/enroll', token, { label: 'Late' }),
    hold('POST', '/mfa/enroll/confirm', token, { factorId: pending.factorId, code: clock.code(pending.secret) }),
    hold('POST', '/mfa/recovery/codes', token, {}),
    hold('DELETE', '/mfa/sessions', token, {})
  ])
  t.equal((await user.call('DELETE', '/mfa/sessions', {}, token)).status, 204)
  const before = await countOf(user.tenant)
  for (const { name, finish } of held) {
    const status = await finish()
    t.ok(status >= 400 && status < 500, `${name}: ${status}`)
  }
  t.same(await countOf(user.tenant), before, 'nothing was done')
})

t.test('a token that ends while the body is on its way opens nothing', async t => {
  const { admin, token } = await administrator(service)
  const held = await hold('PUT', '/admin/policy', token, { enforcement: 'required' })
  // What came after its head has been answered: the head was good.
  for (let call = 0; call < 3; call++) t.equal((await admin.call('GET', '/admin/policy', undefined, token)).status, 200)
  clock.advance(901)
  t.equal(await held.finish(), 401)
})

t.test('two administrators who act on each other at once do not wait for each other', async t => {
  const { admin, actOn, enrolled } = await administrator(service)
  const { id, token } = await enrolled({ roles: ['mfa:admin'] })
  const { id: adminId } = await admin.row()
  for (let round = 0; round < 10; round++) {
    const statuses = await Promise.all([
      actOn(id, 'unlock'),
      actOn(adminId, 'unlock', {}, token),
      actOn(id, 'unlock'),
      actOn(adminId, 'unlock', {}, token)
    ])
    t.same(statuses.map(({ status }) => status), [204, 204, 204, 204])
  }
})
