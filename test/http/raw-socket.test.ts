import net from 'node:net'
import t from 'tap'
import { raw, request } from '../helpers/raw.ts'
import { startService } from '../helpers/service.ts'

t.test('framing that two servers could read differently is refused, and nothing comes of it', async t => {
  const service = await startService(t)
  const user = service.user()
  const auth = `Authorization: Bearer ${user.token()}`
  const post = (headers: string[], body: string): string =>
    request('POST /mfa/enroll', [auth, 'Content-Type: application/json', ...headers], body)
  const smuggled = 'GET /admin/policy HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const cases: Record<string, string> = {
    'length and chunks': post([`Content-Length: ${smuggled.length + 5}`, 'Transfer-Encoding: chunked'], `0\r\n\r\n${smuggled}`),
    'chunks and length': post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `0\r\n\r\n${smuggled}`),
    'two lengths': post(['Content-Length: 2', `Content-Length: ${smuggled.length}`], '{}'),
    'two equal lengths': post(['Content-Length: 2', 'Content-Length: 2'], '{}'),
    'a list of lengths': post(['Content-Length: 2, 2'], '{}'),
    'a signed length': post(['Content-Length: +2'], '{}'),
    'a hexadecimal length': post(['Content-Length: 0x2'], '{}'),
    'an unknown coding': post(['Transfer-Encoding: xchunked'], '2\r\n{}\r\n0\r\n\r\n'),
    'chunked not last': post(['Transfer-Encoding: chunked, identity'], '2\r\n{}\r\n0\r\n\r\n'),
    'a space before the colon': post(['Content-Length : 2'], '{}'),
    'a folded header': post(['X-A: b\r\n c: d', 'Transfer-Encoding:\r\n chunked'], '0\r\n\r\n'),
    'a bare LF': `POST /mfa/enroll HTTP/1.1\nHost: localhost\n${auth}\nContent-Length: 0\n\n`,
    'a bare CR': post(['X-A: b\rContent-Length: 2'], '{}'),
    'NUL in a header': post(['X-A: a\u0000b'], ''),
    'chunk size that is none': post(['Transfer-Encoding: chunked'], 'g\r\n{}\r\n0\r\n\r\n'),
    'HTTP/1.2': `GET /mfa/status HTTP/1.2\r\nHost: x\r\n${auth}\r\n\r\n`,
    'HTTP/2 by its preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a request line of three spaces': `GET /mfa/status x HTTP/1.1\r\nHost: x\r\n${auth}\r\nConnection: close\r\n\r\n`
  }
  for (const [name, text] of Object.entries(cases)) {
    const answer = await raw(service.url, text)
    t.equal(answer.status, 400, name)
    t.equal(answer.text.match(/HTTP\/1\.1 \d/g)?.length, 1, `${name}: one answer`)
    t.match(
      answer.headers,
      { connection: 'close', 'cache-control': 'no-store', 'content-type': /problem\+json/ },
      `${name}: the connection ends`
    )
  }
  const users = await service.db.rows`SELECT 1 FROM enrollments WHERE tenant = ${user.tenant}`
  t.equal(users.length, 0, 'nothing was started')
})

t.test('a client that sends a byte now and then is dropped in time, in its headers and in its body', async t => {
  const { app, url } = await startService(t)
  t.ok(app.server.headersTimeout > 0 && app.server.headersTimeout <= 10_000, 'headers: 10 s')
  t.ok(app.server.requestTimeout > 0 && app.server.requestTimeout <= 15_000, 'the request: 15 s')
  t.ok(app.server.timeout > 0 && app.server.timeout <= 15_000, 'silence: 15 s')
  t.ok(app.server.keepAliveTimeout > 0 && app.server.keepAliveTimeout <= 75_000, 'between two requests: 75 s')
  Object.assign(app.server, { headersTimeout: 300, requestTimeout: 600 })
  for (
    const [where, start] of [['headers', 'GET /mfa/status HTTP/1.1\r\nHost: x\r\nX-A: '], [
      'body',
      'POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n'
    ]] as const
  ) {
    const begin = performance.now()
    const { status } = await raw(url, [start, ...'x'.repeat(200)], 50)
    t.ok(performance.now() - begin < 5000, `${where}: dropped`)
    t.equal(status, 408, where)
  }
})

t.test('many connections that send nothing keep no one out', async t => {
  const service = await startService(t)
  const { hostname, port } = new URL(service.url)
  const idle = Array.from({ length: 200 }, () => net.connect(Number(port), hostname).on('error', () => {}))
  t.teardown(() => { for (const socket of idle) socket.destroy() })
  t.equal((await service.user().call('GET', '/mfa/status')).status, 200)
})

t.test('what breaks off ends nothing but itself', async t => {
  const service = await startService(t)
  const user = service.user()
  const { hostname, port } = new URL(service.url)
  for (
    const text of [
      '',
      'G',
      'GET /mfa/status HTTP/1.1\r\n',
      request('POST /mfa/enroll', [`Authorization: Bearer ${user.token()}`, 'Content-Type: application/json', 'Content-Length: 100'], '{'),
      '\u0016\u0003\u0001\u0002'
    ]
  ) {
    await new Promise<void>(resolve => {
      const socket = net.connect(Number(port), hostname, () => { socket.write(text, () => { socket.resetAndDestroy() }) })
      socket.on('error', () => {}).on('close', () => { resolve() })
    })
  }
  t.equal((await user.call('GET', '/mfa/status')).status, 200)
  t.equal((await user.call('GET', '/mfa/factors')).body.items.length, 0)
})
