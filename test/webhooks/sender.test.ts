// What is sent, and what an endpoint can do to the service: it fails, hangs, redirects, never ends, or is not for it.
import { createServer as createSocketServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Webhook } from 'standardwebhooks'
import { createWebhook, type Delivery } from '../../src/webhooks/sender.ts'
import { TestEndpoint, webhookSecret } from '../helpers/webhook-endpoint.ts'
import { until } from '../helpers/until.ts'

const never = new AbortController().signal
const message = { id: '3c1f6f2e-2a43-4c8e-9d5e-7f0f6a1f4b20', body: JSON.stringify({ type: 'user.reset', data: { account: 'Ölaf' } }) }

function sender (
  url: string,
  secrets: string[] = [webhookSecret()],
  { timeout = 400, isPrivateAllowed = true } = {}
): (signal?: AbortSignal) => Promise<Delivery> {
  const send = createWebhook({ url, secrets: () => secrets, isPrivateAllowed, userAgent: 'headless-mfa/test' }, timeout)
  return (signal = never) => send(message, signal)
}

/** Something that speaks TCP. */
async function listen (t: Test, answer: (write: (text: string) => void) => void): Promise<string> {
  const server = createSocketServer(socket => {
    socket.on('error', () => {}).once('data', () => { answer(text => { socket.write(text) }) })
    t.teardown(() => { socket.destroy() })
  }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  t.teardown(() => { server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

t.test('a message is signed as Standard Webhooks has it, by each secret, and anyone\'s library verifies it', async t => {
  const endpoint = await new TestEndpoint().start(t)
  const older = webhookSecret()
  t.same(await sender(endpoint.url, [endpoint.secret, older])(), { outcome: 'delivered', text: 'answered 204' })
  const [received] = endpoint.received as [typeof endpoint.received[0]]
  t.match(received.headers, {
    'content-type': 'application/json',
    'user-agent': 'headless-mfa/test',
    'webhook-id': message.id,
    'webhook-timestamp': /^\d{10}$/,
    connection: 'close'
  })
  t.same(endpoint.verify(received), JSON.parse(message.body))
  t.same(new Webhook(older).verify(received.text, received.headers), JSON.parse(message.body), 'the one from before, too')
  t.throws(() => new Webhook(webhookSecret()).verify(received.text, received.headers))
  t.throws(() => new Webhook(older).verify(received.text.replace('reset', 'bypass'), received.headers))
})

t.test('only 2xx is a delivery; a redirect is followed nowhere', async t => {
  const elsewhere = await new TestEndpoint().start(t)
  const endpoint = await new TestEndpoint().start(t)
  const send = sender(endpoint.url)
  for (
    const [status, outcome] of [
      [200, 'delivered'],
      [202, 'delivered'],
      [301, 'redirect'],
      [302, 'redirect'],
      [304, 'redirect'],
      [307, 'redirect'],
      [308, 'redirect'],
      [400, 'refused'],
      [401, 'refused'],
      [404, 'refused'],
      [410, 'gone'],
      [429, 'refused'],
      [500, 'failed'],
      [503, 'failed']
    ] as const
  ) {
    endpoint.answer = response => response.writeHead(status, { location: elsewhere.url, 'set-cookie': 'a=b' }).end()
    t.same(await send(), { outcome, text: `answered ${status}` }, String(status))
  }
  t.equal(elsewhere.connections, 0)
  t.ok(endpoint.received.every(({ headers }) => headers.cookie === undefined))
})

t.test('an endpoint that hangs, in whichever part of its answer, is left in time', async t => {
  const timedOut = { outcome: 'timeout', text: 'no answer within 0.4 seconds' }
  t.same(await sender(await listen(t, () => {}))(), timedOut, 'says nothing')
  t.same(await sender(await listen(t, write => { write('HTTP/1.1 200 OK\r\nContent-') }))(), timedOut, 'does not end its headers')
  t.same(
    await sender(
      await listen(t, write => {
        write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n')
      })
    )(),
    timedOut,
    'says that it will answer'
  )
  t.same(
    await sender(
      await listen(t, write => {
        const timer = setInterval(() => {
          write('HTTP/1.1 '.charAt(0))
        }, 20)
        t.teardown(() => {
          clearInterval(timer)
        })
      })
    )(),
    { outcome: 'unreachable', text: 'not reached: HPE_INVALID_CONSTANT' },
    'speaks something else'
  )
  t.equal(
    (await sender(
      await listen(t, write => {
        write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
      })
    )()).outcome,
    'unreachable',
    'would speak something else'
  )
  t.equal(
    (await sender(
      await listen(t, write => {
        write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)
      })
    )()).outcome,
    'unreachable',
    'has headers without end'
  )
})

t.test('an answer that is huge or slow counts by its status, and holds no connection', async t => {
  const endpoint = await new TestEndpoint().start(t)
  const counts = { closed: 0 }
  let written = 0
  endpoint.answer = response => {
    response.on('close', () => { counts.closed++ })
    response.writeHead(200)
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(10_000))) written += 10_000
      response.once('drain', more)
    }
    more()
  }
  t.equal((await sender(endpoint.url, undefined, { timeout: 10_000 })()).outcome, 'delivered', 'huge')
  await until(() => counts.closed > 0)
  t.equal(counts.closed, 1)
  t.ok(written < 20_000_000, `${written} bytes`)
  endpoint.answer = response => {
    response.on('close', () => { counts.closed++ })
    response.writeHead(200)
    const timer = setInterval(() => { response.write('x') }, 20)
    response.on('close', () => { clearInterval(timer) })
  }
  t.equal((await sender(endpoint.url, undefined, { timeout: 10_000 })()).outcome, 'delivered', 'slow')
  await until(() => counts.closed > 1)
  t.equal(counts.closed, 2, 'and is left after a while')
})

