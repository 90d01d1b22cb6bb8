import { once } from 'node:events'
import { connect } from 'node:net'
import fastify from 'fastify'
import pg from 'pg'
import pino from 'pino'
import t from 'tap'
import { UnavailableError } from '../../../src/platform/unavailable.ts'
import { loggerOptions } from '../../../src/http/plugins/logging.ts'
import { raw, request } from '../../helpers/raw.ts'
import { startService } from '../../helpers/service.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

t.test('a request id that a proxy gave is kept, in the answer, the problem, the log and the audit', async t => {
  const service = await startService(t)
  const user = service.user()
  for (const id of ['a', 'Req_1.2-3', 'x'.repeat(64), '0b6b2b2e-5a53-4d4e-9a53-3f9d3f1c2a10']) {
    const answer = await service.call('GET', '/mfa/status', { headers: { 'x-request-id': id } })
    t.equal(answer.headers.get('x-request-id'), id)
    t.equal(answer.body.instance, `urn:request:${id}`)
    t.ok(service.log.some(line => JSON.parse(line).reqId === id), 'in the log')
  }
  await service.call('GET', '/admin/policy', { token: user.token(), headers: { 'x-request-id': 'audited-1' } })
  t.match((await user.events()).at(-1), { action: 'access.refused', request_id: 'audited-1', address: '127.0.0.1' })
})

t.test('a request id that could break a line or fill a disk is replaced', async t => {
  const service = await startService(t)
  const ids = ['', 'x'.repeat(65), 'x'.repeat(10_000), 'a b', 'a"b', '{"level":60}', 'a\tb', '[31mred', 'é', '../../x', 'a;b', '<script>']
  for (const id of ids) {
    const { headers, body } = await raw(service.url, request('GET /mfa/status', [`X-Request-Id: ${id}`]))
    t.match(headers['x-request-id'], UUID, JSON.stringify(id.slice(0, 20)))
    t.equal(JSON.parse(body).instance, `urn:request:${headers['x-request-id'] as string}`)
  }
  const { headers } = await raw(service.url, request('GET /mfa/status', ['X-Request-Id: a', 'X-Request-Id: b']))
  t.match(headers['x-request-id'], UUID, 'two of them')
  t.match(
    (await raw(service.url, request('GET /mfa/status', ['Request-Id: chosen', 'X-Correlation-Id: chosen', 'traceparent: chosen'])))
      .headers['x-request-id'],
    UUID,
    'no other header names one'
  )
})

t.test('a request leaves one line: method, path without its query, status, address', async t => {
  const service = await startService(t)
  await service.call('GET', '/mfa/status?token=canary7391&code=123456')
  await raw(
    service.url,
    request('GET /mfa/canary%0aforged%1b[31m%e2%80%a8?x#canary7391', [
      'User-Agent: canary7391 [31m "}',
      'Referer: http://x/?canary7391',
      'Origin: canary7391'
    ])
  )
  await raw(service.url, request('GET http://localhost/mfa/status?canary7391'))
  const lines = service.log.map(line => { t.equal(line.indexOf('\n'), line.length - 1, 'one line'); return JSON.parse(line) })
  const requests = lines.filter(line => line.msg === 'request')
  t.equal(requests.length, 3)
  t.match(requests[0], { level: 30, method: 'GET', path: '/mfa/status', status: 401, address: '127.0.0.1', ms: Number, reqId: UUID })
  t.equal(requests[1].path, '/mfa/canary%0aforged%1b[31m%e2%80%a8')
  t.notMatch(service.log.join(''), /canary7391|123456/)
})

t.test('a refused request\'s line has its code, and the fields that were wrong, without their values', async t => {
  const service = await startService(t)
  const user = service.user()
  await user.call('POST', '/mfa/verify', { code: 'canary7391' })
  await user.call('POST', '/mfa/verify', { code: '000000' })
  await user.call('GET', '/mfa/status')
  const [bad, refused, fine] = service.log.map(line => JSON.parse(line)).filter(({ msg }) => msg === 'request')
  t.match(bad, { status: 400, code: 'invalid_request', errors: ['code must be six digits, as a string'] })
  t.match(refused, { status: 409, code: 'not_enrolled' })
  t.notOk('errors' in refused)
  t.notOk('code' in fine)
  t.notMatch(service.log.join(''), /canary7391/)
})

t.test('no secret, code or token is in the log at its lowest level, in whatever writing', async t => {
  const service = await startService(t, { LOG_LEVEL: 'trace' })
  const { env, clock, log } = service
  const user = service.user({ roles: ['mfa:admin'], sid: 'canary-session-7391' })
  const login = user.token()
  const started = await user.call('POST', '/mfa/enroll', { label: 'canary-label-7391' }, login)
  const { factorId, secret, otpauthUri, qrCode } = started.body
  const code = clock.code(secret)
  const { body: { recoveryCodes, token } } = await user.call('POST', '/mfa/enroll/confirm', { factorId, code }, login)
  clock.advance(30)
  const wrong = clock.wrongCode(secret)
  await user.call('POST', '/mfa/verify', { code: wrong })
  await user.call('POST', '/mfa/verify', { code: 'canary-malformed' })
  const { body: { token: second } } = await user.call('POST', '/mfa/verify', { code: clock.code(secret) })
  const { body: { token: third } } = await user.call('POST', '/mfa/recovery', { code: recoveryCodes[0] })
  await user.call('POST', '/mfa/recovery', { code: 'canary-recovery-7391' })
  const { body: { recoveryCodes: others } } = await user.call('POST', '/mfa/recovery/codes', {}, third)
  await service.call('GET', '/mfa/status', { token: `${login}x` })
  await service.call('GET', `/mfa/status?access_token=${login}`)
  await user.call('PUT', '/admin/policy', '{"enforcement":"canary-json', second)
  t.ok(log.length > 10)
  const canaries = [
    secret,
    otpauthUri,
    qrCode,
    login,
    token,
    second,
    third,
    ...[login, token].map(part => part.split('.')[2]),
    ...recoveryCodes,
    ...others,
    ...recoveryCodes.map((each: string) => each.replaceAll('-', '')),
    'canary-malformed',
    'canary-recovery',
    'canary-json',
    'canary-label',
    'canary-session',
    env.JWT_SECRET,
    env.MFA_ENCRYPTION_KEYS,
    env.MFA_PEPPERS,
    JSON.parse(env.MFA_SIGNING_KEYS as string).keys[0].d,
    env.DATABASE_URL
  ] as string[]
  const text = log.join('')
  for (const canary of canaries) {
    for (
      const form of [
        canary,
        Buffer.from(canary).toString('base64').replace(/=+$/, ''),
        Buffer.from(canary).toString('hex'),
        encodeURIComponent(canary)
      ]
    ) t.notOk(text.includes(form), canary.slice(0, 8))
  }
  for (const digits of [code, wrong]) t.notMatch(text, new RegExp(`[^0-9]${digits}[^0-9]`), 'a code')
})

