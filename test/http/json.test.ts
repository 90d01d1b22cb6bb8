import t from 'tap'
import { raw, request } from '../helpers/raw.ts'
import { type Person, startService } from '../helpers/service.ts'

const JSON_TYPE = 'Content-Type: application/json'

const post = (person: Person, body: string, headers = [JSON_TYPE], path = '/mfa/enroll'): Promise<{ status: number, body: string }> =>
  raw(person.service.url, request(`POST ${path}`, [`Authorization: Bearer ${person.token()}`, `Content-Length: ${Buffer.byteLength(body)}`, ...headers], body))

t.test('a body that is absent or empty is {}', async t => {
  const service = await startService(t)
  const person = service.person()
  t.equal((await post(person, '', [])).status, 201, 'no type')
  t.equal((await post(person, '')).status, 201, 'a type')
  t.equal((await raw(service.url, request('POST /mfa/enroll', [`Authorization: Bearer ${person.token()}`]))).status, 201, 'no length')
  t.equal((await raw(service.url, request('POST /mfa/enroll', [`Authorization: Bearer ${person.token()}`, JSON_TYPE, 'Transfer-Encoding: chunked'], '0\r\n\r\n'))).status, 201, 'chunks of nothing')
  t.match(await person.call('POST', '/mfa/verify'), { status: 400, body: { errors: [{ field: 'code', message: 'is required' }] } })
})

t.test('bodies are application/json in UTF-8', async t => {
  const service = await startService(t)
  const person = service.person()
  for (const type of ['application/json', 'APPLICATION/JSON', 'application/json; charset=utf-8', 'application/json;charset=UTF-8', 'application/json; charset="utf-8"']) {
    t.equal((await post(person, '{}', [`Content-Type: ${type}`])).status, 201, type)
  }
  const others = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonp', 'application/json garbage', 'application/json\ta', 'application/json, text/plain', 'application/json; charset=latin1',
    'application/json;charset=utf-16', 'application/json; x=y', 'application/problem+json', 'text/json', 'json', 'application/', '*/*', 'application/json;charset=utf-8;charset=latin1']
  for (const type of others) {
    const answer = await post(person, '{}', [`Content-Type: ${type}`])
    t.match({ status: answer.status, ...JSON.parse(answer.body) }, { status: 415, code: 'unsupported_media_type' }, type)
  }
  t.equal((await post(person, '{}', [])).status, 415, 'none')
  t.equal((await post(person, '{}', [JSON_TYPE, 'Content-Encoding: gzip'])).status, 415, 'a coding that is not undone')
})

t.test('what is not a JSON object is 400 and is not taken for one', async t => {
  const service = await startService(t)
  const person = service.person()
  const bodies = ['null', '[]', '"x"', '1', 'true', '{', '{"label":}', '{"label":"x"} x', '{"label":"x"}{"label":"y"}', '{\'label\':\'x\'}', '\ufeff{]', '{"label":"x",}', 'NaN', '[{}]',
    '{"__proto__":{"label":"x"}}', '{"constructor":{"prototype":{"label":"x"}}}', '{"a":{"__proto__":{}}}', '{"\\u005f_proto__":{}}', '{"toString":1}', '{"label":"x","label ":"y"}']
  for (const body of bodies) {
    const answer = await post(person, body)
    t.match({ status: answer.status, ...JSON.parse(answer.body) }, { status: 400, code: 'invalid_request' }, body)
  }
  t.equal(({} as any).label, undefined)
  t.equal((await person.call('GET', '/mfa/status')).body.factors.length, 0)
})

t.test('of a field given twice the last one counts, in the check as in the use', async t => {
  const service = await startService(t)
  const person = service.person()
  t.equal((await post(person, '{"label":"a\\u0000","label":"Phone"}')).status, 201)
  t.match((await person.call('GET', '/mfa/factors')).body.items, [{ label: 'Phone' }])
  t.equal((await post(person, '{"label":"Phone","label":"a\\u0000"}')).status, 400)
})