t.test('an endpoint that is not there is no delivery, and its name is not in the result', async t => {
  const endpoint = await new TestEndpoint().start(t)
  const { port } = new URL(endpoint.url)
  t.match(await sender('http://unknown.invalid/')(), { outcome: 'unreachable', text: /^not reached: E[A-Z_]+$/ })
  t.same(await sender('http://127.0.0.1:1/')(), { outcome: 'unreachable', text: 'not reached: ECONNREFUSED' })
  t.match(await sender(`https://127.0.0.1:${port}/`)(), { outcome: 'unreachable', text: /^not reached: [A-Z_0-9]+$/ }, 'no TLS there')
  const ending = new AbortController()
  endpoint.answer = () => { ending.abort() }
  t.same(await sender(endpoint.url)(ending.signal), { outcome: 'interrupted', text: 'interrupted' })
  t.same(await sender(endpoint.url)(ending.signal), { outcome: 'interrupted', text: 'interrupted' }, 'before it began')
})

t.test('nothing is sent to an address that is not public, as such or behind a name, unless that is allowed', async t => {
  const endpoint = await new TestEndpoint().start(t)
  const { port } = new URL(endpoint.url)
  const refused = { outcome: 'address', text: 'the address is not a public one' }
  for (
    const host of [
      '127.0.0.1',
      '127.1',
      '0x7f000001',
      '2130706433',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '0.0.0.0',
      '[::]',
      '169.254.169.254',
      '[fd00:ec2::254]',
      '10.0.0.1',
      '[64:ff9b::7f00:1]',
      'localhost',
      'LOCALHOST'
    ]
  ) {
    for (const scheme of ['http', 'https']) {
      t.same(await sender(`${scheme}://${host}:${port}/`, undefined, { isPrivateAllowed: false })(), refused, `${scheme}://${host}`)
    }
  }
  t.equal((await sender('http://unknown.invalid/', undefined, { isPrivateAllowed: false })()).outcome, 'unreachable')
  t.equal(endpoint.connections, 0, 'it was not asked')
  t.equal((await sender(`http://localhost:${port}/`)()).outcome, 'delivered', 'allowed')
})
