// What one connection may have under way: whatever is written on it, others are served.
import { EventEmitter, once } from 'node:events'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createListener, MAX_CONNECTIONS } from '../../../src/http/plugins/connections.ts'
import { startProxy } from '../../helpers/proxy.ts'
import { raw, type Wire, wire } from '../../helpers/raw.ts'
import { startService } from '../../helpers/service.ts'

interface Call { request: IncomingMessage, response: ServerResponse, answer: (body?: string) => void }

interface Listening { server: Server, url: string, calls: Call[], until: (count: number) => Promise<void> }

/** A listener whose calls are answered when the test says so. */
async function listen (t: Test, maxConnections?: number): Promise<Listening> {
  const calls: Call[] = []
  const handle: RequestListener = (request, response) => {
    const answer = (body = String(request.url)): void => { response.setHeader('content-length', body.length).end(body) }
    calls.push({ request, response, answer })
    server.emit('call')
  }
  const server = createListener(handle, maxConnections === undefined ? {} : { maxConnections }).listen(0, '127.0.0.1')
  t.teardown(() => { server.close().closeAllConnections() })
  await once(server, 'listening')
  const until = async (count: number): Promise<void> => { while (calls.length < count) await once(server, 'call') }
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls, until }
}

const get = (path: string, ...headers: string[]): string => [`GET ${path} HTTP/1.1`, 'Host: x', ...headers, '', ''].join('\r\n')
const post = (path: string, body: string, length = body.length): string =>
  [`POST ${path} HTTP/1.1`, 'Host: x', `Content-Length: ${length}`, '', body].join('\r\n')
const chunk = (piece: string): string => `${piece.length.toString(16)}\r\n${piece}\r\n`
const chunked = (path: string, ...pieces: string[]): string =>
  get(path, 'Transfer-Encoding: chunked').replace('GET', 'POST') + pieces.map(chunk).join('')
/** Long enough for what would happen at once. */
const aWhile = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 100))

t.test('of requests that are sent ahead one at a time is under way, in order; the others are not read before', async t => {
  const { url, calls, until } = await listen(t)
  const { socket, until: answered } = await wire(t, url)
  const paths = Array.from({ length: 50 }, (_, index) => `/${index}`)
  socket.write(paths.map(path => get(path)).join(''))
  for (const [index, path] of paths.entries()) {
    await until(index + 1)
    if (index < 3) await aWhile()
    t.same(calls.slice(index).map(({ request }) => request.url), [path])
    calls[index]?.answer()
  }
  t.same((await answered(50)).map(({ body }) => body), paths)
  socket.write(get('/later'))
  await until(51)
  calls[50]?.answer()
  t.equal((await answered(51))[50]?.body, '/later', 'and the connection serves on')
})

t.test('whatever is sent ahead in whatever pieces, each request gets its own answer, and one at a time is at work', async t => {
  let atWork = 0
  let worst = 0
  const server = createListener((request, response) => {
    worst = Math.max(worst, ++atWork)
    const body: Buffer[] = []
    request.on('data', piece => { body.push(piece) }).on('end', () => {
      setImmediate(() => {
        atWork--
        const text = `${request.url as string} ${String(Buffer.concat(body))}`
        response.setHeader('content-length', text.length).end(text)
      })
    })
  }).listen(0, '127.0.0.1')
  t.teardown(() => { server.close().closeAllConnections() })
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const bodies = fc.constantFrom('', '{}', 'a\r\n\r\nb', '\r\n\r\n', '{"a":\n1}', 'x'.repeat(70_000))
  const whole = (path: string, body: string): string => chunked(path, ...body === '' ? [''] : [body, ''])
  const sent = fc.array(fc.record({ body: bodies, write: fc.constantFrom(get, post, whole) }), { minLength: 1, maxLength: 8 })
  await fc.assert(fc.asyncProperty(sent, fc.constantFrom(1, 3, 50, 1e6), async (requests, pieceSize) => {
    const text = requests.map(({ body, write }, index) => write === get ? get(`/${index}`) : write(`/${index}`, body)).join('')
    const { socket, until } = await wire(t, url)
    const size = Math.ceil(Math.max(pieceSize, text.length / 400))
    for (let at = 0; at < text.length; at += size) {
      socket.write(text.slice(at, at + size))
      await new Promise(resolve => setImmediate(resolve))
    }
    const wanted = requests.map(({ body, write }, index) => `/${index} ${write === get ? '' : body}`)
    t.same((await until(requests.length)).map(answer => answer.body), wanted)
    socket.destroy()
  }), { numRuns: 40 })
  t.equal(worst, 1)
})

