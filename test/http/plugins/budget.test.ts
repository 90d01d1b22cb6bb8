// The time of a request: it is answered within it, what cannot begin within it is not begun, and nothing is done for who has gone.
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { registerBudget, forCaller } from '../../../src/http/plugins/budget.ts'
import { registerErrors } from '../../../src/http/errors.ts'
import { Metrics } from '../../../src/http/plugins/metrics.ts'
import { Refusals } from '../../../src/http/auth/refusals.ts'
import { checkProblem } from '../../helpers/problems.ts'
import { raw, request, wire } from '../../helpers/raw.ts'
import { type User, startService } from '../../helpers/service.ts'
import { until } from '../../helpers/until.ts'

async function start (
  t: Test,
  routes: (app: FastifyInstance) => void,
  limits = { answer: 300, begin: 150 }
): Promise<{ url: string, app: FastifyInstance }> {
  const app = Fastify() as unknown as FastifyInstance
  registerErrors(app, new Refusals({ log: app.log, metrics: new Metrics(), isProduction: true }))
  registerBudget(app, limits)
  routes(app)
  t.teardown(() => { app.server.closeAllConnections(); return app.close() })
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), app }
}

const checked = async (t: Test, answer: Response, code: string): Promise<void> => {
  checkProblem(
    t,
    { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.json() as object } as never,
    503,
    code,
    code
  )
}

t.test('what takes too long is answered in time, the connection serves on, and what comes of it later is dropped', async t => {
  const late: Array<() => void> = []
  const { url } = await start(t, app => {
    app.addHook('onRequest', async (request, reply) => { reply.header('x-from-a-hook', 'yes') })
    app.get('/handler', async () => await new Promise(resolve => { late.push(() => { resolve({ late: true }) }) }))
    app.get('/failing', async () => await new Promise((_resolve, reject) => { late.push(() => { reject(new Error('late')) }) }))
    app.get('/hook', {
      onRequest: async () =>
        await new Promise<void>(resolve => {
          late.push(resolve)
        })
    }, async () => {
      throw new Error('it was called')
    })
    app.get('/reading', async ({ budget }) => {
      budget.check()
      await new Promise<void>(resolve => { late.push(resolve) })
      t.throws(() => { budget.check() }, { name: 'UnavailableError' }, 'and what goes on step by step is told')
    })
    app.get('/', async () => 'here')
  })
  for (const path of ['/handler', '/failing', '/hook', '/reading']) {
    const start = performance.now()
    const answer = await fetch(url + path)
    t.ok(performance.now() - start < 2000)
    t.equal(answer.headers.get('x-from-a-hook'), 'yes')
    t.match(answer.headers.get('retry-after'), /^\d+$/)
    await checked(t, answer, 'unavailable')
  }
  for (const end of late) end()
  await sleep(20)
  t.equal(await (await fetch(url)).text(), 'here')
})

t.test('a change that has begun, and is not done in time, has an unknown outcome; one that comes too late is not begun', async t => {
  const begun: string[] = []
  const { url } = await start(t, app => {
    app.post(
      '/slow',
      { schema: { 'x-outcome-unknown': 'It may have been done. Look.' } as object },
      async request =>
        await forCaller(request, async () => {
          begun.push('slow')
          await new Promise(() => {})
        })
    )
    app.post('/late', async request => {
      await sleep(200)
      return await forCaller(request, async () => { begun.push('late') })
    })
  })
  const slow = await fetch(`${url}/slow`, { method: 'POST' })
  t.notOk(slow.headers.has('retry-after'))
  t.match(await slow.json(), { status: 503, code: 'outcome_unknown', detail: 'It may have been done. Look.' })
  await checked(t, await fetch(`${url}/late`, { method: 'POST' }), 'unavailable')
  t.same(begun, ['slow'])
})