t.test('nothing is coerced, dropped or made up', async t => {
  const service = await startService(t)
  const person = service.person()
  const { secret } = await person.enroll()
  const code = service.clock.code(secret)
  const cases: Array<[Record<string, unknown>, string]> = [
    [{ code, x: 1 }, 'x'], [{ code: Number(code) }, 'code'], [{ code: [code] }, 'code'], [{ code: { value: code } }, 'code'], [{ code: null }, 'code'], [{ code: true }, 'code'], [{}, 'code'],
    [{ code: ` ${code}` }, 'code'], [{ code: `${code}\n` }, 'code'], [{ code: { not: '' } }, 'code'], [{ code, factorId: 1 }, 'factorId'], [{ code, factorId: null }, 'factorId'], [{ code, factorId: [] }, 'factorId'], [{ code, factorId: { contains: '' } }, 'factorId']
  ]
  for (const [body, field] of cases) t.match(await person.call('POST', '/mfa/verify', body), { status: 400, body: { code: 'invalid_request', errors: [{ field }] } }, JSON.stringify(Object.keys(body)))
  t.equal(await person.throttle('totp').then(row => row?.failures ?? 0), 0, 'none of them was an attempt')
  t.equal((await person.call('POST', '/mfa/verify', { code })).status, 200, 'the code is unused')
})

t.test('an unknown field is named as far as it is a name, and no value ever is', async t => {
  const service = await startService(t)
  const person = service.person()
  t.match((await person.call('POST', '/mfa/enroll', { lable: 'x' })).body.errors, [{ field: 'lable', message: 'is unknown' }])
  for (const name of ['<script>alert(1)</script>', 'a b', 'x'.repeat(64), 'é', '', '"quoted"', 'a\nb']) {
    t.same((await person.call('POST', '/mfa/enroll', { [name]: 'x' })).body.errors, [{ field: '(a field)', message: 'is unknown' }], name)
  }
  for (const body of [{ label: 'canary\u0000' }, { label: ['canary'] }, { label: 'canary'.repeat(20) }]) t.notMatch((await person.call('POST', '/mfa/enroll', body)).text, 'canary')
})

t.test('queries that nobody asked for are 400, twice the same too', async t => {
  const service = await startService(t)
  const person = service.person()
  for (const [query, field] of [['a=1&a=2', 'querystring.a'], ['token=x', 'querystring.token'], ['code=123456', 'querystring.code'], ['a[b]=1', 'querystring.(a field)'], ['__proto__=1', 'querystring.(a field)'], ['=', 'querystring.(a field)']] as const) {
    for (const [method, path] of [['GET', '/mfa/status'], ['POST', '/mfa/enroll'], ['GET', '/mfa/factors']] as const) {
      t.match(await person.call(method, `${path}?${query}`), { status: 400, body: { code: 'invalid_request', errors: [{ field, message: 'is unknown' }] } }, `${method} ${path}?${query}`)
    }
  }
  t.equal((await person.call('GET', '/mfa/status?')).status, 200)
  for (const path of ['/openapi.json?a=1', '/openapi.yaml?a=1', '/health/live?a=1', '/.well-known/jwks.json?a=1']) t.equal((await service.call('GET', path)).status, 400, path)
})

t.test('a body is at most 16 KiB, and deep nesting costs nothing', async t => {
  const service = await startService(t)
  const person = service.person()
  const spaces = (size: number): string => `{}${' '.repeat(size - 2)}`
  t.equal((await post(person, spaces(16384))).status, 201, '16 KiB')
  t.equal((await post(person, spaces(16385))).status, 413, 'one byte more')
  t.equal((await post(person, spaces(1_000_000))).status, 413, '1 MB')
  const chunk = 'x'.repeat(4096)
  const chunked = request('POST /mfa/enroll', [`Authorization: Bearer ${person.token()}`, JSON_TYPE, 'Transfer-Encoding: chunked'], `1000\r\n${chunk}\r\n`.repeat(5))
  t.equal((await raw(service.url, chunked)).status, 413, 'without a length')
  const start = performance.now()
  t.equal((await post(person, `{"label":${'['.repeat(8000)}${']'.repeat(8000)}}`)).status, 400)
  t.equal((await post(person, '['.repeat(16000))).status, 400)
  t.equal((await post(person, `{"label":${'{"a":'.repeat(2500)}1${'}'.repeat(2500)}}`)).status, 400)
  t.ok(performance.now() - start < 3000, 'fast')
})

t.test('a body that breaks off, or says another length, changes nothing', async t => {
  const service = await startService(t)
  const person = service.person()
  const headers = [`Authorization: Bearer ${person.token()}`, JSON_TYPE]
  t.equal((await raw(service.url, request('POST /mfa/enroll', [...headers, 'Content-Length: 3'], '{}}'))).status, 400)
  t.equal((await raw(service.url, request('POST /mfa/enroll', [...headers, 'Content-Length: -1'], '{}'))).status, 400)
  t.equal((await raw(service.url, request('POST /mfa/enroll', [...headers, 'Content-Length: x'], '{}'))).status, 400)
  t.equal((await person.call('GET', '/mfa/status')).body.factors.length, 0)
})
