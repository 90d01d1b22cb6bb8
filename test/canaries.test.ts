// A whole life of a user with known secrets, at the loudest log level: then the log, everything that was printed, the whole
// database and every answer are searched for them.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import t from 'tap'
import { Metrics } from '../src/http/plugins/metrics.ts'
import { startWebhooks } from '../src/webhooks/start.ts'
import { ownDatabase } from './helpers/database.ts'
import { TestEndpoint } from './helpers/webhook-endpoint.ts'
import { type Answer, fromBase32, startService } from './helpers/service.ts'
import { aroundSettling } from './helpers/settling.ts'
import { until } from './helpers/until.ts'

const { url } = await ownDatabase(t)
const printed = capture()
const endpoint = await new TestEndpoint().start(t)
const service = await startService(t, { DATABASE_URL: url, LOG_LEVEL: 'trace', ...endpoint.environment })
const { clock, env } = service
const stopWebhooks = startWebhooks({
  config: service.config,
  secrets: service.secrets,
  db: service.db,
  metrics: new Metrics(),
  log: service.app.log,
  version: 'test',
  roundMs: 20
})

/** What may be found nowhere, by name, in all the ways in which it might be written down. */
const canaries = new Map<string, string[]>()
const answers: Array<{ method: string, path: string, answer: Answer }> = []

const written = (text: string): string[] => [
  text, text.toLowerCase(), encodeURIComponent(text),
  ...(['hex', 'base64', 'base64url'] as const).map(encoding => Buffer.from(text).toString(encoding))
]

function hide (name: string, text: string): string {
  canaries.set(name, written(text))
  return text
}

function hideSecret (name: string, secret: string): void {
  const bytes = fromBase32(secret)
  canaries.set(name, [
    secret,
    secret.toLowerCase(),
    ...(['hex', 'base64', 'base64url', 'latin1'] as const).map(encoding => bytes.toString(encoding)),
    bytes.toString('base64').replace(/=+$/, '')
  ])
}

function hideRecoveryCodes (codes: string[]): void {
  for (const code of codes) canaries.set(`recovery code ${code}`, [...written(code), ...written(code.replaceAll('-', ''))])
}

/** Six digits alone may be part of anything; as a value they stand between quotes. */
function hideCode (code: string): string {
  canaries.set(`code ${code}`, [`"${code}"`, `'${code}'`, `\\"${code}\\"`])
  return code
}