t.test('a client that sends one request at a time is not kept waiting by those that send many ahead', async t => {
  const ofOthers = new EventEmitter()
  let answered = 0
  const server = createListener(({ url }, response) => {
    if (url === '/other') ofOthers.emit('answer', ++answered)
    response.setHeader('content-length', 2).end('ok')
  }).listen(0, '127.0.0.1')
  t.teardown(() => { server.close().closeAllConnections() })
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const others = await Promise.all(Array.from({ length: 200 }, () => wire(t, url)))
  const { socket, until } = await wire(t, url)
  for (const other of others) other.socket.write(get('/other').repeat(50))
  await once(ofOthers, 'answer')
  const before = answered
  for (let count = 1; count <= 10; count++) {
    socket.write(get('/'))
    await until(count)
  }
  const meanwhile = answered - before
  t.ok(meanwhile < 3000, `${meanwhile} of the others' are answered meanwhile, of 10 000`)
  for (const other of others) t.equal((await other.until(50)).length, 50, 'and none of theirs is lost')
})

t.test('behind an answer that ends its connection no further request counts', async t => {
  const { url, calls, until } = await listen(t)
  for (const header of ['Connection: close', 'X-A: b']) {
    const { socket, answers, closed } = await wire(t, url)
    const before = calls.length
    socket.write(get('/last', header) + get('/more') + get('/and-more'))
    await until(before + 1)
    calls[before]?.response.setHeader('connection', 'close')
    calls[before]?.answer()
    await closed
    t.same([answers().map(({ body }) => body), calls.length], [['/last'], before + 1])
  }
})

t.test('of a connection that has gone nothing further is begun', async t => {
  const { url, calls, until } = await listen(t)
  const { socket } = await wire(t, url)
  // The end of the first one's body brings the second along.
  socket.write(post('/first', '{}', 4) + `{}${get('/second')}${get('/third')}`)
  await until(1)
  socket.resetAndDestroy()
  await once(calls[0]?.response as ServerResponse, 'close')
  await aWhile()
  t.same(calls.map(({ request }) => request.url), ['/first'])
})

t.test('what cannot be read is told so behind the answers that are due before it, and never in the midst of one', async t => {
  const { url, calls, until, server } = await listen(t)
  const bad = 'NONSENSE\r\n\r\n'
  const cases: Record<string, { text: string, act: (call: Call) => unknown, statuses: number[] }> = {
    'a request, then nonsense': { text: get('/') + bad, act: call => { call.answer() }, statuses: [200, 400] },
    'a body, then nonsense in the same piece': { text: post('/', '{}') + bad, act: call => { call.answer() }, statuses: [200, 400] },
    'a body that is nonsense': { text: chunked('/') + bad, act: () => {}, statuses: [400] },
    'a body that is nonsense, of a request that was answered before it': {
      text: chunked('/'),
      async act (call) {
        call.answer()
        await once(call.response, 'close')
        call.request.socket.emit('data', Buffer.from(bad))
      },
      statuses: [200]
    },
    'a body that is nonsense, while the answer is being sent': {
      text: chunked('/'),
      act (call) {
        call.response.setHeader('content-length', 10).write('begun')
        call.request.socket.emit('data', Buffer.from(bad))
      },
      statuses: []
    }
  }
  for (const [name, { text, act, statuses }] of Object.entries(cases)) {
    const before = calls.length
    const { socket, answers, closed } = await wire(t, url)
    socket.write(text)
    await until(before + 1)
    await aWhile()
    t.same(answers().filter(({ status }) => status === 200), [], `${name}: nothing before its time`)
    await act(calls[before] as Call)
    await closed
    t.same(answers().map(({ status }) => status), statuses, name)
  }
  Object.assign(server, { requestTimeout: 100, headersTimeout: 100 })
  const before = calls.length
  const { socket, answers, closed } = await wire(t, url)
  socket.write(post('/', '{', 100))
  await until(before + 1)
  calls[before]?.answer()
  await closed
  t.same(answers().map(({ status }) => status), [200], 'nor is a client told that its body was too slow where it has its answer')
})

t.test('where all places are taken, the connection that has waited longest for its client gives way, and none that is at work', async t => {
  const { url, server, calls, until } = await listen(t, 5)
  t.equal(server.maxConnections, 5)
  const wires: Wire[] = []
  const connect = async (text = ''): Promise<Wire> => {
    const one = await wire(t, url)
    one.socket.write(text)
    wires.push(one)
    return one
  }
  const atWork = await connect(get('/work'))
  await until(1)
  const used = await connect(get('/used'))
  await until(2)
  const [idle, slow] = [await connect(), await connect('GET / HT')]
  calls[1]?.answer()
  await used.until(1)
  const first = await connect(get('/first'))
  await idle.closed
  await until(3)
  const second = await connect(get('/second'))
  await slow.closed
  await until(4)
  t.same([atWork, used, first, second].map(({ socket }) => socket.destroyed), [false, false, false, false])
  const third = await connect(get('/third'))
  await used.closed
  await until(5)
  const fourth = await connect(get('/fourth'))
  await fourth.closed
  for (const { answer } of calls.filter(({ response }) => !response.closed)) answer()
  const answered = await Promise.all([atWork, first, second, third].map(each => each.until(1)))
  t.same(answered.map(([answer]) => answer?.body), ['/work', '/first', '/second', '/third'])
})