t.test('the time that a client takes for its body is its own', async t => {
  const { url } = await start(t, app => { app.post('/', async request => await forCaller(request, async () => request.body as object)) })
  const body = '{"a":1}'
  const { status } = await raw(url, [request('POST /', ['Content-Type: application/json', `Content-Length: ${body.length}`]), body], 500)
  t.equal(status, 200)
})

t.test('an answer that has begun goes on for as long as it takes', async t => {
  const { url } = await start(t, app => {
    app.get('/', (_request, reply) => reply.send(Readable.from((async function * () {
      for (let line = 0; line < 5; line++) {
        yield `${line}`
        await sleep(150)
      }
    })(), { objectMode: false })))
  })
  t.equal(await (await fetch(url)).text(), '01234')
})

t.test('each change of a request is made only while its caller is there: no route settles by itself', async t => {
  const routes = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('route.ts'))
  const settling = routes.flatMap(path => {
    const text = readFileSync(`src/${path}`, 'utf8').replace(/\s+/g, ' ')
    return [...text.matchAll(/\bsettle[A-Z]\w*\(/g)].map(({ 0: call, index }) => ({
      path,
      call: text.slice(Math.max(0, index - 140), index) + call
    }))
  })
  t.ok(settling.length > 20)
  t.match(readFileSync('src/users/admin/actions/route.ts', 'utf8'), 'forCaller(request, () => settle(action))', 'what `settled` does')
  // Those two only begin something that ends by itself.
  t.same(
    settling.filter(({ call }) =>
      !/((forCaller|evenIfGone)\( ?request, \(\)|settled\(db, target, request, action) => [^;{}]*$/.test(call) && !/settleRenewalClaimed\(|settleClaimed\(/.test(call)
    ),
    []
  )
})

const service = await startService(t, { JWT_SESSION_CLAIM: 'sid' })
const { clock, db } = service

/** The caller hangs up while `what` of the database is waited for; then it goes on. */
async function hangingUp (
  user: User,
  what: 'batched' | 'settle' | 'rows',
  method: string,
  path: string,
  body: object | null,
  token = user.token()
): Promise<void> {
  const original = db[what] as (...call: unknown[]) => Promise<unknown>
  const { socket, closed } = await wire(t, service.url)
  const text = body === null ? '' : JSON.stringify(body)
  const id = `gone-${Math.random().toString(36).slice(2)}`
  const isWaiting = new Promise<void>(resolve => {
    Object.assign(db, {
      async [what] (...call: unknown[]) {
        Object.assign(db, { [what]: original })
        resolve()
        await closed
        await sleep(20) // until the service knows it
        return await original(...call)
      }
    })
  })
  socket.write(
    [
      `${method} ${path} HTTP/1.1`,
      'Host: x',
      `X-Request-Id: ${id}`,
      `Authorization: Bearer ${token}`,
      ...(body === null ? [] : ['Content-Type: application/json', `Content-Length: ${text.length}`]),
      '',
      text
    ].join('\r\n')
  )
  await isWaiting
  socket.resetAndDestroy()
  await until(() => service.log.some(line => line.includes(id)))
  // What it was for would be done by now.
  await sleep(100)
  t.match(JSON.parse(service.log.find(line => line.includes(id) && line.includes('"request"')) as string), {
    reqId: id,
    method,
    path,
    aborted: true,
    status: undefined
  })
  t.notOk(service.log.some(line => line.includes(id) && line.includes('request failed')), 'and that is no failure')
}

t.test('a code is not spent for who has hung up, nor is a wrong one counted; and each has its line in the log', async t => {
  const user = service.user()
  const { secret, recoveryCodes } = await user.enroll()
  const code = clock.code(secret)
  await hangingUp(user, 'batched', 'POST', '/mfa/verify', { code })
  await hangingUp(user, 'batched', 'POST', '/mfa/verify', { code: clock.wrongCode(secret) })
  await hangingUp(user, 'rows', 'POST', '/mfa/recovery', { code: recoveryCodes?.[0] })
  t.equal((await user.throttle('totp')).failures, 0)
  t.equal((await user.call('POST', '/mfa/verify', { code })).status, 200)
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[0] })).status, 200)
})