t.test('what is added to the log one day is redacted, and of an error comes no argument', async t => {
  const lines: string[] = []
  const log = pino(loggerOptions('trace'), { write: (line: string) => { lines.push(line) } })
  log.info({ headers: { authorization: 'canary' } })
  log.info({
    any: {
      authorization: 'canary',
      cookie: 'canary',
      'set-cookie': 'canary',
      password: 'canary',
      secret: 'canary',
      token: 'canary',
      recoveryCodes: ['canary'],
      otpauthUri: 'canary',
      qrCode: 'canary'
    }
  })
  const cause = Object.assign(new Error('Unique constraint failed on canary\n    at canary (canary.ts:1:1)'), {
    code: 'P2002',
    meta: { target: 'canary' }
  })
  const error = Object.assign(new TypeError('canary', { cause }), { validation: ['canary'], query: 'canary' })
  log.error({ err: error })
  log.error(error)
  log.error({ err: error }, 'a text')
  t.notMatch(lines.join(''), 'canary')
  t.equal(JSON.parse(lines[1] as string).any.token, '[Redacted]')
  for (const line of lines.slice(2)) {
    t.match(JSON.parse(line).err, { name: 'TypeError', frames: [/logging\.test/], cause: { name: 'Error', code: 'P2002' } })
  }
  t.same(lines.slice(2).map(line => JSON.parse(line).msg), ['error', 'error', 'a text'])
})

t.test('of the database the log says what is wrong with the connection or with a right, and nothing that a statement was ' +
  'about', async t => {
  const lines: string[] = []
  const log = pino(loggerOptions('trace'), { write: (line: string) => { lines.push(line) } })
  const reasonOf = (error: Error): string | undefined => {
    log.error({ err: new UnavailableError('the database statement failed', { cause: error }) })
    return JSON.parse(lines.at(-1) as string).err.cause.reason
  }
  const fromServer = (code: string, message: string, severity = 'ERROR'): Error =>
    Object.assign(new pg.DatabaseError(message, message.length, 'error'), { code, severity })
  const causes: Array<[string, string, string?]> = [
    ['08P01', 'unsupported startup parameter: statement_timeout', 'FATAL'],
    ['28P01', 'password authentication failed for user "mfa"', 'FATAL'],
    ['3D000', 'database "mfa" does not exist', 'FATAL'],
    ['53300', 'sorry, too many clients already', 'FATAL'],
    ['57P03', 'the database system is starting up', 'FATAL'],
    ['42704', 'unrecognized configuration parameter "statement_timeuot"', 'FATAL'], ['42501', 'permission denied for table users'],
    ['42883', 'function find_users(text) does not exist'],
    ['25006', 'cannot execute UPDATE in a read-only transaction'],
    ['53100', 'could not extend file: No space left on device']
  ]
  for (const [code, message, severity] of causes) t.equal(reasonOf(fromServer(code, message, severity)), message)
  for (const code of ['22P02', '23505', '22023', '22001', 'P0001', '57014', '42601']) {
    t.equal(
      reasonOf(fromServer(code, 'invalid input syntax: "canary"')),
      undefined,
      code
    )
  }
  for (
    const message of [
      'Connection terminated unexpectedly',
      'timeout exceeded when trying to connect',
      'Query read timeout',
      'The server does not support SSL connections'
    ]
  ) t.equal(reasonOf(new Error(message)), message)
  t.equal(reasonOf(new Error('what Query read timeout canary')), undefined)
  const refused = connect(1, '127.0.0.1')
  const [error] = await once(refused, 'error') as [Error]
  t.equal(reasonOf(error), 'connect ECONNREFUSED 127.0.0.1:1')
  t.notMatch(lines.join(''), 'canary')
})

t.test('a request and an answer that are logged whole are their line and their status', async t => {
  const lines: string[] = []
  const app = fastify({ logger: { ...loggerOptions('trace'), stream: { write: (line: string) => { lines.push(line) } } } })
  t.teardown(() => app.close())
  app.get('/whole', (request, reply) => {
    request.log.info({ req: request, res: reply }, 'whole')
    return {}
  })
  await app.inject({ url: '/whole?token=canary', headers: { authorization: 'Bearer canary' } })
  const whole = lines.map(line => JSON.parse(line)).find(({ msg }) => msg === 'whole')
  t.same([whole.req, whole.res], [{ method: 'GET', path: '/whole', address: '127.0.0.1' }, { status: 200 }])
  t.notMatch(lines.join(''), 'canary')
})
