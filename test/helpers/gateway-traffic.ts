// What is proved of each gateway alike: the kinds of request that applications have besides pages and small calls.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { enforce, HTML, lines, PAGES, send, type Stage } from './gateway-stage.ts'
import { OTHER_ORIGIN, OUTER, TOKEN_HEADER } from './gateways.ts'

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

export interface Opened { status: number, headers: IncomingMessage['headers'], socket?: Duplex }

/** Asks for another protocol; the answer has a socket where the application talks by it. */
export async function open (url: string, headers: OutgoingHttpHeaders, ca?: string): Promise<Opened> {
  const { request } = url.startsWith('https:') ? https : http
  const asked = request(url, {
    ca,
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers
    }
  }).end()
  return await new Promise((resolve, reject) => {
    asked.on('error', reject)
      .on('upgrade', ({ statusCode = 0, headers }, socket) => { resolve({ status: statusCode, headers, socket }) })
      .on('response', answer => {
        answer.resume().on('end', () => {
          resolve({ status: answer.statusCode as number, headers: answer.headers })
        })
      })
  })
}

/** What is sent comes back, all of it. */
export async function proveEcho (t: Test, socket: Duplex | undefined): Promise<void> {
  for (const sent of ['hello', 'x'.repeat(100_000), 'bye']) {
    let received = ''
    socket?.write(sent)
    while (socket?.destroyed === false && received.length < sent.length) received += String((await once(socket, 'data'))[0])
    t.equal(received, sent, 'what is sent comes back')
  }
  socket?.destroy()
}

/** By another protocol than WebSocket there would be a tunnel, in which further requests come by without a question. */
export const OTHER_PROTOCOLS = ['h2c', 'H2C', 'h2', 'TLS/1.0', 'HTTP/2.0', 'h2c, websocket', 'websocket, h2c', ['h2c', 'websocket'], [
  'websocket',
  'h2c'
], 'websocketx']
  .map(upgrade => ({ upgrade: upgrade as string, connection: 'Upgrade, HTTP2-Settings', 'http2-settings': 'AAMAAABkAAQCAAAAAAIAAAAA' }))

export async function proveUpgrades (t: Test, stage: Stage): Promise<void> {
  const { service, arrived, carry } = stage
  const url = `http://${stage.host}/socket`
  const alice = service.user({ sid: 'session-1' })
  const { token } = await alice.enroll()
  const { id } = await alice.row()

  const { status, socket } = await open(url, carry(token))
  t.equal(status, 101)
  t.match(arrived(), [{
    user: id,
    method: 'GET',
    url: '/socket',
    headers: { upgrade: 'websocket', 'x-mfa-acr': 'mfa', 'sec-websocket-version': '13' }
  }])
  await proveEcho(t, socket)

  const refusals: Array<[OutgoingHttpHeaders, number, string]> = [[{}, 401, 'login'], [carry('x.y.z'), 401, 'login'], [
    carry(alice.token({ sid: 'session-2' })),
    401,
    'verify'
  ]]
  for (const [headers, status, action] of refusals) {
    t.match(await open(url, headers), { status, headers: { 'x-mfa-action': action }, socket: undefined }, action)
  }
  t.same(arrived(), [])

  for (const headers of OTHER_PROTOCOLS) {
    const { status, socket } = await open(url, { ...carry(token), ...headers })
    socket?.destroy()
    const [arrival] = arrived()
    t.ok(
      [undefined, 'websocket'].includes(arrival?.headers.upgrade),
      `${String(headers.upgrade)}: ${status} ${arrival?.headers.upgrade ?? ''}`
    )
  }
}

/** Names and values that are as long in a URL as they can be: each character is three where it is part of another URL. */
export const longPath = (length: number): string => `/app/discover?_g=${'(a:!t,b:0)'.repeat(length / 10)}`.slice(0, length)

export async function proveLength (t: Test, stage: Stage): Promise<void> {
  const { service, arrived, browse, go, host, carry } = stage
  const bob = (await enforce(stage))()
  const returnTo = (text: string | null): string | null => new URL(text as string).searchParams.get('return_to')
  for (const length of [1500, 2000]) {
    const path = longPath(length)
    t.equal(
      returnTo((await browse(path, bob.token())).headers.get('location')),
      `http://${host}${path}`,
      `${length} characters: the user comes back to them`
    )
    const told = await go(path, bob.token())
    t.match(told, { status: 403, body: { code: 'enrollment_required' } })
    t.equal(returnTo(told.headers.get('x-mfa-location')), `http://${host}${path}`)
  }
  for (const length of [2100, 7500]) {
    const path = longPath(length)
    const answer = await browse(path, bob.token())
    t.equal(answer.status, 302, `${length} characters`)
    t.equal(answer.headers.get('location'), PAGES.ENROLL_PAGE_URL, 'without the way back, which would be too long')
  }
  t.same(arrived(), [])

  const alice = service.user({ sid: 'session-1' })
  await alice.enroll()
  const long = alice.token({ padding: 'x'.repeat(24_000) })
  t.ok(long.length > 32_000 && long.length <= 32_768)
  for (const path of ['/page', longPath(7500)]) {
    t.equal((await go(path, long)).status, 200, `a token of ${long.length} characters, for an address of ${path.length}`)
    t.match(arrived(), [{ url: path, user: (await alice.row()).id }])
  }
  for (const length of [30_000, 60_000]) {
    const answer = await send(stage, 'GET /page', lines(carry(alice.token({ padding: 'x'.repeat(length) }))))
    t.ok([400, 431].includes(answer.status), `of far more: ${answer.status}, which is no invitation to try again`)
  }
  t.same(arrived(), [])
}

