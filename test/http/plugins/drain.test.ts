// What a stop begins with: not ready, the last answer on each connection, and no request cut off.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { wire } from '../../helpers/raw.ts'
import { startService } from '../../helpers/service.ts'
import { until } from '../../helpers/until.ts'

const get = (path: string, ...headers: string[]): string => [`GET ${path} HTTP/1.1`, 'Host: x', ...headers, '', ''].join('\r\n')

t.test('from the first moment on it is not ready, everything is answered, and each answer is the last on its connection', async t => {
  const service = await startService(t, { ADMIN_PORT: '0' })
  const admin = await service.app.listenAdmin('127.0.0.1', 0)
  const { db } = service
  const [slow, kept, inside] = [await wire(t, service.url), await wire(t, service.url), await wire(t, admin)]
  const { batched } = db
  let goOn = (): void => {}
  const isAsked = new Promise<void>(resolve => {
    db.batched = async (...call) => {
      db.batched = batched
      resolve()
      await new Promise<void>(resolve => { goOn = resolve })
      return await batched(...call)
    }
  })
  slow.socket.write(get('/mfa/status', `Authorization: Bearer ${service.user().token()}`))
  await isAsked
  kept.socket.write(get('/health/live'))
  t.equal((await kept.until(1))[0]?.headers.connection, 'keep-alive')

  const drained = service.app.drain.run(1200)
  goOn()
  t.match((await slow.until(1))[0], { status: 200, headers: { connection: 'close' } }, 'what was under way')
  await slow.closed
  kept.socket.write(get('/health/live'))
  t.match((await kept.until(2))[1], { status: 200, headers: { connection: 'close' } }, 'what comes on a kept connection')
  await kept.closed
  inside.socket.write(get('/health/live'))
  t.equal((await inside.until(1))[0]?.headers.connection, 'close', 'on the second listener too')
  const ready = await service.call('GET', '/health/ready')
  t.match(ready, { status: 503, body: { code: 'unavailable' } })
  t.equal(ready.headers.get('connection'), 'close')
  t.equal((await service.user().call('GET', '/mfa/status')).status, 200, 'and new connections are taken')

  await sleep(900)
  const [late, leaving] = [await wire(t, service.url), await wire(t, service.url)]
  late.socket.write(get('/health/live'))
  leaving.socket.write(get('/health/live', 'Connection: close'))
  t.match(
    (await late.until(1))[0]?.headers,
    { connection: 'keep-alive', 'keep-alive': 'timeout=2' },
    'towards the end they are kept again, briefly, so that none is made as the listener closes'
  )
  t.equal((await leaving.until(1))[0]?.headers.connection, 'close')
  await drained

  const closed = service.app.close()
  // No other is let in.
  await until(() => fetch(`${service.url}/health/live`).then(() => false, () => true))
  late.socket.write(get('/health/live'))
  t.match((await late.until(2))[1], { status: 200, headers: { connection: 'close' } }, 'a client that is in is answered, once')
  await closed
})

t.test('a connection that has been quiet for longer than was said is closed; one that has just been made or used is not', async t => {
  const service = await startService(t)
  const quiet = await wire(t, service.url)
  await service.app.drain.run(600)
  const [used, fresh] = [await wire(t, service.url), await wire(t, service.url)]
  used.socket.write(get('/health/live'))
  await used.until(1)
  const start = performance.now()
  const closed = service.app.close()
  await quiet.closed
  t.equal(fresh.socket.closed, false)
  used.socket.write(get('/health/live'))
  t.equal((await used.until(2))[1]?.status, 200)
  await closed
  t.ok(performance.now() - start < 8000)
})

t.test('where nothing is to be waited for, what is idle is closed at once; what was sent before is answered', async t => {
  const service = await startService(t)
  await service.app.drain.run(0)
  const [idle, asking] = [await wire(t, service.url), await wire(t, service.url)]
  for (const { socket, until } of [idle, asking]) {
    socket.write(get('/health/live'))
    await until(1)
  }
  asking.socket.write(get('/health/live'))
  const closed = service.app.close()
  t.equal((await asking.until(2))[1]?.status, 200)
  await Promise.all([closed, idle.closed])
})
