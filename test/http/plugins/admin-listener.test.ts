import t from 'tap'
import { raw, request } from '../../helpers/raw.ts'
import { callTo, type Service, startService } from '../../helpers/service.ts'

async function startWithTwo (t: Parameters<typeof startService>[0]): Promise<{ service: Service, inside: Service['call'], url: string }> {
  const service = await startService(t, { ADMIN_PORT: '0', DOCS: 'true' })
  const url = await service.app.listenAdmin('127.0.0.1', 0)
  return { service, inside: callTo(url), url }
}

t.test('with a listener of their own, administration and metrics answer there alone', async t => {
  const { service, inside } = await startWithTwo(t)
  const admin = service.user({ roles: ['mfa:admin'] })
  const { token } = await admin.enroll()
  for (
    const path of ['/admin/policy', '/admin/audit', '/metrics', '/admin/policy?', '//admin/policy', '/%61dmin/policy', '/admin/./policy']
  ) {
    t.match(await service.call('GET', path, { token }), { status: 404, body: { code: 'not_found' } }, path)
  }
  t.equal((await service.call('PUT', '/admin/policy', { token, body: { enforcement: 'required' } })).status, 404)
  t.equal((await service.call('OPTIONS', '/admin/policy', { token })).status, 404, 'nor does it say which methods there are')
  t.match(await inside('GET', '/admin/policy', { token }), { status: 200, body: { enforcement: 'optional' } }, 'and nothing was changed')
  t.equal((await inside('GET', '/metrics')).status, 200)
})

t.test('the console works on the second listener: all that it calls is there', async t => {
  const { service, inside } = await startWithTwo(t)
  const user = service.user()
  for (const path of ['/docs/', '/openapi.json', '/health/ready', '/.well-known/jwks.json']) {
    t.equal((await inside('GET', path)).status, 200, path)
  }
  t.equal((await inside('GET', '/mfa/status', { token: user.token() })).status, 200)
  const pathsOf = async (call: Service['call']): Promise<string[]> => Object.keys((await call('GET', '/docs/json')).body.paths)
  const all = Object.keys((await service.call('GET', '/openapi.json')).body.paths)
  t.same(await pathsOf(inside), all)
  t.same(
    await pathsOf(service.call),
    all.filter(path => path !== '/metrics' && !path.startsWith('/admin/')),
    'that of the first shows what answers there'
  )
})

t.test('the second listener has the same limits as the first, and ends with it', async t => {
  const { service, inside, url } = await startWithTwo(t)
  t.match(await raw(url, 'GET / HTTP/1.1\r\nHost: x\r\nBad header\r\n\r\n'), { status: 400 })
  t.match(await raw(url, request('GET /mfa/status', [`X-Long: ${'x'.repeat(70_000)}`])), { status: 431 })
  t.match(await raw(url, request('GET /health/live', ['Expect: something'])), { status: 200 })
  t.equal((await inside('GET', '/mfa/status')).status, 401)
  await service.app.close()
  await t.rejects(inside('GET', '/health/live'))
})

t.test('a port that is taken stops the start', async t => {
  const { url } = await startWithTwo(t)
  const { app } = await startService(t, { ADMIN_PORT: '0' })
  await t.rejects(app.listenAdmin('127.0.0.1', Number(new URL(url).port)), { code: 'EADDRINUSE' })
})
