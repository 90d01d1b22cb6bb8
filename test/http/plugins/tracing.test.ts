import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createApp } from '../../../src/app.ts'
import { startTracing } from '../../../src/http/plugins/tracing.ts'
import { callTo, startService } from '../../helpers/service.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'

t.test('a request and its settlements are one trace, which goes on the caller\'s, and names no user', async t => {
  const received: string[] = []
  const collector = createServer((request, response) => {
    let body = ''
    request.on('data', data => { body += data }).on('end', () => { received.push(`${request.url as string} ${body}`); response.end('{}') })
  }).listen(0, '127.0.0.1')
  t.teardown(() => collector.close())
  const service = await startService(t)
  const tracing = startTracing(`http://127.0.0.1:${(collector.address() as AddressInfo).port}/`, '1.2.3')
  const traced = await createApp({
    config: service.config,
    db: service.db,
    clock: service.clock.read,
    logStream: {
      write: line => {
        service.log.push(line)
      }
    },
    tracing
  })
  t.teardown(() => traced.close())
  const call = callTo(await traced.listen({ host: '127.0.0.1', port: 0 }))

  const user = service.user({ sub: 'canary7391' })
  const { secret, factorId } = await user.enroll()
  const headers = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` }
  t.equal((await call('POST', '/mfa/verify?', { token: user.token(), body: { code: service.clock.code(secret) }, headers })).status, 200)
  t.equal((await call('DELETE', `/mfa/factors/${factorId}?canary7391`, { token: user.token() })).status, 400)
  await service.db.rows`SELECT 1`
  await call('GET', '/mfa/canary7391')
  service.db.batched = async () => { throw new Error('gone') }
  t.equal((await call('GET', '/mfa/status', { token: user.token() })).status, 500)
  await tracing.stop()

  t.match(received[0], /^\/v1\/traces /)
  const spans = received.flatMap(text => JSON.parse(text.slice(text.indexOf(' '))).resourceSpans).flatMap(({ scopeSpans }: any) =>
    scopeSpans
  ).flatMap(({ spans }: any) => spans)
  const verify = spans.find(({ name }: any) => name === 'POST /mfa/verify')
  t.match(verify, { traceId: TRACE, parentSpanId: '00f067aa0ba902b7' })
  t.match(spans.find(({ name }: any) => name === 'settle accept_factor'), { traceId: TRACE, parentSpanId: verify.spanId })
  t.ok(spans.some(({ name }: any) => name === 'DELETE /mfa/factors/:factorId'))
  t.match(spans.find(({ name }: any) => name === 'GET /mfa/status'), { status: { code: 2 } })
  t.notMatch(received.join(''), /canary7391/)
  t.notMatch(received.join(''), factorId)
  t.equal(JSON.parse(service.log.find(line => line.includes('/mfa/verify')) as string).traceId, TRACE, 'the log names the trace')
})

t.test('what is no traceparent is no trace', async t => {
  const service = await startService(t)
  for (
    const traceparent of [
      'x',
      `00-${TRACE}-00f067aa0ba902b7`,
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      `ff-${TRACE}-00f067aa0ba902b7-01`,
      `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`
    ]
  ) {
    await service.call('GET', '/mfa/status', { headers: { traceparent } })
  }
  t.equal(service.log.filter(line => line.includes('"request"')).length, 6)
  t.notOk(service.log.some(line => line.includes('traceId')))
})

t.test('what no collector takes is given up after two seconds', async t => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => { silent.closeAllConnections(); silent.close() })
  const tracing = startTracing(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`, '1.2.3')
  tracing.settlement('accept_factor', 'accepted', 0.001)
  const start = performance.now()
  await t.rejects(tracing.stop(), { message: 'the collector does not answer' })
  t.ok(performance.now() - start < 3000)
})