t.test('a life of a user, in which all that can be shown is shown, and all that can go wrong goes wrong', async t => {
  const user = service.user({ roles: ['mfa:admin'] })
  const bearer = hide('first-factor token', user.token())
  const call = async (status: number, method: string, path: string, body?: unknown, token = bearer): Promise<Answer> => {
    const answer = await service.call(method, path, { token, body })
    answers.push({ method, path, answer })
    t.equal(answer.status, status, `${method} ${path.split('?')[0] as string}`)
    if (answer.body?.token !== undefined) hide(`MFA token ${answer.body.token.slice(-8) as string}`, answer.body.token)
    return answer
  }

  const refusing = hide('what the endpoint answers', `canary-${randomUUID()}`)
  endpoint.answer = response => response.writeHead(endpoint.received.length % 2 === 0 ? 500 : 410, { 'x-answer': refusing }).end(refusing)
  await until(async () => (await service.db.rows`SELECT 1 FROM webhook_endpoints`).length > 0)
  await call(200, 'GET', '/mfa/status')
  const { body: { factorId, secret, otpauthUri } } = await call(201, 'POST', '/mfa/enroll', { label: 'Phone' })
  hideSecret('secret', secret)
  hide('key URI', otpauthUri)
  await call(422, 'POST', '/mfa/enroll/confirm', { factorId, code: hideCode(clock.wrongCode(secret)) })
  const { body: { token, recoveryCodes } } = await call(200, 'POST', '/mfa/enroll/confirm', {
    factorId,
    code: hideCode(clock.code(secret))
  })
  hideRecoveryCodes(recoveryCodes)
  clock.advance(30)
  const code = hideCode(clock.code(secret))
  await call(200, 'POST', '/mfa/verify', { code })
  await call(422, 'POST', '/mfa/verify', { code })
  await call(422, 'POST', '/mfa/verify', { code: hideCode(clock.wrongCode(secret)), factorId: randomUUID() })
  await call(200, 'POST', '/mfa/recovery', { code: recoveryCodes[0] })
  await call(422, 'POST', '/mfa/recovery', { code: recoveryCodes[0] })
  await call(422, 'POST', '/mfa/recovery', {
    code: `${(recoveryCodes[1] as string).slice(0, -1)}${recoveryCodes[1].endsWith('0') ? '1' : '0'}`
  })
  const { body: renewed } = await call(201, 'POST', '/mfa/recovery/codes', {}, token)
  hideRecoveryCodes(renewed.recoveryCodes)
  const second = await call(201, 'POST', '/mfa/enroll', {}, token)
  hideSecret('second secret', second.body.secret)
  await call(200, 'POST', '/mfa/enroll/confirm', { factorId: second.body.factorId, code: hideCode(clock.code(second.body.secret)) }, token)
  await call(200, 'PATCH', `/mfa/factors/${second.body.factorId as string}`, { label: 'Tablet' }, token)
  await call(200, 'PUT', '/admin/policy', { enforcement: 'required' }, token)
  await call(403, 'GET', '/admin/policy', undefined, hide('a stranger\'s token', service.user({ tenant: user.tenant }).token()))

  // A user that an administrator helps, and erases.
  const other = service.user({ tenant: user.tenant })
  const theirs = hide('their token', other.token())
  const { body: { userId } } = await call(200, 'GET', '/mfa/status', undefined, theirs)
  const path = `/admin/users/${userId as string}`
  const { body: bypass } = await call(201, 'POST', `${path}/bypass`, { reason: 'x' }, token)
  hideRecoveryCodes([bypass.code])
  await call(200, 'POST', '/mfa/recovery', { code: bypass.code }, theirs)
  await call(422, 'POST', '/mfa/recovery', { code: bypass.code }, theirs)
  await call(201, 'POST', '/mfa/enroll', {}, theirs)
  const { body: required } = await call(200, 'POST', `${path}/reset`, { reason: 'x', requireCode: true }, token)
  hideRecoveryCodes([required.code])
  await call(401, 'POST', '/mfa/enroll', {}, theirs)
  for (const what of ['unlock', 'sign-out', 'erase']) await call(204, 'POST', `${path}/${what}`, { reason: 'x' }, token)
  await call(401, 'GET', '/mfa/status', undefined, theirs)

  // What is not well-formed, with something in it that must not be found again.
  const lost = hide('lost text', `canary-${randomUUID()}`)
  for (const path of ['/mfa/verify', '/mfa/recovery', '/mfa/enroll', '/mfa/enroll/confirm']) {
    for (
      const body of [`{"code":"${lost}"`, { code: lost }, { [lost]: 1 }, { code: [lost] }, { label: `${lost}\u0000` }, `"${lost}"`]
    ) { await call(400, 'POST', path, body) }
    await call(400, 'POST', `${path}?code=${lost}&token=${lost}`, { code: lost })
  }
  await call(401, 'POST', '/mfa/verify', { code: hideCode('246813') }, hide('a token that is none', `${bearer.slice(0, -4)}AAAA`))
  await call(401, 'GET', '/mfa/status', undefined, lost)
  answers.push({
    method: 'POST',
    path: '/mfa/verify',
    answer: await service.call('POST', '/mfa/verify', {
      token: bearer,
      body: lost,
      headers: { 'content-type': 'text/plain', cookie: `session=${lost}`, 'x-request-id': `${lost}!`, 'x-api-key': lost }
    })
  })

  // Errors of our own, whose messages hold what a careless library would put there; and of the database, with arguments.
  clock.advance(30)
  const late = hideCode(clock.code(secret))
  const restore = [aroundSettling(service.db, async () => {
    throw Object.assign(new TypeError(`${lost} ${secret} ${late} ${bearer}`), { parameters: [lost, secret] })
  })]
  await call(500, 'POST', '/mfa/verify', { code: late })
  restore.unshift(aroundSettling(service.db, async () => await service.db.rows`SELECT ${lost}::int AS result` as never))
  await call(503, 'POST', '/mfa/verify', { code: late })
  await call(503, 'POST', '/mfa/recovery', { code: renewed.recoveryCodes[3] })
  for (const each of restore) each()
  await service.db
    .rows`UPDATE factors SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE tenant = ${user.tenant}
      AND id = ${second.body.factorId}::uuid`
  await call(503, 'POST', '/mfa/verify', { code: hideCode(clock.code(second.body.secret)) })
  await call(200, 'DELETE', `/mfa/factors/${second.body.factorId as string}`, {}, token)
  await user.endWait()
  const { body: { token: last } } = await call(200, 'POST', '/mfa/verify', { code: late })

  // What failed is sent once more.
  endpoint.recover()
  await until(async () => {
    // One at a time, as all that deliver are busy with them: it and they would wait for each other. One that is being sent stays as it is.
    for (const { id } of await service.db.rows<{ id: string }>`SELECT id::text FROM webhook_events WHERE tenant = ${user.tenant}`) {
      await service.db
        .rows`UPDATE webhook_events SET due_at = now(), parked_at = NULL WHERE tenant = ${user.tenant} AND id = ${id}::uuid`
        .catch((error: { code?: string }) => { if (error.code !== '55P03') throw error })
    }
    return (await service.db.rows`SELECT 1 FROM webhook_events`).length === 0
  })
  await stopWebhooks()

  // Whatever can be read is read once more at the end.
  const { paths } = (await service.call('GET', '/openapi.json')).body as { paths: Record<string, object> }
  for (const [path, methods] of Object.entries(paths)) {
    if (!('get' in methods)) continue
    answers.push({ method: 'GET', path, answer: await service.call('GET', path, { token: last }) })
    const { headers } = await fetch(service.url + path, { method: 'HEAD', headers: { authorization: `Bearer ${last as string}` } })
    t.notMatch(JSON.stringify([...headers]), /otpauth|secret/)
  }
  t.ok(answers.filter(({ method, answer }) => method === 'GET' && answer.status === 200).length >= 6)
})