export async function proveOuterProxy (t: Test, stage: Stage): Promise<void> {
  const { service, arrived, carry, host } = stage
  const alice = service.user({ sid: 'session-1' })
  const { token } = await alice.enroll()
  const asking = lines({ ...carry(alice.token({ sid: 'session-2' })), ...HTML })
  const returnTo = async (headers: string[], from?: string): Promise<string | null> =>
    new URL((await send(stage, 'GET /page', [...asking, ...headers], '', host, from)).headers.location as string).searchParams.get(
      'return_to'
    )
  const headers = ['X-Forwarded-For: 203.0.113.7', 'X-Forwarded-Proto: https']
  t.equal(await returnTo(headers, OUTER), `https://${host}/page`, 'its TLS is the client\'s')
  t.equal(await returnTo(['X-Forwarded-Proto: http'], OUTER), `http://${host}/page`)
  t.equal(await returnTo([], OUTER), `http://${host}/page`)
  t.equal(await returnTo(headers), `http://${host}/page`, 'anyone can say that')
  for (const odd of ['javascript', 'https, http', '']) {
    t.ok([null, `http://${host}/page`].includes(await returnTo([`X-Forwarded-Proto: ${odd}`], OUTER)), odd)
  }

  for (const [from, proto, address] of [[OUTER, 'https', /^203\.0\.113\.7(, 127\.0\.0\.2)?$/], [undefined, 'http', '127.0.0.1']] as const) {
    t.equal((await send(stage, 'GET /page', [...lines(carry(token)), ...headers], '', host, from)).status, 200)
    t.match(arrived(), [{ headers: { 'x-forwarded-proto': proto, 'x-forwarded-for': address } }], 'the application is told the same')
  }
}

export async function proveOuterToken (t: Test, stage: Stage): Promise<void> {
  const { service, outer, arrived } = stage
  const claims = { sub: 'alice', tenant: `outer-${stage.host}`, sid: 'session-1' }
  const token = outer.sign(service.clock, claims)
  t.equal((await send(stage, 'GET /page', [`${TOKEN_HEADER}: ${token}`])).status, 200)
  t.match(arrived(), [{ headers: { 'x-mfa-subject': 'alice', 'x-mfa-namespace': 'https://outer.test', 'x-mfa-reason': 'not_required' } }])
  await service.user({ tenant: claims.tenant, sub: 'alice' }).enroll(token)
  t.match(await send(stage, 'GET /page', [`${TOKEN_HEADER}: ${outer.sign(service.clock, { ...claims, sid: 'session-2' })}`]), {
    status: 401,
    headers: { 'x-mfa-action': 'verify' }
  })
  t.match(await send(stage, 'GET /page', [`${TOKEN_HEADER}: x.y.z`]), { status: 401, headers: { 'x-mfa-action': 'login' } })
  t.same(arrived(), [])
}