t.test('recovery codes are not replaced for who has hung up, and may be at once by who asks again', async t => {
  const user = service.user()
  const { recoveryCodes, token } = await user.enroll()
  await hangingUp(user, 'settle', 'POST', '/mfa/recovery/codes', {}, token)
  t.match((await user.call('GET', '/mfa/recovery')).body, { remaining: 10 })
  t.equal((await user.call('POST', '/mfa/recovery', { code: recoveryCodes?.[3] })).status, 200, 'the old ones are good')
  // What was begun for them ends first.
  await until(async () => (await user.call('POST', '/mfa/recovery/codes', {}, token)).status === 201)
})

t.test('a set-up is not confirmed for who has hung up, and its code is good at once', async t => {
  const user = service.user()
  const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
  const confirm = { factorId, code: clock.code(secret) }
  await hangingUp(user, 'settle', 'POST', '/mfa/enroll/confirm', confirm)
  t.equal((await user.call('GET', '/mfa/status')).body.enrolled, false)
  t.equal((await user.call('POST', '/mfa/enroll/confirm', confirm)).status, 200)
})

t.test('a log-out counts even for who does not wait for the answer', async t => {
  const user = service.user({ sid: 's1' })
  const { token } = await user.enroll()
  await hangingUp(user, 'batched', 'DELETE', '/mfa/session', null, token)
  t.equal((await user.call('GET', '/mfa/status', undefined, token)).status, 401)
})

t.test('sixty at once ask for new recovery codes where hashing is slow: each is answered in time, and only those are replaced ' +
  'that were shown', async t => {
  const slow = await startService(t, { ...service.env, BCRYPT_COST: '12' }, clock)
  const users: Array<{ user: User, token: string }> = []
  while (users.length < 60) {
    const user = service.user()
    const { body: { factorId, secret } } = await user.call('POST', '/mfa/enroll')
    const { body: { token } } = await user.call('POST', '/mfa/enroll/confirm', { factorId, code: clock.code(secret) })
    users.push({ user, token })
  }
  const answers = await Promise.all(users.map(async ({ user, token }) => {
    const start = performance.now()
    const { status } = await slow.call('POST', '/mfa/recovery/codes', { token, body: {} })
    const [row] = await db.rows<
      { sets: number }
    >`SELECT count(*)::int AS sets FROM audit_events WHERE tenant = ${user.tenant} AND action = 'recovery.regenerated'`
    return { status, isReplaced: row?.sets === 1, seconds: (performance.now() - start) / 1000 }
  }))
  t.ok(answers.some(({ status }) => status === 503), 'there is no time for all')
  t.same(answers.filter(({ status }) => status !== 201 && status !== 503), [])
  t.ok(answers.every(({ seconds }) => seconds < 10), `the slowest took ${Math.max(...answers.map(({ seconds }) => seconds))} seconds`)
  t.ok(answers.every(({ status, isReplaced }) => isReplaced === (status === 201)), 'no user has lost codes')
})

t.test('whatever is no request has its line too: what cannot be read, and a path that is none', async t => {
  const { log, url } = service
  const count = (pattern: RegExp): number => log.filter(line => pattern.test(line)).length
  t.equal((await raw(url, 'NONSENSE\r\n\r\n')).status, 400)
  t.equal(count(/"status":400,"address":"127.0.0.1","unread":true,"msg":"request"/), 1)
  t.equal((await raw(url, request('GET /mfa/%zz'))).status, 404)
  t.equal(count(/"path":"\/mfa\/%zz","status":404/), 1)
  const { text } = await service.call('GET', '/metrics')
  t.match(text, /^mfa_http_request_duration_seconds_count\{method="POST",route="\/mfa\/verify",status="aborted"\} 2$/m)
})