t.test('both listeners have a bound', async t => {
  const { app } = await startService(t, { ADMIN_PORT: '0' })
  t.equal(app.server.maxConnections, MAX_CONNECTIONS)
})

for (const way of ['its address', 'a proxy that hides all addresses'] as const) {
  t.test(`requests sent ahead and a connection that ends: ${way} is served as before`, async t => {
    const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '600' })
    const url = way === 'its address' ? service.url : (await startProxy(t, service.url)).url
    const token = service.user().token()
    for (const line of ['GET /nothing', 'GET /mfa/status', 'POST /mfa/verify', 'GET /health/ready']) {
      await Promise.all((['end', 'destroy', 'resetAndDestroy'] as const).map(async leave => {
        const { socket, closed } = await wire(t, url)
        socket.write(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(40), () => { socket[leave]() })
        await closed
      }))
    }
    const ask = (): Promise<Response> =>
      fetch(new URL('/mfa/status', url), { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(20_000) })
    const answers = await Promise.all(Array.from({ length: 30 }, ask))
    t.same(answers.map(({ status }) => status), Array.from({ length: 30 }, () => 200))
  })
}

t.test('bodies that do not come hold up no other request, whatever they were for', async t => {
  const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '600' })
  const token = service.user().token()
  const slow = await Promise.all(['/nothing', '/mfa/verify'].flatMap(path => Array.from({ length: 16 }, async () => {
    const one = await wire(t, service.url)
    const headers = [`Authorization: Bearer ${token}`, 'Content-Type: application/json', 'Content-Length: 100']
    one.socket.write(`${get(path, ...headers).replace('GET', 'POST')}{`)
    return one
  })))
  await aWhile()
  const begun = performance.now()
  t.equal((await service.call('GET', '/mfa/status', { token })).status, 200)
  t.ok(performance.now() - begun < 8000, 'long before they are given up')
  t.same(slow.flatMap(({ answers }) => answers()), [], 'which they were not yet')
})

t.test('a flood of readiness on many connections: the database is asked once, and gateways are answered', async t => {
  const service = await startService(t, { JWT_SESSION_CLAIM: 'sid' })
  const { token } = await service.user({ sid: 's' }).enroll()
  const { rows } = service.db
  let asked = 0
  service.db.rows = async (strings, ...values) => {
    if (/regprocedure/.test(strings.join(''))) asked++
    return await rows(strings, ...values)
  }
  const flood = await Promise.all(Array.from({ length: 20 }, () => wire(t, service.url)))
  const begun = performance.now()
  for (const { socket } of flood) socket.write(get('/health/ready').repeat(200))
  for (let i = 0; i < 20; i++) t.equal((await service.call('GET', '/mfa/authorize', { token })).status, 200)
  for (const { until } of flood) t.ok((await until(200)).every(({ status }) => status === 200))
  t.ok(asked <= 2 + (performance.now() - begun) / 1000, `${asked} times`)
})

t.test('a connection that is silent while its request is at work is not closed; one that waits for its client, or reads no ' +
  'answer, is', async t => {
  const { server, url, calls, until } = await listen(t)
  const silent = (): void => { server.emit('timeout', calls.at(-1)?.request.socket) }
  const { socket, until: answered, closed } = await wire(t, url)
  socket.write(get('/slow'))
  await until(1)
  silent()
  calls[0]?.answer()
  t.equal((await answered(1))[0]?.status, 200)
  silent()
  await closed
  const reader = await wire(t, url)
  reader.socket.write(get('/stream'))
  await until(2)
  calls[1]?.response.write('a line')
  silent()
  await reader.closed
})

t.test('a connection that waits for its next request is kept longer than load balancers keep theirs', async t => {
  const { url, calls, until } = await listen(t)
  const { socket, until: answered } = await wire(t, url)
  socket.write(get('/'))
  await until(1)
  calls[0]?.answer()
  t.match((await answered(1))[0], { status: 200, headers: { 'keep-alive': 'timeout=75' } })
  t.ok((calls[0]?.request.socket.timeout as number) >= 75_000, 'and nothing else closes it before')
})

t.test('whatever cannot be read is told of, with what it was answered', async t => {
  const refused: number[] = []
  const server = createListener(() => {}, { onRefused: (_socket, status) => { refused.push(status) } }).listen(0, '127.0.0.1')
  t.teardown(() => { server.close().closeAllConnections() })
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  t.equal((await raw(url, 'NONSENSE\r\n\r\n')).status, 400)
  t.equal((await raw(url, get('/', `X: ${'x'.repeat(70_000)}`))).status, 431)
  t.same(refused, [400, 431])
})

t.test('a connection that the system has made before the listener closes is taken up, and answered', async t => {
  const server = createListener((_request, response) => { response.setHeader('content-length', 2).end('ok') }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const made = connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('utf8')
  made.write(get('/'))
  // By then the system has been told to connect, and on this machine it has: only we have not come to it.
  await new Promise<void>(resolve => { process.nextTick(resolve) })
  server.close()
  t.match((await once(made, 'data'))[0], /^HTTP\/1\.1 200 /)
  await once(server, 'close')
})