export async function proveOtherOrigins (t: Test, stage: Stage): Promise<void> {
  const { service, arrived, carry } = stage
  const alice = service.user()
  const { token } = await alice.enroll()
  const { id } = await alice.row()
  const preflight = (
    origin: string,
    more: string[] = []
  ): string[] => [`Origin: ${origin}`, 'Access-Control-Request-Method: PUT', 'Access-Control-Request-Headers: authorization', ...more]
  const allowed = await send(stage, 'OPTIONS /data', preflight(OTHER_ORIGIN, [`X-MFA-User: ${id}`, `X_MFA_User: ${id}`]))
  t.match(
    allowed,
    { status: 204, headers: { 'access-control-allow-origin': OTHER_ORIGIN } },
    "a preflight has no token, and is the application's to answer"
  )
  const [arrival] = arrived()
  t.match(arrival, { method: 'OPTIONS', url: '/data', headers: { origin: OTHER_ORIGIN } })
  t.same(arrival?.names.filter(name => /mfa/i.test(name)), [], 'which hears of no user')

  for (
    const origin of [
      'https://evil.test',
      `${OTHER_ORIGIN}.evil.test`,
      `${OTHER_ORIGIN}:8443`,
      OTHER_ORIGIN.replace('https', 'http'),
      'null',
      '',
      '-'
    ]
  ) {
    t.match(
      await send(stage, 'OPTIONS /data', preflight(origin)),
      { status: 401, headers: { 'access-control-allow-origin': undefined } },
      origin
    )
  }
  for (
    const [line, headers] of [['OPTIONS /data', [`Origin: ${OTHER_ORIGIN}`]], ['GET /data', preflight(OTHER_ORIGIN)], [
      'PUT /data',
      preflight(OTHER_ORIGIN)
    ], ['OPTIONS /data', ['Access-Control-Request-Method: PUT']]] as const
  ) {
    t.equal(
      (await send(stage, line, [...headers, 'Content-Length: 0'])).status,
      401,
      `${line} ${headers.join()}: no preflight of that origin`
    )
  }
  t.same(arrived(), [])

  const refused = await send(stage, 'GET /data', [`Origin: ${OTHER_ORIGIN}`, ...lines(carry(alice.token()))])
  t.match(refused, {
    status: 401,
    headers: {
      'access-control-allow-origin': OTHER_ORIGIN,
      'access-control-expose-headers': /x-mfa-action.*x-mfa-location.*www-authenticate/i,
      'x-mfa-action': 'verify'
    }
  }, 'its page reads what to do')
  t.match(await send(stage, 'GET /data', ['Origin: https://evil.test', ...lines(carry(alice.token()))]), {
    status: 401,
    headers: { 'access-control-allow-origin': undefined }
  })
  t.match(await send(stage, 'GET /data', [`Origin: ${OTHER_ORIGIN}`, ...lines(carry(token))]), {
    status: 200,
    headers: { 'access-control-allow-origin': undefined }
  }, 'of its own answers the application decides')
  arrived()
}

export async function proveUntold (t: Test, stage: Stage): Promise<void> {
  const { service, arrived, carry, host } = stage
  const { token } = await service.user().enroll()
  for (const from of [OUTER, undefined]) {
    t.equal(
      (await send(stage, 'GET /page', [...lines(carry(token)), 'X-Forwarded-Proto: https', 'X-Forwarded-For: 203.0.113.7'], '', host, from))
        .status,
      200
    )
    t.match(arrived(), [{ headers: { 'x-forwarded-proto': 'http', 'x-forwarded-for': from ?? '127.0.0.1' } }])
  }
  for (const origin of [undefined, '', 'none', 'null', '*', OTHER_ORIGIN]) {
    const answer = await send(stage, 'OPTIONS /data', [
      'Access-Control-Request-Method: PUT',
      ...(origin === undefined ? [] : [`Origin: ${origin}`])
    ])
    t.match(answer, { status: 401, headers: { 'access-control-allow-origin': undefined } }, origin ?? 'of no origin')
  }
  t.same(arrived(), [])
}

export async function proveMethods (t: Test, stage: Stage): Promise<void> {
  const { service, arrived, carry } = stage
  const { token } = await service.user().enroll()
  const good = lines(carry(token))
  for (const method of ['HEAD', 'OPTIONS', 'DELETE', 'PROPFIND', 'REPORT', 'MKCALENDAR', 'PURGE', 'SEARCH', 'M-SEARCH']) {
    const answer = await send(stage, `${method} /odd?a=b`, [...good, 'Content-Length: 0'])
    t.equal(answer.status, 200, method)
    t.equal(answer.body === '', method === 'HEAD', `${method}: ${answer.body}`)
    t.match(arrived(), [{ method, url: '/odd?a=b' }])
    t.equal((await send(stage, `${method} /odd`, ['Content-Length: 0'])).status, 401, `${method}, without a token`)
  }
  t.same(arrived(), [])

  const expecting = (headers: OutgoingHttpHeaders): ClientRequest => {
    const asked = http.request(`http://${stage.host}/in`, {
      method: 'POST',
      headers: { expect: '100-continue', 'content-length': 5, ...headers }
    })
    asked.flushHeaders()
    return asked
  }
  const sent = expecting(carry(token))
  await once(sent, 'continue')
  sent.end('hello')
  const [answer] = await once(sent, 'response') as [IncomingMessage]
  answer.resume()
  t.equal(answer.statusCode, 200)
  t.match(arrived(), [{ method: 'POST', body: digest('hello') }])
  const kept = expecting(carry('x.y.z'))
  let isWanted = false
  kept.on('continue', () => { isWanted = true })
  const [refusal] = await once(kept, 'response') as [IncomingMessage]
  t.equal(refusal.statusCode, 401)
  t.notOk(isWanted, 'the body of what is refused is not asked for')
  kept.destroy()
  t.same(arrived(), [])
}