t.test('neither secrets nor codes nor tokens nor keys stand in the log, on the console or in the database', async t => {
  for (const name of ['MFA_ENCRYPTION_KEYS', 'MFA_PEPPERS']) {
    const key = Buffer.from((env[name] as string).split(':')[1] as string, 'base64')
    canaries.set(name, [key.toString('base64'), key.toString('base64url'), key.toString('hex'), key.toString('latin1')])
  }
  hide('JWT_SECRET', env.JWT_SECRET as string)
  hide('the private signing key', JSON.parse(env.MFA_SIGNING_KEYS as string).keys[0].d)
  hide('DATABASE_URL', url)
  const { password } = new URL(url)
  if (password.length > 8) hide('the password of the database', decodeURIComponent(password))
  canaries.set('a key URI of any kind', ['otpauth:'])

  hide('WEBHOOK_SECRET', endpoint.secret)
  const places = {
    log: service.log.join(''),
    console: printed.join(''),
    database: await dump(url),
    webhooks: endpoint.received.map(({ text, headers }) => text + JSON.stringify(headers)).join('\n')
  }
  for (const type of ['factor.confirmed', 'factor.removed', 'recovery.accepted', 'recovery.regenerated', 'policy.changed']) {
    t.match(places.webhooks, `"type":"${type}"`)
  }
  t.match(places.log, /parked/)
  t.match(places.log, /"level":(10|20|30)/)
  t.match(places.log, /\/mfa\/recovery/)
  t.match(places.database, /recovery.accepted/)
  t.match(places.database, /\\\\x01/, 'what is sealed is there')
  for (const [place, text] of Object.entries(places)) {
    const found = [...canaries].filter(([, spellings]) => spellings.some(spelling => text.includes(spelling))).map(([name]) => name)
    t.same(found, [], place)
  }
})

t.test('no GET, and no refusal, answers a secret, a recovery code or what was sent', async t => {
  const lost = canaries.get('lost text') as string[]
  const secrets = [...canaries].filter(([name]) => /secret|recovery code|key URI/.test(name)).flatMap(([, spellings]) => spellings)
  for (const { method, path, answer } of answers) {
    const told = JSON.stringify([...answer.headers]) + answer.text
    if (path !== '/openapi.json') {
      t.notOk(lost.some(spelling => told.includes(spelling)), `${method} ${path} ${answer.status}: what was sent`)
    }
    if (method === 'GET' || method === 'HEAD' || answer.status >= 400) {
      t.notOk(secrets.some(spelling => told.includes(spelling)), `${method} ${path} ${answer.status}: a secret`)
    }
    if (/otpauth|recoveryCodes":\[/.test(told)) t.equal(answer.headers.get('cache-control'), 'no-store')
  }
})

/** Everything that this process prints besides its log. */
function capture (): string[] {
  const texts: string[] = []
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream)
    stream.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
      texts.push(chunk.toString())
      return write(chunk, ...rest)
    }) as typeof stream.write
  }
  return texts
}

/** Every row of every table, as text. */
async function dump (databaseUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows: tables } = await client.query<{ name: string }>(
    "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
  )
  const texts: string[] = []
  for (const { name } of tables) {
    texts.push(
      name,
      ...(await client.query<{ row: string }>(`SELECT row_to_json(t)::text AS row FROM ${name} AS t`)).rows.map(({ row }) => row)
    )
  }
  await client.end()
  return texts.join('\n')
}
